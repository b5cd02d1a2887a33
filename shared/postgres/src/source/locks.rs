//! The start of a dump: locks first, then the snapshot, and the proof that every table in the snapshot is locked.

use std::collections::HashSet;

use jiff::Timestamp;
use lifeboat_core::{Error, ErrorKind, Result};
use tokio_postgres::error::SqlState;

use super::{BEGIN_READING, statements};
use crate::{
    failure::{Failure, database_error},
    quote,
    wire::{WireError, WireSession},
};

/// Tables locked by one statement; keeps statements short on huge catalogs.
const LOCK_BATCH: usize = 500;

/// What the exported snapshot is.
pub(super) struct Exported {
    pub(super) id: String,
    pub(super) at: Timestamp,
    pub(super) lsn: Option<String>,
    pub(super) standby: bool,
    pub(super) locked: HashSet<u32>,
}

/// Tells that a step of the start is done: seen with -v, and by tests that change tables between any two steps.
pub(super) fn step(name: &str) {
    tracing::debug!(target: "lifeboat::step", step = name);
}

/// The run lost its consistent state and may start again.
pub(super) fn lost(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::SnapshotLost, message)
}

/// Errors that mean "somebody's DDL was in the way": worth starting again.
pub(super) fn is_ddl_conflict(state: Option<&SqlState>) -> bool {
    matches!(
        state,
        Some(
            &SqlState::LOCK_NOT_AVAILABLE
                | &SqlState::UNDEFINED_TABLE
                | &SqlState::UNDEFINED_COLUMN
                | &SqlState::UNDEFINED_OBJECT
                | &SqlState::INVALID_SCHEMA_NAME
                | &SqlState::WRONG_OBJECT_TYPE
                | &SqlState::T_R_DEADLOCK_DETECTED
        )
    )
}

/// What an error means while a snapshot is open: `SnapshotLost` where it is gone with its server or its session, as after
/// a failover, a restart or a conflict with recovery on a standby. The same run may start again then.
pub(crate) fn failed(doing: &str, error: &WireError) -> Error {
    let told = database_error(doing, error);
    let gone = match error.sql_state() {
        None => error.is_gone(),
        Some(
            &SqlState::ADMIN_SHUTDOWN
            | &SqlState::CRASH_SHUTDOWN
            | &SqlState::CANNOT_CONNECT_NOW
            | &SqlState::T_R_SERIALIZATION_FAILURE
            | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ) => true,
        Some(state) => state.code().starts_with("08"),
    };
    if gone { lost(told.to_string()).with_hint(told.hint()) } else { told }
}

/// The OIDs that a query gives.
pub(super) async fn oids(session: &mut WireSession, doing: &str, sql: &str) -> Result<HashSet<u32>> {
    let failure = |e: WireError| failed(doing, &e);
    session.query(sql).await.map_err(failure)?.iter().map(|row| row.number(0).map_err(failure)).collect()
}

/// Begins the transaction, locks every table, then exports the snapshot (DESIGN §6, rule 1).
pub(super) async fn lock_and_export(session: &mut WireSession) -> Result<Exported> {
    let tables = session.query(statements::TABLES).await.map_err(|e| failed("list tables", &e))?;
    step("tables listed");
    session.execute(BEGIN_READING).await.map_err(|e| failed("begin", &e))?;
    let names: Vec<Vec<u8>> = tables
        .iter()
        .map(|row| quote::qualified_bytes(row.bytes(1).unwrap_or_default(), row.bytes(2).unwrap_or_default()))
        .collect();
    for batch in names.chunks(LOCK_BATCH) {
        let sql = [b"LOCK TABLE ONLY ", &*batch.join(&b", ONLY "[..]), b" IN ACCESS SHARE MODE NOWAIT"].concat();
        session.execute(sql).await.map_err(|e| {
            if is_ddl_conflict(e.sql_state()) {
                lost(format!("lock tables: {}", e.reason()))
            } else {
                failed("lock tables", &e)
            }
        })?;
    }
    step("tables locked");
    let exporting = |e: WireError| failed("export snapshot", &e);
    let row = session.query_one(statements::EXPORT).await.map_err(exporting)?;
    let at = Timestamp::from_microsecond(row.number(1).map_err(exporting)?)
        .map_err(|e| Error::new(ErrorKind::Database, format!("read the server's clock: {e}")))?;
    step("snapshot exported");
    let locked = oids(session, "list locks", statements::MY_LOCKS).await?;
    for row in session.query(statements::TABLES).await.map_err(|e| failed("list tables", &e))? {
        if !locked.contains(&row.number(0).map_err(|e| failed("list tables", &e))?) {
            let (schema, name) = (row.text(1), row.text(2));
            return Err(lost(format!("table {schema}.{name} appeared or changed while the dump started")));
        }
    }
    step("locks checked");
    let id = row.text(0).into_owned();
    Ok(Exported { id, at, lsn: row.some_text(2), standby: row.is_true(3), locked })
}
