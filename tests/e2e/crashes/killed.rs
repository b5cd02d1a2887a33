//! `kill -9` at ten places of a dump, and a client that is frozen while a proxy holds its connections open.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Cluster, StoreUnderTest,
    program::wait_until,
    proxy::{Mode, Proxy},
};

use super::running::{AT_ONCE, Running, To, dumps, listed, no_session_within, nothing_listed};

/// Where a dump is killed: a word of its log, and how often it has to come.
const PLACES: [(&str, usize); 10] = [
    ("preflight", 1),
    ("tables listed", 1),
    ("tables locked", 1),
    ("snapshot exported", 1),
    ("table of contents harvested", 1),
    ("inventory taken", 1),
    ("unit begun", 1),
    ("unit copied", 2),
    ("catalog", 1),
    ("manifest", 1),
];

/// Longer than a lease outlives its holder.
const LEASE_LAPSES: Duration = Duration::from_secs(80);

/// A minute, and the time that a busy machine takes to look.
const A_MINUTE: Duration = Duration::from_secs(63);

/// More bytes than pg_dump reads of the catalogs, and less than the largest table has.
const BEYOND_CATALOGS: u64 = 4 << 20;

async fn cluster(database: &str) -> Result<Cluster> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database(database)?;
    let sql =
        "CREATE TABLE public.a AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 20000) g;
               CREATE TABLE public.b AS SELECT * FROM public.a LIMIT 1000; SELECT lo_from_bytea(0, 'large');";
    cluster.sql(database, sql)?;
    Ok(cluster)
}

fn killed_at_ten_places(cluster: &Cluster) -> Result<()> {
    let url = cluster.url("killed");
    let mut stores = Vec::new();
    for (place, nth) in PLACES {
        let store = StoreUnderTest::folder()?;
        let mut dump = Running::start(store.lifeboat(["dump", "--jobs", "1"]).database(&url))?;
        dump.until(place, nth)?;
        dump.signal("KILL", To::Program)?;
        ensure!(dump.ended(AT_ONCE)? == 137, "{place}: it was not killed");
        no_session_within(cluster, AT_ONCE).context(place)?;
        // The manifest may have been written before the signal came: then the backup is whole.
        if ["catalog", "manifest"].contains(&place) && !listed(&store)?.is_empty() {
            store.lifeboat(["verify", "latest"]).run()?.expect(0)?;
            continue;
        }
        nothing_listed(&store).context(place)?;
        stores.push((place, store));
    }
    // Those that died with the lease hold the next one off until it lapses.
    let last = &stores.last().context("a store")?.1;
    let refused = last.lifeboat(["dump"]).database(&url).run()?.expect(75)?;
    ensure!(refused.stderr.contains("lease"), "{}", refused.stderr);
    for (place, store) in &stores {
        wait_until("the next dump succeeds", LEASE_LAPSES, || {
            let ended = store.lifeboat(["dump"]).database(&url).run()?;
            ensure!(ended.code == 0 || ended.code == 75, "{place}: {} {}", ended.code, ended.stderr);
            Ok(ended.code == 0)
        })?;
        ensure!(listed(store)?.len() == 1, "{place}: one backup is listed");
    }
    Ok(())
}

/// Freezes a dump in mid-COPY, its coordinator idle beside it.
fn frozen(cluster: &Cluster, database: &str, to: To) -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let proxy = Proxy::start(cluster.port(), Mode::HoldAfter(BEYOND_CATALOGS))?;
    let through = proxy.through(&cluster.url(database), cluster.port());
    let mut dump = Running::start(store.lifeboat(["dump", "--jobs", "1"]).database(&through))?;
    dump.until("unit locked", 1)?;
    wait_until("the proxy holds the COPY", AT_ONCE, || Ok(proxy.held() > 0))?;
    dump.signal("STOP", to)?;
    let ours = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'lifeboat%' AND datname = '{database}'"
    );
    let sessions = || cluster.sql("postgres", &ours).map(|n| n.trim().to_owned());
    ensure!(sessions()? == "2", "coordinator and worker are there");
    wait_until("the server drops the sessions within a minute", A_MINUTE, || Ok(sessions()? == "0"))?;
    nothing_listed(&store)?;
    // Not before the lease has lapsed, whoever looks first: the sleeper or the next dump.
    wait_until("the next dump succeeds", LEASE_LAPSES, || {
        let ended = store.lifeboat(["dump"]).database(&cluster.url(database)).run()?;
        ensure!(ended.code == 0 || ended.code == 75, "{} {}", ended.code, ended.stderr);
        Ok(ended.code == 0)
    })?;
    proxy.set(Mode::Pass);
    dump.signal("CONT", to)?;
    let code = dump.ended(AT_ONCE)?;
    // The server dropped its sessions, its lease lapsed, and another took that: whichever it finds first.
    ensure!([4, 6, 75].contains(&code), "it woke up and ended with {code}: {}", dump.log());
    ensure!(listed(&store)?.len() == 1, "what the sleeper had is not committed");
    wait_until("the sleeper leaves no session", AT_ONCE, || Ok(sessions()? == "0"))?;
    dumps(&store, &cluster.url(database))
}

#[tokio::test]
async fn a_killed_or_frozen_dump_is_never_listed_leaves_no_session_and_gives_way_within_a_minute() -> Result<()> {
    let (killed, program, group) = (cluster("killed").await?, cluster("program").await?, cluster("group").await?);
    std::thread::scope(|scope| {
        let threads = [
            scope.spawn(|| killed_at_ten_places(&killed)),
            scope.spawn(|| frozen(&program, "program", To::Program)),
            scope.spawn(|| frozen(&group, "group", To::Group)),
        ];
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
    })
}
