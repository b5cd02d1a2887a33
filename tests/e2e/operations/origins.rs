//! Flags beat the environment, the environment beats the file, the file beats the defaults, and each says where it is from.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Result, ensure};
use lifeboat_tests::{Lifeboat, StoreUnderTest, cluster::PASSWORD};
use serde_json::json;

use crate::shared::{call, fifteen};

#[test]
fn flags_beat_the_environment_and_the_environment_beats_the_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lifeboat.toml");
    let text =
        "[store]\nurl = \"file:///of/file\"\n[databases.orders]\nurl = \"postgres://ann@db.example/o\"\njobs = 2\n";
    fs::write(&file, text)?;
    let check = |call: Lifeboat| call.args(["config", "check"]).env("LIFEBOAT_CONFIG", &file).json();

    let of_file = check(Lifeboat::new(["-q"]))?;
    ensure!(of_file["store"]["url"] == "file:///of/file", "{of_file:#}");
    ensure!(of_file["file"] == file.display().to_string(), "{of_file:#}");
    ensure!(of_file["origins"]["databases.orders.jobs"] == "file, line 5", "{of_file:#}");
    ensure!(of_file["origins"]["databases.orders.compress"] == "default", "{of_file:#}");

    let of_environment = check(Lifeboat::new(["-q"]).env("LIFEBOAT_STORE", "file:///of/environment"))?;
    ensure!(of_environment["store"]["url"] == "file:///of/environment", "{of_environment:#}");
    ensure!(of_environment["origins"]["store.url"] == "LIFEBOAT_STORE", "{of_environment:#}");

    let flag = Lifeboat::new(["--store", "file:///of/flag"]).env("LIFEBOAT_STORE", "file:///of/environment");
    let of_flag = check(flag)?;
    ensure!(of_flag["store"]["url"] == "file:///of/flag", "{of_flag:#}");
    ensure!(of_flag["origins"]["store.url"] == "--store", "{of_flag:#}");
    ensure!(of_flag["control_store"]["url"] == "file:///of/flag/.control", "{of_flag:#}");
    // An empty variable counts as not set.
    let empty = check(Lifeboat::new(["-q"]).env("LIFEBOAT_STORE", ""))?;
    ensure!(empty["store"]["url"] == "file:///of/file", "{empty:#}");
    Ok(())
}

#[test]
fn settings_of_a_run_are_taken_from_where_they_weigh_most() -> Result<()> {
    let (cluster, store, folder) = (fifteen()?, StoreUnderTest::folder()?, tempfile::tempdir()?);
    cluster.create_database("weighed")?;
    cluster.sql("weighed", "CREATE TABLE notes AS SELECT 1 AS id")?;
    let file = folder.path().join("lifeboat.toml");
    fs::write(&file, "[databases.weighed]\ncompress = \"gzip:3\"\ntimezone = \"Pacific/Auckland\"\n")?;
    let dump = |further: &[&str]| {
        let call = call(&store, "weighed", &["dump"])?.args(further).env("LIFEBOAT_CONFIG", &file);
        call.json()
    };
    // The file speaks of the database whose URL comes from the environment.
    ensure!(dump(&[])?["compression"] == "gzip:3");
    ensure!(dump(&["--compress", "none"])?["compression"] == "none");
    let shown = call(&store, "weighed", &["show"])?.json()?;
    ensure!(shown["manifest"]["timezone"] == "Pacific/Auckland", "{shown:#}");

    // A flag's URL beats the environment's, which here leads nowhere. The password comes from the password file.
    let passwords = folder.path().join("pgpass");
    fs::write(&passwords, format!("127.0.0.1:{}:*:postgres:{}\n", cluster.port(), PASSWORD))?;
    fs::set_permissions(&passwords, fs::Permissions::from_mode(0o600))?;
    let by_flag = call(&store, "nowhere", &["dump", "--database-url", &cluster.bare_url("weighed")])?
        .env("PGPASSFILE", &passwords)
        .json()?;
    ensure!(by_flag["database"] == "weighed" && by_flag["rows"] == 1, "{by_flag:#}");
    let by_variable =
        call(&store, "nowhere", &["dump", "--database-url", "env:MINE"])?.env("MINE", cluster.url("weighed")).json()?;
    ensure!(by_variable["database"] == "weighed" && by_variable["findings"] == json!([]), "{by_variable:#}");
    Ok(())
}
