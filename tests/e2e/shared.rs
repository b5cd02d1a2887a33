//! Clusters that several tests share; each test keeps to a database of its own.

use std::{path::Path, sync::OnceLock, thread, time::Duration};

use anyhow::{Context, Result, anyhow};
use lifeboat_tests::{Cluster, Lifeboat, StoreUnderTest, cluster::programs, program::wait_until};

pub(crate) use self::holding::{Holding, a_dump_is_at_work};

mod holding;

static FIFTEEN: OnceLock<Result<Cluster, String>> = OnceLock::new();
static EIGHTEEN: OnceLock<Result<Cluster, String>> = OnceLock::new();

/// The cluster of PostgreSQL 15 of this test process; it ends with the process.
pub(crate) fn fifteen() -> Result<&'static Cluster> {
    started(&FIFTEEN, 15)
}

/// The same of PostgreSQL 18.
pub(crate) fn eighteen() -> Result<&'static Cluster> {
    started(&EIGHTEEN, 18)
}

fn started(cell: &'static OnceLock<Result<Cluster, String>>, major: u32) -> Result<&'static Cluster> {
    let start = move || blocking(Cluster::start(major));
    // A thread of its own: the caller may have a runtime already.
    let join = || thread::spawn(start).join().map_err(|_| anyhow!("starting a cluster panicked"))?;
    cell.get_or_init(|| join().map_err(|e| format!("{e:#}"))).as_ref().map_err(|e| anyhow!("{e}"))
}

/// A call on a store and a database of the cluster of PostgreSQL 15, with its client tools.
pub(crate) fn call(store: &StoreUnderTest, database: &str, arguments: &[&str]) -> Result<Lifeboat> {
    let cluster = fifteen()?;
    Ok(with_tools(store.lifeboat(arguments).database(&cluster.url(database)), &cluster.bin))
}

/// With client tools from this folder.
pub(crate) fn with_tools(call: Lifeboat, folder: &Path) -> Lifeboat {
    call.env("LIFEBOAT_CLIENT_TOOLS", folder)
}

/// The client tools of PostgreSQL 15, without a server.
pub(crate) fn tools_of_fifteen() -> Result<std::path::PathBuf> {
    programs(15)
}

/// Does asynchronous work in a test that is not asynchronous itself.
pub(crate) fn blocking<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Waits until no session but psql's is on any of these databases. A server's process outlives its client by moments.
pub(crate) fn no_session_stays_on(databases: &[&str]) -> Result<()> {
    let cluster = fifteen()?;
    let names = databases.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT application_name || ': ' || query FROM pg_stat_activity
         WHERE datname IN ({names}) AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    );
    let mut last = String::new();
    wait_until(&format!("no session on {names}"), Duration::from_secs(40), || {
        last = cluster.sql("postgres", &sql)?;
        Ok(last.is_empty())
    })
    .with_context(|| format!("sessions left: {last}"))
}
