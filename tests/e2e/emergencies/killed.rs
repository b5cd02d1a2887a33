//! `kill -9` at each step of a swap: the name always leads to a whole database, and the next run finds its way.

use std::{process::Child, time::Duration};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, cluster::run, program::wait_until};
use tokio_postgres::{Client, NoTls};

use super::Emergency;

const SOON: Duration = Duration::from_mins(1);

/// The server looks every ten seconds whether a client is still there.
const NOTICED: Duration = Duration::from_secs(20);

const ROWS: &str = "SELECT count(*) || ' ' || coalesce(sum(length(text)), 0) FROM public.a";

fn kill(mut child: Child) -> Result<()> {
    child.kill().context("kill -9")?;
    child.wait()?;
    Ok(())
}

async fn session(server: &Cluster, database: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(&server.url(database), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn started(emergency: &Emergency<'_>) -> Result<Child> {
    emergency.restore(&["kept/latest", "--swap", "--yes"]).spawn()
}

fn until_unfinished_is_there(emergency: &Emergency<'_>) -> Result<()> {
    let sql = format!(
        "SELECT count(*) FROM pg_database d WHERE datname = '{}_lifeboat_new'
         AND shobj_description(d.oid, 'pg_database') LIKE 'Made by Lifeboat and not finished%'",
        emergency.database
    );
    wait_until("the side database is there", SOON, || Ok(emergency.server.sql("postgres", &sql)?.trim() == "1"))
}

fn until_filled(server: &Cluster, emergency: &Emergency<'_>) -> Result<()> {
    wait_until("the side database is made anew", SOON, || {
        Ok(server.lifeboat_sessions()?.iter().any(|s| s.contains("COPY") || s.contains("ANALYZE")))
    })?;
    until_unfinished_is_there(emergency)
}

fn signal(which: &str, child: &Child) -> Result<()> {
    run(std::process::Command::new("kill").args([which, &child.id().to_string()]))?;
    Ok(())
}

/// Waits until the exchange waits for a lock on a database's name.
fn until_exchange_waits(emergency: &Emergency<'_>, renaming: &str) -> Result<()> {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lifeboat restore' AND wait_event_type = 'Lock'
         AND query LIKE 'ALTER DATABASE \"{renaming}\" RENAME%'"
    );
    wait_until("the exchange waits", SOON, || Ok(emergency.server.sql("postgres", &sql)?.trim() == "1"))
}

/// Locks a database's name against renaming, as an administrator's open transaction does.
async fn lock(client: &Client, database: &str) -> Result<()> {
    client
        .batch_execute(&format!("BEGIN; COMMENT ON DATABASE \"{database}\" IS 'Made by Lifeboat and not finished'"))
        .await?;
    Ok(())
}

fn live_answers(emergency: &Emergency<'_>, expected: &str, when: &str) -> Result<()> {
    let mut last = String::new();
    wait_until("the live database answers", NOTICED, || {
        last = emergency.sql(ROWS)?;
        Ok(true)
    })?;
    ensure!(last == expected, "{when}: {last} instead of {expected}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_killed_at_any_step_leaves_a_whole_database_under_the_name() -> Result<()> {
    let server = Cluster::start(15).await?;
    server.create_database("killed")?;
    let rows =
        "CREATE TABLE public.a AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 40000) g";
    server.sql("killed", rows)?;
    let emergency = Emergency::of(&server, "killed")?;
    let restored = emergency.sql(ROWS)?;
    emergency.sql("DELETE FROM public.a WHERE id > 100")?;
    let live = emergency.sql(ROWS)?;

    // While the side database is filled.
    let running = started(&emergency)?;
    until_unfinished_is_there(&emergency)?;
    kill(running)?;
    live_answers(&emergency, &live, "killed while restoring")?;
    ensure!(emergency.databases()? == ["killed", "killed_lifeboat_new"], "{:?}", emergency.databases()?);

    // While the exchange waits for the live name; the second run has dropped what the first one left.
    let administrator = session(&server, "postgres").await?;
    lock(&administrator, "killed").await?;
    let running = started(&emergency)?;
    until_exchange_waits(&emergency, "killed")?;
    kill(running)?;
    administrator.batch_execute("ROLLBACK").await?;
    live_answers(&emergency, &live, "killed before the first rename")?;

    // The machine that runs it stands still between the two renames: the server does not wait for it for long.
    let side = "killed_lifeboat_new";
    let running = started(&emergency)?;
    until_filled(&server, &emergency)?;
    lock(&administrator, side).await?;
    until_exchange_waits(&emergency, side)?;
    signal("-STOP", &running)?;
    administrator.batch_execute("ROLLBACK").await?;
    live_answers(&emergency, &live, "stopped between the renames")?;
    signal("-CONT", &running)?;
    let ended = running.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(!ended.status.success() && said.contains("nothing was changed"), "{said}");
    ensure!(emergency.databases()? == ["killed"], "it has cleaned up: {:?}", emergency.databases()?);

    // Between the two renames: the first is made, and seen by nobody.
    let running = started(&emergency)?;
    until_filled(&server, &emergency)?;
    lock(&administrator, side).await?;
    until_exchange_waits(&emergency, side)?;
    kill(running)?;
    live_answers(&emergency, &live, "killed between the renames")?;
    administrator.batch_execute("ROLLBACK").await?;
    wait_until("the server has noticed", NOTICED, || Ok(server.lifeboat_sessions()?.is_empty()))?;
    ensure!(emergency.databases()? == ["killed", "killed_lifeboat_new"], "{:?}", emergency.databases()?);

    // The next run says what it found, and swaps.
    let plan = emergency.restore(&["kept/latest", "--swap", "--dry-run"]).json()?;
    ensure!(plan["drops_left_over"] == true, "{plan:#}");
    let ended = emergency.restore(&["kept/latest", "--swap", "--yes"]).run()?.expect(0)?;
    ensure!(ended.stderr.contains("'killed_lifeboat_new' was left by a run that did not end"), "{}", ended.stderr);
    live_answers(&emergency, &restored, "swapped at last")?;

    // Killed after the exchange, before it could say so: whoever runs it again is told.
    let again = emergency.restore(&["kept/latest", "--swap", "--yes"]).run()?.expect(9)?;
    ensure!(again.stderr.contains("an earlier swap has put aside"), "{}", again.stderr);

    // The same of the way back, while it waits.
    lock(&administrator, "killed").await?;
    let running = emergency.restore(&["--swap-back", "--yes"]).spawn()?;
    until_exchange_waits(&emergency, "killed")?;
    kill(running)?;
    administrator.batch_execute("ROLLBACK").await?;
    live_answers(&emergency, &restored, "the way back killed")?;
    wait_until("the server has noticed", NOTICED, || Ok(server.lifeboat_sessions()?.is_empty()))?;
    emergency.restore(&["--swap-back", "--yes"]).run()?.expect(0)?;
    live_answers(&emergency, &live, "taken back at last")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_beside_one_database_exclude_each_other_and_a_lock_that_stays_ends_the_exchange() -> Result<()> {
    let server = Cluster::start(15).await?;
    server.create_database("held")?;
    server.sql("held", "CREATE TABLE public.a AS SELECT 1 AS id, 'x'::text AS text")?;
    let emergency = Emergency::of(&server, "held")?;
    let administrator = session(&server, "postgres").await?;
    // As long as this lasts, no database can be made.
    lock(&administrator, "template0").await?;
    let first = started(&emergency)?;
    wait_until("the first run wants its side database", SOON, || {
        Ok(server.lifeboat_sessions()?.iter().any(|session| session.contains("CREATE DATABASE")))
    })?;
    let second = emergency.restore(&["kept/latest", "--swap", "--yes"]).run()?.expect(75)?;
    ensure!(second.stderr.contains("another run works beside database 'held'"), "{}", second.stderr);
    administrator.batch_execute("ROLLBACK").await?;
    let first = first.wait_with_output()?;
    ensure!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    emergency.restore(&["--swap-back", "--yes"]).run()?.expect(0)?;
    server.sql("postgres", "DROP DATABASE held_lifeboat_undone")?;

    lock(&administrator, "held").await?;
    let given_up = emergency.restore(&["kept/latest", "--swap", "--yes"]).run()?.expect(4)?;
    ensure!(given_up.stderr.contains("nothing was changed"), "{}", given_up.stderr);
    ensure!(given_up.stderr.contains("ALTER or COMMENT ON DATABASE"), "{}", given_up.stderr);
    administrator.batch_execute("ROLLBACK").await?;
    emergency.expect_alone("after an exchange that found no way in")
}
