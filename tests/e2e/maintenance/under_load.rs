//! pgbench is the application: it must not notice, its tables must shrink, and the report must be true.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, StoreUnderTest, cluster::run, program::wait_until};
use serde_json::Value;

use crate::shared::{blocking, with_tools};

/// `lock_timeout` as it is by default, in seconds: nobody may wait longer.
const LOCK_TIMEOUT: f64 = 2.0;

const DATABASE: &str = "care_load";

/// Starts pgbench's usual transactions; each is logged with its latency.
fn application(cluster: &Cluster, folder: &Path) -> Result<Child> {
    let mut command = cluster.tool("pgbench", DATABASE);
    command.args(["-n", "-c", "4", "-j", "2", "-T", "15", "-l", "--log-prefix"]).arg(folder.join("log"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("start pgbench")
}

/// When each transaction ended, seconds since 1970, and how long it took, seconds.
fn transactions(folder: &Path) -> Result<Vec<(f64, f64)>> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder)? {
        for line in fs::read_to_string(file?.path())?.lines() {
            let fields: Vec<f64> =
                line.split(' ').map(str::parse).collect::<Result<_, _>>().context(line.to_owned())?;
            let [_, _, latency, _, seconds, microseconds, ..] = fields[..] else { continue };
            found.push((seconds + microseconds / 1e6, latency / 1e6));
        }
    }
    Ok(found)
}

/// A figure that pgstattuple or pgstatindex gives.
fn measured(cluster: &Cluster, expression: &str) -> Result<f64> {
    let told = cluster.sql(DATABASE, &format!("SELECT {expression}"))?;
    told.trim().parse().with_context(|| format!("{expression}: {told}"))
}

/// Bloat of the table in percent: what is dead or free.
const TABLE: &str = "(dead_tuple_len + free_space) * 100.0 / table_len FROM pgstattuple('pgbench_accounts')";
/// Bloat of its primary key in percent: what leaves filled to 90 % would not need.
const INDEX: &str = "100 - (leaf_pages * avg_leaf_density / 90 + internal_pages + 1) * 8192 * 100.0 / index_size
                     FROM pgstatindex('pgbench_accounts_pkey')";

fn line<'a>(report: &'a Value, kind: &str, name: &str) -> Result<&'a Value> {
    let lines = report[kind].as_array().context("lines")?;
    lines.iter().find(|l| l["before"]["name"]["name"] == name).with_context(|| format!("no {name} in {kind}"))
}

fn near(what: &str, told: &Value, measured: f64, tolerance: f64) -> Result<()> {
    ensure!(told["source"] == "measured", "{what}: {told:#}");
    let percent = told["percent"].as_f64().context("percent")?;
    eprintln!("{what}: report {percent} %, pgstattuple {measured:.1} %");
    ensure!((percent - measured).abs() <= tolerance, "{what}: report {percent} %, pgstattuple {measured:.1} %");
    Ok(())
}

#[test]
fn an_application_under_load_never_waits_long_its_bloat_shrinks_and_the_report_is_true() -> Result<()> {
    // A cluster of its own: a session that waits to begin, because its database is being copied say, keeps VACUUM from
    // removing rows in all databases.
    let (cluster, store, logs) = (blocking(Cluster::start(15))?, StoreUnderTest::folder()?, tempfile::tempdir()?);
    let cluster = &cluster;
    let maintain = |arguments: &[&str]| {
        with_tools(store.lifeboat(arguments).database(&cluster.url(DATABASE)), &cluster.bin).json()
    };
    cluster.create_database(DATABASE)?;
    run(cluster.tool("pgbench", DATABASE).args(["-i", "-q", "-s", "3"]))?;
    // Two thirds of the table are dead, and its index is made of as many entries.
    cluster.sql(
        DATABASE,
        "CREATE EXTENSION pgstattuple; UPDATE pgbench_accounts SET aid = aid + 1000000; UPDATE pgbench_accounts SET aid = aid - 1000000",
    )?;
    let table_before = measured(cluster, TABLE)?;

    let mut application = application(cluster, logs.path())?;
    wait_until("the application is at work", Duration::from_mins(1), || {
        Ok(cluster.sql(DATABASE, "SELECT count(*) FROM pgbench_history")?.trim() != "0")
    })?;
    let report = maintain(&["maintenance", "--vacuum", "--analyze", "--reindex"]);
    let ended = application.wait()?;
    let report = report?;
    ensure!(ended.success(), "pgbench failed: {ended}");

    // Nobody waited, and there was somebody to wait.
    let began: f64 = measured(
        cluster,
        &format!("extract(epoch FROM '{}'::timestamptz)", report["started_at"].as_str().context("time")?),
    )?;
    let until = began + report["seconds"].as_f64().context("seconds")?;
    let all = transactions(logs.path())?;
    let meanwhile = all.iter().filter(|(ended, latency)| *ended >= began && ended - latency < until);
    let longest = all.iter().map(|(_, latency)| *latency).fold(0.0, f64::max);
    let count = meanwhile.clone().count();
    let longest_meanwhile = meanwhile.map(|(_, latency)| *latency).fold(0.0, f64::max);
    eprintln!(
        "{count} of {} transactions during {:.1} s of maintenance, the longest {longest_meanwhile:.3} s; {longest:.3} s in all",
        all.len(),
        until - began
    );
    ensure!(count > 10, "the application did nothing meanwhile");
    ensure!(longest_meanwhile < LOCK_TIMEOUT, "a transaction took {longest_meanwhile} s");

    // What was bloated is not any more.
    let statements = report["statements"].as_array().context("statements")?;
    let outcome = |begin: &str| {
        let found = statements
            .iter()
            .find(|s| s["statement"].as_str().is_some_and(|s| s.starts_with(begin) && s.contains("pgbench_accounts")));
        found.map(|s| s["outcome"].clone()).with_context(|| format!("no {begin} in {statements:#?}"))
    };
    for begin in ["VACUUM", "ANALYZE", "REINDEX"] {
        ensure!(outcome(begin)? == "done", "{begin}: {statements:#?}");
    }
    let (table, index) =
        (line(&report, "tables", "pgbench_accounts")?, line(&report, "indexes", "pgbench_accounts_pkey")?);
    let (before, after) =
        (index["before"]["bytes"].as_u64().context("bytes")?, index["after_bytes"].as_u64().context("bytes")?);
    eprintln!("pgbench_accounts_pkey: {before} to {after} bytes");
    ensure!(after * 2 < before, "{index:#}");
    ensure!(table["before"]["dead_tuples"].as_u64() >= Some(600_000), "{table:#}");
    ensure!(table["after"]["dead_tuples"].as_u64() < Some(60_000), "{table:#}");
    let invalid = cluster.sql(DATABASE, "SELECT count(*) FROM pg_index WHERE NOT indisvalid")?;
    ensure!(invalid.trim() == "0", "{invalid} invalid indexes");

    // Its figures were true before, as far as the load let them stand still, and are now.
    near("table before", &table["before"]["bloat"], table_before, 5.0)?;
    // pgstatindex does not know entries of dead rows from others; what REINDEX gave back is the truth.
    let told = index["before"]["bloat"]["percent"].as_u64().context("percent")?;
    let reclaimed = (before - after) * 100 / before;
    eprintln!("index before: report {told} %, given back {reclaimed} %");
    ensure!(told.abs_diff(reclaimed) <= 7, "index before: report {told} %, given back {reclaimed} %");
    let (table_now, index_now) = (measured(cluster, TABLE)?, measured(cluster, INDEX)?);
    let now = maintain(&["maintenance", "--check-bloat"])?;
    ensure!(now["statements"].as_array().is_some_and(Vec::is_empty), "checks run nothing");
    near("table now", &line(&now, "tables", "pgbench_accounts")?["before"]["bloat"], table_now, 2.0)?;
    // Too small by now to be measured: the estimate must do.
    let index_now_told = &line(&now, "indexes", "pgbench_accounts_pkey")?["before"]["bloat"]["percent"];
    let told = index_now_told.as_f64().context("percent")?;
    eprintln!("index now: report {told} %, pgstatindex {index_now:.1} %");
    ensure!((told - index_now.max(0.0)).abs() <= 10.0, "index now: {told} %, {index_now} %");
    Ok(())
}
