//! Huge catalogs: thousands of tables there and back, and what a server needs for them said before anything is begun.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, Lifeboat, StoreUnderTest};

use crate::errors::failing::run_within;

/// The most memory that the client may take with 20,000 tables, MiB.
const MOST_MEMORY: f64 = 400.0;

/// As few as the server takes: room for some hundred locks of all sessions together.
const NARROW: [(&str, &str); 7] = [
    ("max_locks_per_transaction", "10"),
    ("max_connections", "14"),
    ("autovacuum_max_workers", "1"),
    ("max_worker_processes", "0"),
    ("max_parallel_workers", "0"),
    ("max_wal_senders", "0"),
    ("max_prepared_transactions", "0"),
];

/// A quarter of what a login shell allows, and half of the tables.
const FEW_FILE_HANDLES: [&str; 4] = ["bash", "-c", "ulimit -n 256; exec \"$@\"", "bash"];

/// Tables of a few rows, every third one empty, each with an index, in transactions that a server as it comes has locks for.
fn create_tables(cluster: &Cluster, database: &str, count: u32) -> Result<()> {
    cluster.create_database(database)?;
    cluster.sql(
        database,
        "CREATE PROCEDURE public.make(tables int) LANGUAGE plpgsql AS $$ BEGIN
               FOR n IN 1 .. tables LOOP
                 EXECUTE format('CREATE TABLE public.t%s (id int PRIMARY KEY, text text)', n);
                 IF n % 3 > 0 THEN EXECUTE format('INSERT INTO public.t%s SELECT g, md5(g::text) FROM generate_series(1, 5) g', n); END IF;
                 IF n % 20 = 0 THEN COMMIT; END IF;
               END LOOP; END $$",
    )?;
    cluster.sql(database, &format!("CALL public.make({count})"))?;
    cluster.sql(database, "DROP PROCEDURE public.make").map(drop)
}

/// A cluster with so many tables in `wide`, and the calls of a dump, of its check and of its restore into `restored`.
async fn calls(
    count: u32,
    settings: &[(&str, &str)],
    store: &StoreUnderTest,
) -> Result<(Cluster, [(&'static str, Lifeboat); 3])> {
    let cluster = Cluster::start_with(15, settings).await?;
    create_tables(&cluster, "wide", count)?;
    cluster.create_database_with("restored", "TEMPLATE template0")?;
    let dump = store.lifeboat(["dump", "--no-verify", "--jobs", "4"]).database(&cluster.url("wide"));
    let restore = store
        .lifeboat(["restore", "latest", "--to", "env:TARGET_URL", "--jobs", "4", "--fast-scratch"])
        .env("TARGET_URL", cluster.url("restored"));
    let all = [("dump", dump), ("verify", store.lifeboat(["verify", "--jobs", "4"])), ("restore", restore)];
    let all = all.map(|(what, call)| (what, call.env("LIFEBOAT_CLIENT_TOOLS", &cluster.bin)));
    Ok((cluster, all))
}

/// Dumps, verifies and restores so many tables, and tells what each took.
async fn there_and_back(count: u32, settings: &[(&str, &str)]) -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let (cluster, calls) = calls(count, settings, &store).await?;
    for (what, call) in calls {
        let began = Instant::now();
        let (code, peak) = call.run_measured()?;
        eprintln!("{count} tables: {what} {:.1} s, {peak:.0} MiB", began.elapsed().as_secs_f64());
        ensure!(code == 0, "{what} ended with {code}");
        ensure!(peak <= MOST_MEMORY, "{what} took {peak:.0} MiB of memory, more than {MOST_MEMORY}");
    }
    expect_restored(&cluster, "restored", count)
}

/// Fails unless the tables are there, with their rows.
fn expect_restored(cluster: &Cluster, database: &str, count: u32) -> Result<()> {
    let counted = cluster.sql(database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")?;
    ensure!(counted.trim() == count.to_string(), "{counted} tables came back");
    let rows = cluster.sql(database, "SELECT (SELECT count(*) FROM t1), (SELECT count(*) FROM t3)")?;
    ensure!(rows.trim() == "5|0", "{rows}");
    Ok(())
}

/// The value that a refusal says `max_locks_per_transaction` should have.
fn setting_named(text: &str) -> Result<String> {
    let told = text.split_once("set max_locks_per_transaction = ").context("no setting is named")?.1;
    Ok(told.chars().take_while(char::is_ascii_digit).collect())
}

fn narrow_but_for_locks(wanted: &str) -> Vec<(&'static str, &str)> {
    NARROW.iter().map(|(name, value)| (*name, if *name == NARROW[0].0 { wanted } else { *value })).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_room_for_locks_is_said_before_a_dump_begins_with_what_to_set() -> Result<()> {
    let narrow = Cluster::start_with(15, &NARROW).await?;
    // Its tables are made a few at a time: that works everywhere.
    create_tables(&narrow, "many", 500)?;
    let store = StoreUnderTest::folder()?;
    let call = |arguments: &[&str]| {
        let call = store.lifeboat(arguments.iter().copied()).env("LIFEBOAT_CLIENT_TOOLS", &narrow.bin);
        call.database(&narrow.url("many"))
    };
    let refused = call(&["dump"]).run()?.expect(4)?;
    ensure!(refused.stderr.contains("a dump locks 500 tables"), "{}", refused.stderr);
    let wanted = setting_named(&refused.stderr)?;
    ensure!(store.lifeboat(["list"]).run()?.stdout.find("many").is_none(), "something was written");
    let preflight = call(&["preflight"]).run()?.expect(4)?;
    let said = format!("{}{}", preflight.stdout, preflight.stderr);
    ensure!(said.contains(&format!("max_locks_per_transaction = {wanted}")), "{said}");
    drop(narrow);
    // What it said is enough.
    there_and_back(500, &narrow_but_for_locks(&wanted)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_room_for_locks_is_said_before_a_restore_drops_anything_with_what_to_set() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let (wide, [(_, dump), ..]) = calls(500, &[], &store).await?;
    dump.run()?.expect(0)?;
    let into = |cluster: &Cluster, database: &str, options: &[&str]| {
        let call = store.lifeboat(["restore", "latest", "--to", "env:TARGET_URL"]).args(options.iter().copied());
        call.env("TARGET_URL", cluster.url(database)).env("LIFEBOAT_CLIENT_TOOLS", &cluster.bin)
    };
    let over = ["--clean", "--force", "--no-safety-backup", "--yes"];
    let narrow = Cluster::start_with(15, &NARROW).await?;
    create_tables(&narrow, "many", 500)?;
    let refused = into(&narrow, "many", &over).run()?.expect(9)?;
    ensure!(refused.stderr.contains("to drop what is there, in one transaction,"), "{}", refused.stderr);
    let wanted = setting_named(&refused.stderr)?;
    expect_restored(&narrow, "many", 500)?;
    // Into an empty database it takes few locks at a time.
    narrow.create_database_with("empty", "TEMPLATE template0")?;
    into(&narrow, "empty", &["--jobs", "4"]).run()?.expect(0)?;
    expect_restored(&narrow, "empty", 500)?;
    drop((narrow, wide));
    // What it said is enough.
    let enough = Cluster::start_with(15, &narrow_but_for_locks(&wanted)).await?;
    create_tables(&enough, "many", 500)?;
    enough.sql("many", "DELETE FROM public.t1")?;
    into(&enough, "many", &over).run()?.expect(0)?;
    expect_restored(&enough, "many", 500)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tables_than_file_handles_come_back() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let (cluster, calls) = calls(500, &[], &store).await?;
    for (what, call) in calls {
        run_within(&FEW_FILE_HANDLES, &call)?.expect(0).context(what)?;
    }
    expect_restored(&cluster, "restored", 500)
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_look_through_all_locks_only_where_the_server_does_not_count_scans() -> Result<()> {
    const TABLES: usize = 30;
    for major in [15, 18] {
        for (counts, looks) in [("on", 0), ("off", TABLES)] {
            let settings = [("track_counts", counts), ("log_statement", "all")];
            let cluster = Cluster::start_with(major, &settings).await?;
            create_tables(&cluster, "some", u32::try_from(TABLES)?)?;
            let store = StoreUnderTest::folder()?;
            let dump = store.lifeboat(["dump"]).env("LIFEBOAT_CLIENT_TOOLS", &cluster.bin);
            dump.database(&cluster.url("some")).run()?.expect(0)?;
            let log = std::fs::read_to_string(cluster.server.folder().join("log"))?;
            let looked = log.matches("pg_catalog.pg_locks l LEFT JOIN").count();
            ensure!(looked == looks, "PostgreSQL {major}, track_counts {counts}: looked {looked} times");
            ensure!(log.matches("COPY \"public\"").count() == TABLES, "the log does not tell what a dump does");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "20,000 tables: run by `make soak`"]
async fn twenty_thousand_tables_come_back_with_the_room_for_locks_that_was_asked_for() -> Result<()> {
    there_and_back(20_000, &[("max_locks_per_transaction", "256"), ("max_connections", "100")]).await
}
