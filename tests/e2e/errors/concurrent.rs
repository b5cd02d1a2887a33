//! Two dumps of one database at the same time: one is done, the other says that it is not needed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{StoreUnderTest, program::wait_until};
use serde_json::json;

use super::failing::{Failure, document, fails};
use crate::shared::{call, fifteen, no_session_stays_on};

#[test]
fn of_two_dumps_at_once_one_makes_the_backup_and_the_other_is_told_so() -> Result<()> {
    let (cluster, store) = (fifteen()?, StoreUnderTest::folder()?);
    cluster.create_database("twice")?;
    cluster.sql("twice", "CREATE TABLE notes AS SELECT 1 AS id")?;
    // A migration holds the first dump up for as long as the second needs to be refused.
    let mut migration = cluster.tool("psql", "twice");
    migration.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]).stdin(std::process::Stdio::piped());
    let mut migration = migration.stdout(std::process::Stdio::piped()).spawn().context("start psql")?;
    let mut sql = migration.stdin.take().context("psql's input")?;
    std::io::Write::write_all(&mut sql, b"BEGIN; LOCK TABLE notes IN ACCESS EXCLUSIVE MODE;\n")?;
    wait_until("the migration holds its lock", Duration::from_secs(20), || {
        let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
                    AND relation = 'notes'::regclass";
        Ok(cluster.sql("twice", held)?.trim() == "1")
    })?;

    let first = call(&store, "twice", &["dump", "--output", "json"])?.spawn()?;
    let lease = store.path().context("a folder")?.join(".control/leases/twice.json");
    wait_until("the first dump holds the lease", Duration::from_secs(20), || Ok(lease.exists()))?;
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

    drop(sql);
    ensure!(migration.wait()?.success());
    let output = first.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let done = document(&String::from_utf8_lossy(&output.stdout))?;
    let listed = call(&store, "twice", &["list"])?.json()?;
    let ids: Vec<_> = listed["backups"].as_array().context("backups")?.iter().map(|b| &b["backup_id"]).collect();
    ensure!(ids == [&done["backup_id"]], "{listed:#}");
    ensure!(listed["unfinished"] == json!([]), "{listed:#}");
    no_session_stays_on(&["twice"])
}
