//! Several databases in one store, looked at at the same time.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::Value;

use crate::shared::{fifteen, with_tools};

/// As many as are looked at at the same time.
const DATABASES: usize = 8;

fn look_at_all(store: &StoreUnderTest) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lifeboat.toml");
    let mut text = String::new();
    for n in 1..=DATABASES {
        write!(text, "[databases.tenant{n}]\nrpo = \"26h\"\n")?;
    }
    std::fs::write(&file, text)?;
    for _ in 0..3 {
        let looked = with_tools(store.lifeboat(["health", "--output", "json"]), &fifteen()?.bin)
            .env("LIFEBOAT_CONFIG", &file)
            .env("TMPDIR", folder.path())
            .run()?;
        let document: Value = serde_json::from_str(&looked.stdout).with_context(|| format!("{looked:?}"))?;
        let databases = document["databases"].as_array().context("databases")?;
        ensure!(databases.len() == DATABASES, "{document:#}");
        for database in databases {
            let findings = database["findings"].as_array().context("findings")?;
            let codes: Vec<&str> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
            ensure!(codes == ["no_backup", "source_not_configured"], "{database:#}");
        }
    }
    Ok(())
}

#[test]
fn a_sound_folder_is_sound_for_every_database_of_a_fleet() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    std::fs::create_dir(store.path().context("a folder")?)?;
    look_at_all(&store)
}

#[test]
fn a_sound_bucket_is_sound_for_every_database_of_a_fleet() -> Result<()> {
    look_at_all(&StoreUnderTest::minio()?)
}
