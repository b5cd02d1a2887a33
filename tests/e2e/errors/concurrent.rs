//! Two dumps of one database at the same time: one is done, the other says that it is not needed.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::json;

use super::failing::{Failure, document, fails};
use crate::shared::{Holding, a_dump_is_at_work, call, fifteen, no_session_stays_on};

#[test]
fn of_two_dumps_at_once_one_makes_the_backup_and_the_other_is_told_so() -> Result<()> {
    let (cluster, store) = (fifteen()?, StoreUnderTest::folder()?);
    cluster.create_database("twice")?;
    cluster.sql("twice", "CREATE TABLE notes AS SELECT 1 AS id")?;
    // A migration holds the first dump up for as long as the second needs to be refused.
    let migration = Holding::start("twice", "LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")?;

    let first = call(&store, "twice", &["dump", "--output", "json"])?.spawn()?;
    a_dump_is_at_work(&store)?;
    fails(
        || call(&store, "twice", &["dump"]),
        &Failure {
            code: 75,
            kind: "already_running",
            says: &["twice", "dump"],
            hint: &["wait for the other run", "within a minute"],
        },
    )?;
    let running = call(&store, "twice", &["status"])?.json()?;
    ensure!(running["databases"][0]["running"] != json!(null), "{running:#}");

    drop(migration);
    let output = first.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done = document(&String::from_utf8_lossy(&output.stdout))?;
    let listed = call(&store, "twice", &["list"])?.json()?;
    let ids: Vec<_> = listed["backups"].as_array().context("backups")?.iter().map(|b| &b["backup_id"]).collect();
    ensure!(ids == [&done["backup_id"]], "{listed:#}");
    ensure!(listed["unfinished"] == json!([]), "{listed:#}");
    no_session_stays_on(&["twice"])
}
