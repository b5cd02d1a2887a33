//! A sample of the damages through the program: exit codes, messages, and what it lists afterwards.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, Ended, StoreUnderTest};
use serde_json::Value;

use super::kinds::cluster;

/// A store with one verified backup of the database, made by the program.
struct Made {
    cluster: Cluster,
    store: StoreUnderTest,
    /// The backup's folder on disk.
    folder: std::path::PathBuf,
    id: String,
    manifest: Value,
}

impl Made {
    async fn make(database: &str) -> Result<Self> {
        let cluster = cluster(database).await?;
        let store = StoreUnderTest::folder()?;
        let answer = store.lifeboat(["dump"]).database(&cluster.url(database)).json()?;
        let id = answer["backup_id"].as_str().context("the backup's id")?.to_owned();
        let folder = store.path().context("a folder")?.join(database).join(&id);
        let manifest = serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
        Ok(Self { cluster, store, folder, id, manifest })
    }

    /// A call with the URLs of a scratch server and of an empty target at hand.
    fn call(&self, arguments: &[&str]) -> Result<Ended> {
        self.store
            .lifeboat(arguments.iter().copied())
            .env("SCRATCH_URL", self.cluster.url("postgres"))
            .env("TARGET_URL", self.cluster.url("target"))
            .run()
    }

    fn key(&self, pointer: &str) -> Result<&str> {
        self.manifest.pointer(pointer).and_then(Value::as_str).with_context(|| pointer.to_owned())
    }
}

/// Does something to a file, calls `check`, and puts the file back.
fn with_damage(
    file: &Path,
    damage: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>,
    check: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let whole = fs::read(file)?;
    match damage(whole.clone()) {
        Some(damaged) => fs::write(file, damaged)?,
        None => fs::remove_file(file)?,
    }
    let checked = check();
    fs::write(file, whole)?;
    checked.with_context(|| format!("{} is damaged", file.display()))
}

fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    bytes
}

fn named(ended: &Ended, object: &str) -> Result<()> {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    ensure!(said.contains(object), "{object} is not named: {said}");
    Ok(())
}

#[tokio::test]
async fn verify_restore_fetch_and_drill_exit_7_on_a_damaged_backup_and_name_the_object() -> Result<()> {
    let made = Made::make("seven").await?;
    made.cluster.create_database_with("target", "TEMPLATE template0")?;
    let biggest = made.manifest["tables"].as_array().context("tables")?.iter().max_by_key(|t| t["raw_bytes"].as_u64());
    let chunk = biggest.and_then(|t| t["chunks"][0]["key"].as_str()).context("a chunk")?;
    let keys = [made.key("/toc/key")?, made.key("/globals/key")?, chunk, made.key("/large_objects/0/object/key")?];
    for key in keys {
        with_damage(
            &made.folder.join(key),
            |bytes| Some(flipped(bytes)),
            || {
                named(&made.call(&["verify", &made.id])?.expect(7)?, key)?;
                named(&made.call(&["restore", &made.id, "--to", "env:TARGET_URL"])?.expect(7)?, key)?;
                made.cluster.sql("postgres", "DROP DATABASE target")?;
                made.cluster.create_database_with("target", "TEMPLATE template0")?;
                let fetched = tempfile::tempdir()?;
                let folder = fetched.path().join("fetched").display().to_string();
                named(&made.call(&["fetch", &made.id, &folder])?.expect(7)?, key)?;
                let drill = made.call(&["drill", "seven", "--select", &made.id, "--scratch", "env:SCRATCH_URL"])?;
                ensure!(!drill.stdout.contains("PASSED"), "{}", drill.stdout);
                named(&drill.expect(7)?, key)
            },
        )?;
    }
    let databases =
        made.cluster.sql("postgres", "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database")?;
    ensure!(databases.trim() == "postgres seven target template0 template1", "drills left something: {databases}");
    // Whole again, it is good again, and a drill passes: the checks can tell.
    made.call(&["verify", &made.id])?.expect(0)?;
    made.call(&["drill", "seven", "--select", &made.id, "--scratch", "env:SCRATCH_URL"])?.expect(0)?;
    made.call(&["restore", &made.id, "--to", "env:TARGET_URL"])?.expect(0)?;
    Ok(())
}

#[tokio::test]
async fn a_backup_without_its_manifest_is_not_listed_and_not_found_and_one_with_a_damaged_manifest_is_refused()
-> Result<()> {
    let made = Made::make("manifest").await?;
    let manifest = made.folder.join("manifest.json");
    with_damage(
        &manifest,
        |_| None,
        || {
            for command in ["show", "verify"] {
                made.call(&[command, &made.id])?.expect(6)?;
            }
            made.call(&["restore", &made.id, "--to", "env:TARGET_URL"])?.expect(6)?;
            let listed = made.store.lifeboat(["list"]).json()?;
            ensure!(listed["backups"] == serde_json::json!([]), "{listed}");
            Ok(())
        },
    )?;
    with_damage(
        &manifest,
        |bytes| Some(flipped(bytes)),
        || {
            for command in ["show", "verify"] {
                named(&made.call(&[command, &made.id])?.expect(7)?, "manifest")?;
            }
            named(&made.call(&["restore", &made.id, "--to", "env:TARGET_URL"])?.expect(7)?, "manifest")?;
            made.call(&["drill", "manifest", "--select", &made.id, "--scratch", "env:SCRATCH_URL"])?.expect(7)?;
            let listed = made.call(&["list"])?.expect(0)?;
            ensure!(listed.stdout.contains(&made.id) && listed.stdout.contains("damaged"), "{}", listed.stdout);
            Ok(())
        },
    )?;
    made.call(&["verify", &made.id])?.expect(0)?;
    Ok(())
}
