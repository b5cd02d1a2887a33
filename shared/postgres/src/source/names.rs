//! Proof that names are still the snapshot's: pg_dump writes definitions with names from the newest catalog, and table
//! locks stop no renaming of schemas, views, sequences, types or functions.

use std::collections::HashMap;

use lifeboat_core::Result;

use super::{
    locks::{failed, lost},
    statements,
};
use crate::wire::{WireError, WireSession};

/// `SnapshotLost` where something was renamed since the snapshot: a definition read meanwhile may name another object.
pub(super) async fn check(session: &mut WireSession) -> Result<()> {
    refuse_renamed(session, statements::RENAMED).await
}

/// The same at the end, of what rows are written with: values of `reg*` types are names, and so are those of enums. Ends the
/// snapshot.
pub(super) async fn check_rows(session: &mut WireSession) -> Result<()> {
    let failure = |e: WireError| failed("look for what rows may name otherwise", &e);
    if session.query_one(statements::ROWS_NAME_OBJECTS).await.map_err(failure)?.is_true(0) {
        refuse_renamed(session, statements::RENAMED_OR_DROPPED).await?;
    }
    let before = session.query(statements::ENUM_LABELS).await.map_err(failure)?;
    session.execute("COMMIT").await.map_err(|e| failed("end the snapshot", &e))?;
    let now = session.query(statements::ENUM_LABELS).await.map_err(failure)?;
    let now: HashMap<_, _> = now.iter().map(|row| (row.bytes(0), row)).collect();
    let renamed = before.iter().find_map(|row| {
        let newest = now.get(&row.bytes(0))?;
        // Given another name and its own again, it was written by another transaction.
        [2, 3].iter().any(|&column| newest.bytes(column) != row.bytes(column)).then_some((row, newest))
    });
    match renamed {
        None => Ok(()),
        Some((row, newest)) => {
            let (kind, before, now) = (row.text(1), row.text(2), newest.text(2));
            Err(lost(format!("value {before} of enum {kind} was renamed to {now} since the dump began")))
        }
    }
}

async fn refuse_renamed(session: &mut WireSession, sql: &str) -> Result<()> {
    let renamed = session.query(sql).await.map_err(|e| failed("look for renamed objects", &e))?;
    match renamed.first() {
        None => Ok(()),
        Some(row) => {
            let (kind, before, now) = (row.text(0), row.text(1), row.text(2));
            Err(lost(format!("{kind} {before} was renamed to {now} since the dump began")))
        }
    }
}
