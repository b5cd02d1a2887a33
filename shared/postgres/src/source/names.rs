//! Proof that names are still the snapshot's: pg_dump writes definitions with names from the newest catalog, and table
//! locks stop no renaming of schemas, views, sequences, types or functions.

use lifeboat_core::Result;

use super::{
    locks::{failed, lost},
    statements,
};
use crate::session::Session;

/// `SnapshotLost` where something was renamed since the snapshot: a definition read meanwhile may name another object.
pub(super) async fn check(session: &Session) -> Result<()> {
    let renamed =
        session.query_opt(statements::RENAMED, &[]).await.map_err(|e| failed("look for renamed objects", &e))?;
    match renamed {
        None => Ok(()),
        Some(row) => {
            let (kind, before, now): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
            Err(lost(format!("{kind} {before} was renamed to {now} while the dump started")))
        }
    }
}
