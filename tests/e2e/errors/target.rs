//! What cannot be restored, shown or fetched, and targets that must not be touched.

use std::fs;

use anyhow::{Result, ensure};
use lifeboat_tests::{Lifeboat, StoreUnderTest};

use super::failing::{Failure, document, fails};
use crate::shared::{call, fifteen, no_session_stays_on};

/// A store with one backup of a small database of this name.
fn store_with_a_backup(database: &str) -> Result<StoreUnderTest> {
    let (cluster, store) = (fifteen()?, StoreUnderTest::folder()?);
    cluster.create_database(database)?;
    cluster
        .sql(database, "CREATE TABLE notes (id integer PRIMARY KEY, text text); INSERT INTO notes VALUES (1, 'x')")?;
    call(&store, database, &["dump"])?.run()?.expect(0)?;
    Ok(store)
}

fn restore_to(store: &StoreUnderTest, source: &str, target: &str, further: &[&str]) -> Result<Lifeboat> {
    let call = call(store, source, &["restore", "latest", "--to", "env:TARGET_URL"])?.args(further);
    Ok(call.env("TARGET_URL", fifteen()?.url(target)))
}

#[test]
fn a_target_that_is_not_empty_stays_as_it_is() -> Result<()> {
    let store = store_with_a_backup("refusing")?;
    let cluster = fifteen()?;
    cluster.create_database("occupied")?;
    cluster.sql("occupied", "CREATE TABLE precious AS SELECT 7 AS seven")?;
    for further in [&[] as &[&str], &["--dry-run"]] {
        fails(
            || restore_to(&store, "refusing", "occupied", further),
            &Failure {
                code: 9,
                kind: "refused",
                says: &["database 'occupied' on 127.0.0.1", "is not empty", "precious"],
                hint: &["--force"],
            },
        )?;
    }
    // Whoever means it has to say so: nobody is at a terminal to be asked.
    for further in [&["--force"], &["--clean"]] {
        fails(
            || restore_to(&store, "refusing", "occupied", further),
            &Failure {
                code: 9,
                kind: "refused",
                says: if further[0] == "--force" { &["needs a confirmation"] } else { &["occupied"] },
                hint: if further[0] == "--force" { &["--yes"] } else { &["--"] },
            },
        )?;
    }
    ensure!(cluster.sql("occupied", "SELECT seven FROM precious")?.trim() == "7");
    ensure!(cluster.sql("occupied", "SELECT to_regclass('notes') IS NULL")?.trim() == "t");
    no_session_stays_on(&["refusing", "occupied"])
}

#[test]
fn names_that_collide_are_found_before_anything_is_changed() -> Result<()> {
    let store = store_with_a_backup("colliding")?;
    let cluster = fifteen()?;
    cluster.create_database("taken")?;
    cluster.sql("taken", "CREATE VIEW notes AS SELECT 7 AS seven")?;
    for further in
        [&["--force", "--yes"] as &[&str], &["--force", "--dry-run"], &["--force", "--table", "public.notes"]]
    {
        fails(
            || restore_to(&store, "colliding", "taken", further),
            &Failure {
                code: 9,
                kind: "refused",
                says: &["database 'taken' on 127.0.0.1", "already holds table public.notes", "nothing was changed"],
                hint: &["--force --clean"],
            },
        )?;
    }
    ensure!(cluster.sql("taken", "SELECT seven FROM notes")?.trim() == "7");
    // Beside what does not collide there is room.
    cluster.sql("taken", "ALTER VIEW notes RENAME TO precious")?;
    restore_to(&store, "colliding", "taken", &["--force", "--yes"])?.run()?.expect(0)?;
    ensure!(cluster.sql("taken", "SELECT seven, text FROM precious, notes")?.trim() == "7|x");
    Ok(())
}

#[test]
fn a_target_that_does_not_exist() -> Result<()> {
    let store = store_with_a_backup("homeless")?;
    fails(
        || restore_to(&store, "homeless", "nowhere", &[]),
        &Failure { code: 4, kind: "database", says: &["\"nowhere\" does not exist"], hint: &["database's name"] },
    )
}

#[test]
fn a_role_that_cannot_be_acted_as_is_told_by_the_dry_run_too() -> Result<()> {
    let store = store_with_a_backup("unacted")?;
    fifteen()?.create_database("unacted_target")?;
    let failure =
        Failure { code: 4, kind: "database", says: &["act as role 'nobody'", "does not exist"], hint: &["--role"] };
    for flags in [&["--role", "nobody", "--dry-run"] as &[&str], &["--role", "nobody"]] {
        fails(|| restore_to(&store, "unacted", "unacted_target", flags), &failure)?;
    }
    let made = "SELECT count(*) FROM pg_class WHERE oid >= 16384";
    ensure!(fifteen()?.sql("unacted_target", made)?.trim() == "0", "something was made");
    Ok(())
}

#[test]
fn a_drill_whose_scratch_server_lets_nobody_in_fails_and_has_nothing_to_tear_down() -> Result<()> {
    let store = store_with_a_backup("undrilled")?;
    let wrong = format!("postgres://postgres:hunter2@127.0.0.1:{}/postgres", fifteen()?.port());
    let drill = || -> Result<Lifeboat> {
        Ok(call(&store, "undrilled", &["drill", "--scratch", "env:SCRATCH"])?.env("SCRATCH", &wrong))
    };
    let ended = drill()?.run()?.expect(4)?;
    ensure!(ended.stdout.contains("FAILED") && ended.stdout.contains("phase provision failed"), "{ended:?}");
    ensure!(ended.stdout.contains("nothing was provisioned") && !ended.stdout.contains("hunter2"), "{ended:?}");
    let document = document(&drill()?.args(["--output", "json"]).run()?.expect(4)?.stdout)?;
    ensure!(document["verdict"] == "failed", "{document:#}");
    let listed = store.lifeboat(["list"]).json()?;
    ensure!(listed["backups"][0]["rung"] == "verified", "{listed:#}");
    Ok(())
}

#[test]
fn a_backup_that_does_not_exist() -> Result<()> {
    let store = store_with_a_backup("known")?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("out").display().to_string();
    let id = "20200101T000000Z-abcd";
    let other = format!("elsewhere/{id}");
    let calls: [&[&str]; 9] = [
        &["show", id],
        &["show", &other],
        &["verify", id],
        &["restore", id, "--to", "env:LIFEBOAT_DATABASE_URL"],
        &["fetch", id, &folder],
        &["hold", id],
        &["release", id],
        &["retention", "undo", id],
        &["drill", "--select", id],
    ];
    for arguments in calls {
        fails(
            || call(&store, "known", arguments),
            &Failure { code: 6, kind: "not_found", says: &[id], hint: &["lifeboat list"] },
        )?;
    }
    ensure!(!fs::exists(&folder)?, "fetch made a folder for nothing");
    let listed = call(&store, "another", &["list"])?.run()?.expect(0)?;
    ensure!(listed.stdout.contains("The store also holds known: `lifeboat list NAME`"), "{listed:?}");
    fails(
        || Ok(store.lifeboat(["list", "elsewhere"])),
        &Failure { code: 6, kind: "not_found", says: &["no backup of elsewhere"], hint: &["known"] },
    )?;
    Ok(())
}

#[test]
fn a_folder_to_fetch_into_that_holds_something() -> Result<()> {
    let store = store_with_a_backup("fetched")?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("mine"), "mine")?;
    fails(
        || Ok(call(&store, "fetched", &["fetch", "latest"])?.args([folder.path()])),
        &Failure { code: 9, kind: "refused", says: &["is not empty"], hint: &["folder"] },
    )?;
    ensure!(fs::read_dir(folder.path())?.count() == 1);
    Ok(())
}
