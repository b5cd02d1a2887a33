//! What is refused before anything is changed, and what is given up without a trace.

use std::fs;

use anyhow::{Result, ensure};
use lifeboat_tests::{Cluster, cluster::repository};

use super::Emergency;
use crate::shared::fifteen;

#[tokio::test(flavor = "multi_thread")]
async fn slots_prepared_transactions_and_pg_cron_refuse_a_swap() -> Result<()> {
    let settings = [("wal_level", "logical"), ("max_prepared_transactions", "2"), ("cron.database_name", "scheduled")];
    let server = Cluster::start_with(15, &settings).await?;
    for database in ["slotted", "prepared", "scheduled"] {
        server.create_database(database)?;
        server.sql(database, "CREATE TABLE t ()")?;
        let emergency = Emergency::of(&server, database)?;
        let (make, unmake, named) = match database {
            "slotted" => (
                "SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')",
                "SELECT pg_drop_replication_slot('cdc')",
                "replication slot cdc",
            ),
            "prepared" => ("BEGIN; CREATE TABLE u (); PREPARE TRANSACTION 'left'", "ROLLBACK PREPARED 'left'", "left"),
            _ => ("SELECT 1", "", "pg_cron"),
        };
        emergency.sql(make)?;
        let refused = emergency.restore(&["kept/latest", "--swap", "--yes"]).run()?.expect(9)?;
        ensure!(refused.stderr.contains(named), "{}", refused.stderr);
        emergency.expect_alone(database)?;
        if !unmake.is_empty() {
            emergency.sql(unmake)?;
            emergency.restore(&["kept/latest", "--swap", "--yes"]).run()?.expect(0)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_made_while_the_side_database_is_filled_still_keeps_the_old_one_in_its_place() -> Result<()> {
    let server = Cluster::start_with(15, &[("wal_level", "logical")]).await?;
    server.create_database("late")?;
    server.sql("late", "CREATE TABLE t ()")?;
    let emergency = Emergency::of(&server, "late")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lifeboat.toml");
    let slot = "SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')";
    let hook = format!("[\"{}\", \"{}\", \"-c\", \"{slot}\"]", server.bin.join("psql").display(), server.url("late"));
    let target = "[restore.targets.production]\nurl = { env = \"LIVE_URL\" }";
    fs::write(&file, format!("{target}\nbefore = [{{ command = {hook} }}]\n"))?;
    let swap = emergency.call(&["restore", "kept/latest", "--target", "production", "--swap", "--yes"]);
    let refused = swap.env("LIFEBOAT_CONFIG", &file).env("LIVE_URL", server.url("late")).run()?.expect(9)?;
    ensure!(refused.stderr.contains("replication slot cdc"), "{}", refused.stderr);
    emergency.expect_alone("after the refusal")
}

#[test]
fn a_role_that_may_not_rename_is_refused_and_a_database_that_is_not_lifeboats_is_not_dropped() -> Result<()> {
    let server = fifteen()?;
    server.sql_file("postgres", &repository().join("tests/fixtures/roles.sql"))?;
    server.create_database("not_yours")?;
    let emergency = Emergency::of(server, "not_yours")?;
    let url = format!("postgres://lb_app@127.0.0.1:{}/not_yours", server.port());
    let refused = emergency
        .call(&["restore", "kept/latest", "--to", &url, "--swap", "--yes"])
        .env("PGPASSWORD", "lb-app-secret")
        .run()?
        .expect(9)?;
    ensure!(
        refused.stderr.contains("CREATEDB") && refused.stderr.contains("belongs to 'postgres'"),
        "{}",
        refused.stderr
    );
    emergency.expect_alone("after the refusal")?;

    server.create_database("not_yours_lifeboat_new")?;
    let refused = emergency.restore(&["kept/latest", "--swap", "--yes"]).run()?.expect(9)?;
    ensure!(refused.stderr.contains("nothing marks it as left by Lifeboat"), "{}", refused.stderr);
    server.sql("postgres", "DROP DATABASE not_yours_lifeboat_new")?;
    Ok(())
}

#[test]
fn a_check_that_is_not_true_keeps_the_restored_database_from_going_live() -> Result<()> {
    let server = fifteen()?;
    server.create_database("checked")?;
    server.sql(
        "checked",
        "CREATE SCHEMA shop; CREATE TABLE shop.users AS SELECT 1 AS id; ALTER DATABASE checked SET search_path = shop",
    )?;
    let emergency = Emergency::of(server, "checked")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lifeboat.toml");
    let swap_with = |check: &str| -> Result<_> {
        // The name of the table is found only with the database's own settings.
        fs::write(&file, format!("[databases.kept.drill]\nchecks = [{{ name = \"users\", sql = \"{check}\" }}]\n"))?;
        emergency.restore(&["kept/latest", "--swap", "--yes"]).env("LIFEBOAT_CONFIG", &file).run()
    };
    let failed = swap_with("SELECT count(*) > 1 FROM users")?.expect(7)?;
    ensure!(
        failed.stderr.contains("check 'users' is not true") && failed.stderr.contains("it was not touched"),
        "{}",
        failed.stderr
    );
    emergency.expect_alone("after a check that failed")?;
    let done = swap_with("SELECT count(*) = 1 FROM users")?.expect(0)?;
    ensure!(
        done.stdout.contains("1 check, true") && done.stdout.contains("lifeboat restore --swap-back --to env:LIVE_URL"),
        "{}",
        done.stdout
    );
    Ok(())
}

#[test]
fn a_schema_that_is_there_and_tables_of_one_name_refuse_a_rescue() -> Result<()> {
    let server = fifteen()?;
    server.create_database("rescue_refused")?;
    server.sql("rescue_refused", "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (); CREATE TABLE b.t ()")?;
    let emergency = Emergency::of(server, "rescue_refused")?;
    let rescue = |arguments: &[&str]| emergency.restore(&["kept/latest"]).args(arguments.iter().copied());
    let there = rescue(&["--table", "a.t", "--into-schema", "b"]).run()?.expect(9)?;
    ensure!(there.stderr.contains("has a schema 'b' already"), "{}", there.stderr);
    let twice = rescue(&["--table", "a.t", "--table", "b.t", "--into-schema", "rescue"]).run()?.expect(2)?;
    ensure!(twice.stderr.contains("cannot be in one schema"), "{}", twice.stderr);
    rescue(&["--into-schema", "rescue"]).run()?.expect(2)?;
    rescue(&["--table", "a.t", "--into-schema", "rescue", "--force"]).run()?.expect(2)?;
    emergency.expect_alone("after refusals")
}
