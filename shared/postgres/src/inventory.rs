//! Catalog objects with their states, named alike on a source and on what was restored from it.

mod privileges;
mod statements;

use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{Inventory, InventoryItem},
};
use tokio_postgres::error::SqlState;

use crate::{
    failure::Failure,
    quote, source,
    wire::{Row, WireError, WireSession},
};

/// The inventory of the session's database: what a drill compares between the manifest and a scratch target.
///
/// Names hold no OIDs and no column numbers, so that they are the same after a restore; what pg_dump leaves out (system
/// schemas, temporary objects, members of extensions, indexes that are not valid) is left out here. Everything comes
/// from the transaction's snapshot but the values of sequences (kind `sequence`), which are those of this moment.
///
/// `SnapshotLost` where an object vanished while it was looked at, or the session with its snapshot; its transaction has
/// failed then.
pub(crate) async fn inventory(session: &mut WireSession, version: u32) -> Result<Inventory> {
    let mut items = Vec::new();
    for (what, query) in statements::all(version) {
        let rows = session.query(query).await.map_err(|e| failed(what, &e))?;
        items.extend(rows.iter().map(item));
    }
    let rows = if version >= 180_000 {
        session.query(statements::sequence_values()).await
    } else {
        sequence_values(session).await
    };
    items.extend(rows.map_err(|e| failed("sequences", &e))?.iter().map(item));
    items.sort();
    Ok(Inventory { items })
}

/// From kind, name and state.
fn item(row: &Row) -> InventoryItem {
    let text = |column| row.text(column).into_owned();
    InventoryItem { kind: text(0), name: text(1), state: text(2) }
}

/// How many sequences are read by one query.
const SEQUENCES_AT_ONCE: usize = 200;

/// Before version 18 a sequence's value is read from the sequence itself: `last_value,is_called`, or `?` where the role
/// may not read it.
async fn sequence_values(session: &mut WireSession) -> std::result::Result<Vec<Row>, WireError> {
    let names = session.query(statements::sequence_names()).await?;
    let selects: Vec<Vec<u8>> = names
        .iter()
        .map(|row| {
            let [shown, schema, name] = [0, 1, 2].map(|column| row.bytes(column).unwrap_or_default());
            let select = [b"SELECT 'sequence', ", &*quote::literal_bytes(shown), b", "].concat();
            if row.is_true(3) {
                let from = quote::qualified_bytes(schema, name);
                [&*select, b"last_value || ',' || is_called FROM ", &*from].concat()
            } else {
                [&*select, b"'?'"].concat()
            }
        })
        .collect();
    let mut values = Vec::new();
    for batch in selects.chunks(SEQUENCES_AT_ONCE) {
        values.extend(session.query(batch.join(&b" UNION ALL "[..])).await?);
    }
    Ok(values)
}

fn failed(what: &str, error: &WireError) -> Error {
    let doing = format!("take inventory of {what}");
    match error.sql_state() {
        Some(
            &SqlState::UNDEFINED_TABLE
            | &SqlState::UNDEFINED_OBJECT
            | &SqlState::INTERNAL_ERROR
            | &SqlState::T_R_DEADLOCK_DETECTED,
        ) => Error::new(ErrorKind::SnapshotLost, format!("{doing}: {}", error.reason())),
        _ => source::failed(&doing, error),
    }
}
