//! The network or the server takes a dump's sessions away in mid-COPY.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use lifeboat_core::{
    ErrorKind,
    dump::DumpRequest,
    lease::LONGEST_TTL,
    ports::{Progress, Removal, Store},
};
use lifeboat_testkit::{Action, Fault, Gate, MemoryStore, Operation, context};
use lifeboat_tests::{
    Cluster, StoreUnderTest,
    library::dump_request,
    program::wait_until,
    proxy::{Mode, Proxy},
};

use super::running::{AT_ONCE, Running, listed, no_session_within, nothing_listed};

/// More bytes than pg_dump reads of the catalogs, and less than the largest table has.
const BEYOND_CATALOGS: u64 = 4 << 20;

async fn cluster(database: &str) -> Result<Cluster> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database(database)?;
    let sql =
        "CREATE TABLE public.a AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 20000) g;
               CREATE TABLE public.b AS SELECT * FROM public.a LIMIT 1000;";
    cluster.sql(database, sql)?;
    Ok(cluster)
}

/// A dump that is held in the middle of its largest table.
fn in_mid_copy(cluster: &Cluster, database: &str, store: &StoreUnderTest) -> Result<(Proxy, Running)> {
    let proxy = Proxy::start(cluster.port(), Mode::HoldAfter(BEYOND_CATALOGS))?;
    let through = proxy.through(&cluster.url(database), cluster.port());
    let mut dump = Running::start(store.lifeboat(["dump", "--jobs", "1"]).database(&through))?;
    dump.until("unit locked", 1)?;
    wait_until("the proxy holds the COPY", AT_ONCE, || Ok(proxy.held() > 0))?;
    Ok((proxy, dump))
}

#[tokio::test]
async fn a_dump_whose_network_is_cut_in_mid_copy_ends_with_4_and_lists_nothing() -> Result<()> {
    let cluster = cluster("cut").await?;
    let store = StoreUnderTest::folder()?;
    let (proxy, mut dump) = in_mid_copy(&cluster, "cut", &store)?;
    proxy.set(Mode::Cut);
    // The server might be back in a moment: it is waited for, half a minute.
    let code = dump.ended(3 * AT_ONCE)?;
    ensure!(code == 4, "{code}: {}", dump.log());
    no_session_within(&cluster, AT_ONCE)?;
    nothing_listed(&store)
}

#[tokio::test]
async fn a_dump_whose_store_goes_away_in_mid_copy_fails_although_nobody_took_its_lease() -> Result<()> {
    let cluster = cluster("storeless").await?;
    let mut store = StoreUnderTest::minio()?;
    let way = Proxy::start(lifeboat_tests::stores::minio()?.address.port(), Mode::Pass)?;
    store.reach_through(&format!("http://127.0.0.1:{}", way.port()));
    let (_proxy, mut dump) = in_mid_copy(&cluster, "storeless", &store)?;
    way.set(Mode::Cut);
    // Not `already_running`, which is told nobody: nobody else is at work.
    let code = dump.ended(LONGEST_TTL + 2 * AT_ONCE)?;
    ensure!(
        code == i32::from(ErrorKind::Store.exit_code()) && dump.log().contains("could not be renewed"),
        "{code}: {}",
        dump.log()
    );
    no_session_within(&cluster, AT_ONCE)?;
    way.set(Mode::Pass);
    nothing_listed(&store)
}

/// Ends the sessions of ours of which this holds; how many.
fn terminate_all(cluster: &Cluster, which: &str) -> Result<String> {
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE application_name LIKE 'lifeboat%' AND {which}"
    );
    Ok(cluster.sql("postgres", &sql)?.trim().to_owned())
}

/// Ends the one of which this holds.
fn terminate(cluster: &Cluster, which: &str) -> Result<()> {
    let ended = terminate_all(cluster, which)?;
    ensure!(ended == "1", "{ended} sessions were ended");
    Ok(())
}

#[tokio::test]
async fn a_dump_whose_worker_or_coordinator_is_terminated_starts_again_and_is_whole() -> Result<()> {
    let cluster = cluster("terminated").await?;
    for query in ["query LIKE 'COPY%'", "state = 'idle in transaction'"] {
        let store = StoreUnderTest::folder()?;
        let (proxy, mut dump) = in_mid_copy(&cluster, "terminated", &store)?;
        terminate(&cluster, query)?;
        proxy.set(Mode::Pass);
        let code = dump.ended(3 * AT_ONCE)?;
        ensure!(code == 0, "{query}: {code}: {}", dump.log());
        ensure!(dump.log().contains("starting again"), "{query}: {}", dump.log());
        ensure!(listed(&store)?.len() == 1, "{query}: one backup is listed");
        store.lifeboat(["verify", "latest"]).run()?.expect(0)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_dump_whose_server_restarts_in_mid_copy_starts_again_and_is_whole() -> Result<()> {
    let cluster = cluster("restarted").await?;
    let store = StoreUnderTest::folder()?;
    let (proxy, mut dump) = in_mid_copy(&cluster, "restarted", &store)?;
    // As after a crash: every session is ended, and the server recovers before it takes new ones.
    let pid = cluster.sql("postgres", "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY%' LIMIT 1")?;
    let killed = std::process::Command::new("kill").args(["-s", "KILL", pid.trim()]).status()?;
    ensure!(killed.success(), "the backend was killed");
    proxy.set(Mode::Pass);
    let code = dump.ended(3 * AT_ONCE).context("after the server's crash")?;
    ensure!(code == 0 && dump.log().contains("starting again"), "{code}: {}", dump.log());
    ensure!(listed(&store)?.len() == 1, "one backup is listed");
    store.lifeboat(["verify", "latest"]).run()?.expect(0).map(drop)
}

/// Notes what a person would be told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn phase(&self, _name: &str, _total_bytes: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn note(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }
}

/// Several threads: the dump goes on while the test looks at the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_session_expired_while_an_upload_took_long_opens_another() -> Result<()> {
    let cluster = cluster("expired").await?;
    cluster.sql("expired", "CREATE TABLE public.c AS SELECT 1 AS id")?;
    let memory = MemoryStore::new(Removal::Delete);
    let gate = Gate::default();
    memory.fault(Fault::on([Operation::UploadComplete], Action::Hold(gate.clone())));
    let store: Arc<dyn Store> = Arc::new(memory);
    let notes = Arc::new(Notes::default());
    let run = context().progress(Arc::clone(&notes) as _).build();
    let request = DumpRequest { jobs: 1, ..dump_request("expired")? };
    let expire = async {
        gate.reached().await;
        // The first table fills what may be on its way to the store: at the end of the second the worker waits.
        wait_until("the worker waits without a session", AT_ONCE, || {
            terminate_all(&cluster, "state = 'idle'")?;
            Ok(cluster.lifeboat_sessions()?.len() == 1)
        })?;
        gate.open();
        anyhow::Ok(())
    };
    let (outcome, expired) = tokio::join!(cluster.dump("expired", &store, &request, &run), expire);
    expired?;
    ensure!(outcome?.manifest.tables.len() == 3, "all tables are there");
    let notes = notes.0.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(notes.is_empty(), "it did not have to start again: {notes:?}");
    Ok(())
}
