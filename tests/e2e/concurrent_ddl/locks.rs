//! Locks that the application holds or waits for while a dump begins: neither side waits for ever.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, Sender},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lifeboat_core::{
    ErrorKind,
    dump::DumpRequest,
    ports::{Progress, Removal, RunContext, Source, Store},
};
use lifeboat_postgres::PgSource;
use lifeboat_testkit::{MemoryStore, context};
use lifeboat_tests::{
    Cluster,
    library::{dump_request, tool_search},
};

use super::{
    application::{self, OpenTransaction},
    contents::Contents,
    matrix::DUMP_WITHIN,
    steps,
};

/// Rows of some hundred blocks, so that small chunks split the table.
const TABLE: &str = "CREATE TABLE public.t AS SELECT g AS id, 'row ' || g || repeat('.', 300) AS marker
                     FROM generate_series(1, 5000) g; CREATE INDEX by_id ON public.t (id);";

/// Ends the application's transaction as soon as the dump says that it starts again.
struct EndsWhenTold(Mutex<Sender<()>>, Mutex<Sender<()>>);

impl Progress for EndsWhenTold {
    fn phase(&self, _name: &str, _total_bytes: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn note(&self, text: &str) {
        if text.contains("starting again") {
            for end in [&self.0, &self.1] {
                end.lock().ok().and_then(|e| e.send(()).ok());
            }
        }
    }
}

async fn dump(cluster: &Cluster, request: &DumpRequest, run: &RunContext) -> Result<Contents> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Removal::Delete));
    let dumping = cluster.dump(request.database.as_str(), &store, request, run);
    let outcome = tokio::time::timeout(DUMP_WITHIN, dumping).await.context("the dump hangs")??;
    Contents::of(&store, &outcome.manifest, run).await
}

fn in_ranges(database: &str) -> Result<DumpRequest> {
    let mut request = dump_request(database)?;
    request.chunk_bytes = 256 << 10;
    Ok(request)
}

#[tokio::test]
async fn a_lock_queued_before_the_dump_is_waited_for_without_holding_anybody_up() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("queue")?;
    cluster.sql("queue", TABLE)?;
    let url = cluster.url("queue");
    let reader = OpenTransaction::begin(&url, "SELECT count(*) FROM public.t")?;
    let truncate = application::send(&url, "TRUNCATE public.t")?;
    ensure!(truncate.queued, "the TRUNCATE waits for the reader");
    let (told, was_told) = mpsc::channel();
    let progress = Arc::new(EndsWhenTold(Mutex::new(reader.ender()), Mutex::new(told)));
    let contents = dump(&cluster, &dump_request("queue")?, &context().progress(progress).build()).await?;
    ensure!(was_told.try_recv().is_ok(), "the dump met the queue");
    truncate.done()?;
    reader.commit()?;
    let quiet = dump(&cluster, &dump_request("queue")?, &context().build()).await?;
    ensure!(contents == quiet, "{}", contents.difference(&quiet));
    Ok(())
}

#[tokio::test]
async fn a_reindex_in_an_open_transaction_holds_up_no_dump_and_no_range() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("reindex")?;
    cluster.sql("reindex", TABLE)?;
    let quiet = dump(&cluster, &dump_request("reindex")?, &context().build()).await?;
    for sql in ["REINDEX TABLE public.t", "REINDEX INDEX public.by_id"] {
        let open = OpenTransaction::begin(&cluster.url("reindex"), sql)?;
        for request in [dump_request("reindex")?, in_ranges("reindex")?] {
            let contents =
                dump(&cluster, &request, &context().build()).await.with_context(|| format!("during {sql}"))?;
            ensure!(contents == quiet, "during {sql}: {}", contents.difference(&quiet));
        }
        open.commit()?;
    }
    Ok(())
}

/// Makes PostgreSQL keep long values outside their rows, and hold up whoever reads them while their index is made anew.
const LONG_VALUES: &str =
    "CREATE TABLE public.t (id int, long text); ALTER TABLE public.t ALTER long SET STORAGE external;
                           INSERT INTO public.t SELECT g, repeat(md5(g::text), 400) FROM generate_series(1, 400) g;";

/// How long the application takes to end its transaction: longer than any wait for a lock that a dump gives up.
const REINDEX_TAKES: Duration = Duration::from_secs(12);

#[tokio::test]
async fn a_reindex_of_long_values_is_waited_for_at_the_start_and_the_snapshot_stays_alive() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("toast")?;
    cluster.sql("toast", LONG_VALUES)?;
    let quiet = dump(&cluster, &dump_request("toast")?, &context().build()).await?;
    let open = OpenTransaction::begin(&cluster.url("toast"), "REINDEX TABLE public.t")?;
    let commit_later = async {
        tokio::time::sleep(REINDEX_TAKES).await;
        let signs = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'lifeboat%'
                     AND state = 'idle in transaction' AND query = 'SELECT 1'";
        let signs_of_life = async {
            while cluster.sql("toast", signs)?.trim() == "0" {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        let alive = tokio::time::timeout(Duration::from_secs(30), signs_of_life).await;
        open.commit()?;
        alive.context("the coordinator was silent for too long")?
    };
    let (request, run) = (dump_request("toast")?, context().build());
    let (contents, committed) = tokio::join!(dump(&cluster, &request, &run), commit_later);
    committed?;
    ensure!(contents? == quiet, "the backup differs");
    Ok(())
}

#[tokio::test]
async fn a_reindex_of_long_values_is_waited_for_in_the_middle_too() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("toast")?;
    cluster.sql("toast", LONG_VALUES)?;
    let quiet = dump(&cluster, &dump_request("toast")?, &context().build()).await?;
    for request in [dump_request("toast")?, in_ranges("toast")?] {
        let url = cluster.url("toast");
        let (ender, mut end) = tokio::sync::mpsc::unbounded_channel();
        let mut fresh = true;
        let guard = steps::hook(move |step| {
            if step == "tables described" && std::mem::take(&mut fresh) {
                ender.send(OpenTransaction::begin(&url, "REINDEX TABLE public.t")).ok();
            }
        });
        let commit_later = async {
            let there =
                tokio::time::timeout(Duration::from_mins(1), end.recv()).await.context("the dump never came there")?;
            let open = there.context("the dump never came there")??;
            tokio::time::sleep(REINDEX_TAKES).await;
            open.commit()
        };
        let run = context().build();
        let (contents, committed) = tokio::join!(dump(&cluster, &request, &run), commit_later);
        drop(guard);
        committed?;
        ensure!(contents? == quiet, "the backup differs");
    }
    Ok(())
}

#[tokio::test]
async fn a_lock_that_is_never_given_up_fails_the_start_in_bounded_time_and_says_on_what() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("never")?;
    cluster.sql("never", TABLE)?;
    let open = OpenTransaction::begin(&cluster.url("never"), "LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE")?;
    let source = PgSource::new(cluster.server.tcp_target("never"), tool_search(&cluster.bin)).await?;
    let run = context().build();
    let opening = tokio::time::timeout(DUMP_WITHIN, source.open_snapshot(&run)).await.context("the start hangs")?;
    let error = opening.err().context("a snapshot without the lock")?;
    ensure!(error.kind() == ErrorKind::SnapshotLost, "{error}");
    ensure!(error.to_string().contains("public.t") && error.kind().exit_code() == 4, "{error}");
    let gone = async {
        while !cluster.lifeboat_sessions()?.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    // Sooner than the server would end a session that says nothing.
    tokio::time::timeout(Duration::from_secs(30), gone).await.context("a session is left")??;
    open.commit()
}
