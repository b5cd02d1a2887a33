//! Proof that names are still the snapshot's: pg_dump writes definitions with names from the newest catalog, and table
//! locks stop no renaming of schemas, views, sequences, types or functions.

use lifeboat_core::Result;

use super::{
    locks::{failed, lost},
    statements,
};
use crate::wire::WireSession;

/// `SnapshotLost` where something was renamed since the snapshot: a definition read meanwhile may name another object.
pub(super) async fn check(session: &mut WireSession) -> Result<()> {
    let renamed = session.query(statements::RENAMED).await.map_err(|e| failed("look for renamed objects", &e))?;
    match renamed.first() {
        None => Ok(()),
        Some(row) => {
            let (kind, before, now) = (row.text(0), row.text(1), row.text(2));
            Err(lost(format!("{kind} {before} was renamed to {now} while the dump started")))
        }
    }
}
