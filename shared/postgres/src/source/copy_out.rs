//! The hot loop: COPY of one unit from one session into a sink, with rows counted and hashed on the way.

use std::{pin::pin, time::Duration};

use futures_util::TryStreamExt;
use lifeboat_archive::checksum::TableChecksum;
use lifeboat_core::{
    ErrorKind, Result,
    ports::{BlockSink, Unit},
    rows::RowDigest,
};

use tokio_postgres::error::SqlState;

use super::{
    locks::{failed, is_ddl_conflict, lost, step},
    statements,
    tables::ReadableTable,
};
use crate::{
    quote,
    session::{Session, reason, sql_state},
};

/// Rows are handed on in blocks of at least this size.
const BLOCK: usize = 256 * 1024;

/// How long a unit may wait for the lock on an index before it is tried otherwise.
const RANGE_LOCK_WAIT: Duration = Duration::from_secs(1);

/// What became of a unit on a worker's own session.
pub(super) enum Attempt {
    Done(TableChecksum),
    /// An ACCESS EXCLUSIVE is queued on the table: only who holds the lock already can read it.
    Refused,
}

/// The COPY statement that reads a unit.
pub(super) fn statement(table: &ReadableTable, unit: &Unit, encoding: &str) -> String {
    let name = quote::qualified(&table.schema, &table.name);
    let columns = table.columns.iter().map(|c| quote::identifier(c)).collect::<Vec<_>>().join(", ");
    let options = format!("(ENCODING {})", quote::literal(encoding));
    match (&table.condition, unit.range) {
        (Some(condition), _) => format!("COPY (SELECT {columns} FROM ONLY {name} {condition}) TO STDOUT {options}"),
        (None, Some(range)) => {
            let upper = range.to.map(|to| format!(" AND ctid < '({to},0)'::pg_catalog.tid")).unwrap_or_default();
            format!(
                "COPY (SELECT {columns} FROM ONLY {name} WHERE ctid >= '({},0)'::pg_catalog.tid{upper}) TO STDOUT {options}",
                range.from
            )
        }
        (None, None) if columns.is_empty() => format!("COPY {name} TO STDOUT {options}"),
        (None, None) => format!("COPY {name} ({columns}) TO STDOUT {options}"),
    }
}

/// Copies a unit in a transaction of its own on the snapshot, and checks afterwards that what was locked is the TOC
/// entry's table (a schema's rename is not stopped by table locks).
pub(super) async fn on_worker(
    session: &Session,
    snapshot: &str,
    table: &ReadableTable,
    unit: &Unit,
    encoding: &str,
    sink: &mut dyn BlockSink,
) -> Result<Attempt> {
    begin(session, snapshot).await?;
    step("unit begun");
    // Only the query of a range locks indexes. A whole table may have to wait for the index of its long values, which a
    // REINDEX makes anew: nobody can read them before its end.
    let wait = unit.range.map_or(0, |_| RANGE_LOCK_WAIT.as_millis());
    let lock = format!(
        "SET LOCAL lock_timeout = {wait}; LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT",
        quote::qualified(&table.schema, &table.name)
    );
    if let Err(error) = session.batch_execute(&lock).await {
        session.batch_execute("ROLLBACK").await.map_err(|e| failed("roll back", &e))?;
        return match sql_state(&error) {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Attempt::Refused),
            state if is_ddl_conflict(state) => Err(lost(format!("lock {}: {}", table.label(), reason(&error)))),
            _ => Err(failed(&format!("lock {}", table.label()), &error)),
        };
    }
    step("unit locked");
    let Some(checksum) = copy(session, table, unit, encoding, sink).await? else {
        session.batch_execute("ROLLBACK").await.map_err(|e| failed("roll back", &e))?;
        return Ok(Attempt::Refused);
    };
    step("unit copied");
    let held = session.query(statements::MY_DATA_LOCKS, &[]).await.map_err(|e| failed("list locks", &e))?;
    let is_it = |row: &tokio_postgres::Row| row.get::<_, u32>(0) == table.oid && row.get::<_, &str>(1) == "r";
    // An extension's condition may read other tables too.
    let right = held.iter().any(is_it) && (table.condition.is_some() || held.iter().all(is_it));
    if !right {
        return Err(lost(format!("{} was another table by the time it was read", table.label())));
    }
    session.batch_execute("COMMIT").await.map_err(|e| failed("commit", &e))?;
    Ok(Attempt::Done(checksum))
}

/// Copies a whole table on the coordinator's session, which holds its lock since before the snapshot.
pub(super) async fn on_coordinator(
    session: &Session,
    table: &ReadableTable,
    unit: &Unit,
    encoding: &str,
    sink: &mut dyn BlockSink,
) -> Result<TableChecksum> {
    check_name(session, table).await?;
    let Some(checksum) = copy(session, table, unit, encoding, sink).await? else {
        return Err(lost(format!("{} is locked exclusively", table.label())));
    };
    check_name(session, table).await?;
    Ok(checksum)
}

/// Whether the table's name still leads to the table: names are resolved by the newest catalog, not by the snapshot.
async fn check_name(session: &Session, table: &ReadableTable) -> Result<()> {
    let name = quote::qualified(&table.schema, &table.name);
    let row = session
        .query_one("SELECT pg_catalog.to_regclass($1)::pg_catalog.oid", &[&name])
        .await
        .map_err(|e| failed(&format!("look up {}", table.label()), &e))?;
    if row.get::<_, Option<u32>>(0) == Some(table.oid) {
        Ok(())
    } else {
        Err(lost(format!("{} was renamed while it was to be read", table.label())))
    }
}

/// Begins a transaction on an exported snapshot. BEGIN must be a message of its own before SET TRANSACTION SNAPSHOT.
pub(super) async fn begin(session: &Session, snapshot: &str) -> Result<()> {
    session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(|e| failed("begin", &e))?;
    session
        .batch_execute(&format!("SET TRANSACTION SNAPSHOT {}", quote::literal(snapshot)))
        .await
        .map_err(|e| lost(format!("take the snapshot: {}", reason(&e))))
}

/// `None` where a lock was not to be had, before any row was read.
async fn copy(
    session: &Session,
    table: &ReadableTable,
    unit: &Unit,
    encoding: &str,
    sink: &mut dyn BlockSink,
) -> Result<Option<TableChecksum>> {
    let doing = format!("copy {}", table.label());
    let sql = statement(table, unit, encoding);
    let failure = |e: tokio_postgres::Error| {
        if is_ddl_conflict(sql_state(&e)) {
            lost(format!("{doing}: {}", reason(&e)))
        } else {
            failed(&doing, &e).context_if_filtered(&e)
        }
    };
    let stream = match session.copy_out(sql.as_str()).await {
        Err(error) if sql_state(&error) == Some(&SqlState::LOCK_NOT_AVAILABLE) => return Ok(None),
        other => other.map_err(failure)?,
    };
    let mut stream = pin!(stream);
    let mut digest = RowDigest::new(table.sorted_order());
    let mut block: Vec<u8> = Vec::with_capacity(BLOCK + (64 << 10));
    while let Some(row) = stream.try_next().await.map_err(failure)? {
        block.extend_from_slice(&row);
        if block.len() >= BLOCK {
            digest.push(&block);
            sink.block(&block).await?;
            if block.capacity() > 4 * BLOCK {
                block = Vec::with_capacity(BLOCK + (64 << 10));
            } else {
                block.clear();
            }
        }
    }
    if !block.is_empty() {
        digest.push(&block);
        sink.block(&block).await?;
    }
    digest.finish().map(|(checksum, _)| Some(checksum)).map_err(|e| e.context(&doing))
}

/// Says what to do when row security refused the read.
trait FilteredHint {
    fn context_if_filtered(self, error: &tokio_postgres::Error) -> Self;
}

impl FilteredHint for lifeboat_core::Error {
    fn context_if_filtered(self, error: &tokio_postgres::Error) -> Self {
        if error.as_db_error().is_some_and(|db| db.message().contains("row-level security")) {
            debug_assert_eq!(self.kind(), ErrorKind::Database);
            self.with_hint("row security would hide rows from this role: ALTER ROLE … BYPASSRLS, or dump as the owner")
        } else {
            self
        }
    }
}
