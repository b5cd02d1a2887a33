//! The hot loop: COPY of one unit from one session into a sink, with rows counted and hashed on the way.

use std::time::Duration;

use lifeboat_archive::checksum::TableChecksum;
use lifeboat_core::{
    Error, ErrorKind, Result,
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
    failure::Failure,
    quote,
    wire::{Row, WireError, WireSession},
};

/// How long a unit may wait for the lock on an index before it is tried otherwise.
const RANGE_LOCK_WAIT: Duration = Duration::from_secs(1);

/// What became of a unit on a worker's own session.
pub(super) enum Attempt {
    Done(TableChecksum),
    /// An ACCESS EXCLUSIVE is queued on the table: only who holds the lock already can read it.
    Refused,
}

/// The COPY statement that reads a unit.
fn statement(table: &ReadableTable, unit: &Unit, encoding: &str) -> Vec<u8> {
    let name = &*table.name;
    let columns = table.columns.iter().map(|c| quote::identifier_bytes(c)).collect::<Vec<_>>().join(&b", "[..]);
    let rows = match (&table.condition, unit.range) {
        (Some(condition), _) => [b"(SELECT ", &*columns, b" FROM ONLY ", name, b" ", condition, b")"].concat(),
        (None, Some(range)) => {
            let upper = range.to.map(|to| format!(" AND ctid < '({to},0)'::pg_catalog.tid")).unwrap_or_default();
            let condition = format!(" WHERE ctid >= '({},0)'::pg_catalog.tid{upper})", range.from);
            [b"(SELECT ", &*columns, b" FROM ONLY ", name, condition.as_bytes()].concat()
        }
        (None, None) if columns.is_empty() => name.to_vec(),
        (None, None) => [name, b" (", &*columns, b")"].concat(),
    };
    let options = format!(" TO STDOUT (ENCODING {})", quote::literal(encoding));
    [b"COPY ", &*rows, options.as_bytes()].concat()
}

/// Copies a unit in a transaction on the snapshot that has just begun, ends that, and checks before that what was read is the TOC
/// entry's table (a schema's rename is not stopped by table locks).
pub(super) async fn on_worker(
    session: &mut WireSession,
    table: &ReadableTable,
    unit: &Unit,
    encoding: &str,
    sink: &mut dyn BlockSink,
) -> Result<Attempt> {
    step("unit begun");
    // Only the query of a range locks indexes. A whole table may have to wait for the index of its long values, which a
    // REINDEX makes anew: nobody can read them before its end.
    let wait = unit.range.map_or(0, |_| RANGE_LOCK_WAIT.as_millis());
    let wait = format!("SET LOCAL lock_timeout = {wait}; ");
    let lock = [wait.as_bytes(), b"LOCK TABLE ONLY ", &*table.name, b" IN ACCESS SHARE MODE NOWAIT"].concat();
    if let Err(error) = session.execute(lock).await {
        let doing = format!("lock {}", table.label);
        let told = match error.sql_state() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Attempt::Refused),
            state if is_ddl_conflict(state) => Err(lost(format!("{doing}: {}", error.reason()))),
            _ => Err(failed(&doing, &error)),
        };
        session.execute("ROLLBACK").await.map_err(|e| failed("roll back", &e))?;
        return told;
    }
    let before = scans(session, table).await?;
    step("unit locked");
    let Some(checksum) = copy(session, table, unit, encoding, sink).await? else {
        session.execute("ROLLBACK").await.map_err(|e| failed("roll back", &e))?;
        return Ok(Attempt::Refused);
    };
    step("unit copied");
    if !was_scanned(session, table, before).await? {
        expect_only_locked(session, table).await?;
    }
    session.execute("COMMIT").await.map_err(|e| failed("commit", &e))?;
    Ok(Attempt::Done(checksum))
}

/// Copies a whole table on the coordinator's session, which holds its lock since before the snapshot.
pub(super) async fn on_coordinator(
    session: &mut WireSession,
    table: &ReadableTable,
    unit: &Unit,
    encoding: &str,
    sink: &mut dyn BlockSink,
) -> Result<TableChecksum> {
    check_name(session, table).await?;
    let before = scans(session, table).await?;
    let Some(checksum) = copy(session, table, unit, encoding, sink).await? else {
        return Err(lost(format!("{} is locked exclusively", table.label)));
    };
    if !was_scanned(session, table, before).await? {
        check_name(session, table).await?;
    }
    Ok(checksum)
}

/// How often this session has read the whole of the table.
async fn scans(session: &mut WireSession, table: &ReadableTable) -> Result<u64> {
    let failure = |e| failed("count scans", &e);
    session.query_one(statements::my_scans(table.oid)).await.map_err(failure)?.number(0).map_err(failure)
}

/// Whether the COPY since then has read this very table, whatever that was called: the server counts one scan of it. It counts none
/// of a range, of a table that is no heap, and without `track_counts`; an extension's condition may read tables as well.
async fn was_scanned(session: &mut WireSession, table: &ReadableTable, before: u64) -> Result<bool> {
    Ok(table.condition.is_none() && scans(session, table).await? == before + 1)
}

/// `SnapshotLost` unless the table is what this transaction has locked, and nothing beside it. Each time, the server looks through
/// the locks of all its sessions, and a dump of 20,000 tables holds as many: asked only where no scan was counted.
async fn expect_only_locked(session: &mut WireSession, table: &ReadableTable) -> Result<()> {
    let held = session.query(statements::MY_DATA_LOCKS).await.map_err(|e| failed("list locks", &e))?;
    let is_it = |row: &Row| row.number::<u32>(0).ok() == Some(table.oid) && row.bytes(1) == Some(b"r");
    if !held.iter().any(is_it) || (table.condition.is_none() && !held.iter().all(is_it)) {
        return Err(lost(format!("{} was another table by the time it was read", table.label)));
    }
    // What a condition reads may be locked as well: then the lock alone does not tell.
    if table.condition.is_some() { check_name(session, table).await } else { Ok(()) }
}

/// Whether the table's name still leads to the table: names are resolved by the newest catalog, not by the snapshot.
async fn check_name(session: &mut WireSession, table: &ReadableTable) -> Result<()> {
    let name = quote::literal_bytes(&table.name);
    let row = session
        .query_one([b"SELECT pg_catalog.to_regclass(", &*name, b")::pg_catalog.oid"].concat())
        .await
        .map_err(|e| failed(&format!("look up {}", table.label), &e))?;
    if row.number::<u32>(0).ok() == Some(table.oid) {
        Ok(())
    } else {
        Err(lost(format!("{} was renamed while it was to be read", table.label)))
    }
}

/// `None` where a lock was not to be had, before any row was read.
async fn copy(
    session: &mut WireSession,
    table: &ReadableTable,
    unit: &Unit,
    encoding: &str,
    sink: &mut dyn BlockSink,
) -> Result<Option<TableChecksum>> {
    let doing = format!("copy {}", table.label);
    let failure = |e: WireError| {
        if is_ddl_conflict(e.sql_state()) {
            lost(format!("{doing}: {}", e.reason()))
        } else if e.reason().contains("row-level security") {
            failed(&doing, &e)
                .with_hint("row security would hide rows from this role: ALTER ROLE … BYPASSRLS, or dump as the owner")
        } else {
            failed(&doing, &e)
        }
    };
    let mut rows = match session.copy_out(statement(table, unit, encoding)).await {
        Err(error) if error.sql_state() == Some(&SqlState::LOCK_NOT_AVAILABLE) => return Ok(None),
        other => other.map_err(failure)?,
    };
    let mut digest = RowDigest::new(table.sorted_order());
    while let Some(block) = rows.next_block().await.map_err(failure)? {
        digest.push(block);
        sink.block(block).await?;
    }
    let (checksum, _) = digest.finish().map_err(|e| e.context(&doing))?;
    if rows.rows() != Some(checksum.rows) {
        let sent = rows.rows().unwrap_or_default();
        let message = format!("{doing}: the server sent {sent} rows, and {} came", checksum.rows);
        return Err(Error::new(ErrorKind::Database, message));
    }
    Ok(Some(checksum))
}
