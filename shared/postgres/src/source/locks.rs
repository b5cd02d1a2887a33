//! The start of a dump: locks first, then the snapshot, and the proof that every table in the snapshot is locked.

use std::collections::HashSet;

use jiff::Timestamp;
use lifeboat_core::{Error, ErrorKind, Result};
use tokio_postgres::error::SqlState;

use super::statements;
use crate::{
    quote,
    session::{Session, database_error, reason, sql_state},
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
pub(super) fn failed(doing: &str, error: &tokio_postgres::Error) -> Error {
    let told = database_error(doing, error);
    let gone = match sql_state(error) {
        None => {
            error.is_closed()
                || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        }
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

/// Begins the transaction, locks every table, then exports the snapshot (DESIGN §6, rule 1).
pub(super) async fn lock_and_export(session: &Session) -> Result<Exported> {
    let tables = session.query(statements::TABLES, &[]).await.map_err(|e| failed("list tables", &e))?;
    step("tables listed");
    session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(|e| failed("begin", &e))?;
    for batch in tables.chunks(LOCK_BATCH) {
        let names: Vec<String> = batch.iter().map(|row| quote::qualified(row.get(1), row.get(2))).collect();
        let sql = format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT", names.join(", ONLY "));
        session.batch_execute(&sql).await.map_err(|e| {
            if is_ddl_conflict(sql_state(&e)) {
                lost(format!("lock tables: {}", reason(&e)))
            } else {
                failed("lock tables", &e)
            }
        })?;
    }
    step("tables locked");
    let row = session.query_one(statements::EXPORT, &[]).await.map_err(|e| failed("export snapshot", &e))?;
    let at = Timestamp::from_microsecond(row.get::<_, i64>(1))
        .map_err(|e| Error::new(ErrorKind::Database, format!("read the server's clock: {e}")))?;
    step("snapshot exported");
    let locked: HashSet<u32> = session
        .query(statements::MY_LOCKS, &[])
        .await
        .map_err(|e| failed("list locks", &e))?
        .iter()
        .map(|r| r.get(0))
        .collect();
    for row in session.query(statements::TABLES, &[]).await.map_err(|e| failed("list tables", &e))? {
        let oid: u32 = row.get(0);
        if !locked.contains(&oid) {
            let (schema, name): (String, String) = (row.get(1), row.get(2));
            return Err(lost(format!("table {schema}.{name} appeared or changed while the dump started")));
        }
    }
    step("locks checked");
    Ok(Exported { id: row.get(0), at, lsn: row.get(2), standby: row.get(3), locked })
}
