//! Settings by which a load goes faster where nobody minds it being lost: on a scratch target, never on a real one.

use lifeboat_core::Result;

use crate::{failure::database_error, session::Session, wire::WireSession};

/// A commit need not be on disk when it is told. Whatever else commits later takes it along.
const NOT_WAITING: &str = "SET synchronous_commit = off";

/// All jobs together may take as much memory to make indexes as the server has been given for its buffers, at most 1 GB
/// each; what is set for one on the server is never undercut. In kB: the two settings are not told in the same unit.
const MEMORY: &str = "
SELECT greatest(pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) / 1024,
         least(pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers')) / 1024 / $1, 1048576))::int8";

/// Makes a session that loads rows fast.
pub(super) async fn load(session: &mut WireSession) -> Result<()> {
    session.execute(NOT_WAITING).await.map_err(|e| database_error("set up a fast load", &e))
}

/// The same of one that loads large objects.
pub(super) async fn load_large_objects(session: &Session) -> Result<()> {
    session.batch_execute(NOT_WAITING).await.map_err(|e| database_error("set up a fast load", &e))
}

/// What `pg_restore` in so many jobs is told, as `PGOPTIONS`.
pub(super) async fn options(session: &Session, jobs: u32) -> Result<String> {
    let row = session
        .query_one(MEMORY, &[&i64::from(jobs.max(1))])
        .await
        .map_err(|e| database_error("read how much memory the server may take", &e))?;
    let memory: i64 = row.get(0);
    Ok(format!("-c synchronous_commit=off -c maintenance_work_mem={memory}kB"))
}
