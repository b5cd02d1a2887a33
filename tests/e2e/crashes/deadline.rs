//! A deadline in mid-dump: exit code 10 before it, and nothing stays behind but the backups that were made.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Cluster, StoreUnderTest,
    program::wait_until,
    proxy::{Mode, Proxy},
};
use serde_json::Value;

use super::running::{AT_ONCE, Running, dumps, listed, no_session_within, nothing_listed};

/// More bytes than pg_dump reads of the catalogs, and less than the table has.
const IN_MID_COPY: u64 = 4 << 20;

/// More rows than fit through.
const TABLE: &str =
    "CREATE TABLE public.a AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 20000) g";

/// Of such a short time half is for cleaning up.
const DEADLINE: Duration = Duration::from_secs(80);

#[tokio::test]
async fn a_dump_that_cannot_end_before_its_deadline_ends_with_10_and_leaves_nothing() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("late")?;
    cluster.sql("late", TABLE)?;
    let store = StoreUnderTest::folder()?;
    let proxy = Proxy::start(cluster.port(), Mode::HoldAfter(IN_MID_COPY))?;
    let through = proxy.through(&cluster.url("late"), cluster.port());
    let deadline = format!("{}s", DEADLINE.as_secs());
    let began = Instant::now();
    let mut dump = Running::start(store.lifeboat(["dump", "--jobs", "2", "--deadline", &deadline]).database(&through))?;
    wait_until("the proxy holds the COPY", DEADLINE / 2, || Ok(proxy.held() > 0)).with_context(|| dump.log())?;
    let code = dump.ended(DEADLINE)?;
    ensure!(code == 10, "{code}: {}", dump.log());
    ensure!(began.elapsed() < DEADLINE, "it ended after its deadline: {}", dump.log());
    no_session_within(&cluster, AT_ONCE)?;
    nothing_listed(&store)?;
    // The lease was given back, and a deadline that is far enough stops nothing.
    store.lifeboat(["dump", "--deadline", "1h"]).database(&cluster.url("late")).run()?.expect(0)?;
    let past = store.lifeboat(["dump", "--deadline", "2026-01-01T00:00:00Z"]).database(&cluster.url("late"));
    ensure!(past.run()?.expect(2)?.stderr.contains("is past"));
    dumps(&store, &cluster.url("late"))
}

#[tokio::test]
async fn a_dump_of_all_that_reaches_its_deadline_tells_what_it_has_made_and_what_it_has_not_begun() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    for database in ["first", "held", "last"] {
        cluster.create_database(database)?;
    }
    cluster.sql("first", "CREATE TABLE notes AS SELECT 1 AS id")?;
    cluster.sql("held", TABLE)?;
    let (store, folder) = (StoreUnderTest::folder()?, tempfile::tempdir()?);
    let file = folder.path().join("lifeboat.toml");
    let section = |slug: &str| format!("[databases.{slug}]\nurl = {{ env = \"{}_URL\" }}\n", slug.to_uppercase());
    fs::write(&file, ["first", "held", "last"].map(section).concat())?;
    let proxy = Proxy::start(cluster.port(), Mode::HoldAfter(IN_MID_COPY))?;
    let ended = store
        .lifeboat(["dump", "--all", "--deadline", "30s", "--output", "json"])
        .env("LIFEBOAT_CONFIG", &file)
        .env("FIRST_URL", cluster.url("first"))
        .env("HELD_URL", proxy.through(&cluster.url("held"), cluster.port()))
        .env("LAST_URL", cluster.url("last"))
        .run()?
        .expect(10)?;
    let told: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("not one document: {ended:?}"))?;
    ensure!(told["done"] == 1 && told["failed"] == 2, "{told:#}");
    let all = told["databases"].as_array().context("databases")?;
    ensure!(
        all.len() == 3 && all[1]["error"]["kind"] == "deadline" && all[2]["error"]["kind"] == "deadline",
        "{told:#}"
    );
    let says = |number: usize| all[number]["error"]["message"].as_str().unwrap_or_default().contains("not begun");
    ensure!(!says(1) && says(2), "{told:#}");
    let backups = listed(&store)?;
    ensure!(backups.len() == 1 && backups[0]["backup_id"] == all[0]["backup"]["backup_id"], "{backups:#?}");
    no_session_within(&cluster, AT_ONCE).map(drop)
}
