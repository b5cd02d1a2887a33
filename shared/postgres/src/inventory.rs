//! Catalog objects with their states, named alike on a source and on what was restored from it.

mod privileges;
mod statements;

use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{Inventory, InventoryItem},
};
use tokio_postgres::error::SqlState;

use crate::{
    quote,
    session::{Session, database_error, reason, sql_state},
};

/// The inventory of the session's database: what a drill compares between the manifest and a scratch target.
///
/// Names hold no OIDs and no column numbers, so that they are the same after a restore; what pg_dump leaves out (system
/// schemas, temporary objects, members of extensions, indexes that are not valid) is left out here. Everything comes
/// from the transaction's snapshot but the values of sequences (kind `sequence`), which are those of this moment.
///
/// `SnapshotLost` where an object vanished while it was looked at; the session's transaction has then failed.
pub async fn inventory(session: &Session) -> Result<Inventory> {
    let version = session.server_version_num().await?;
    let row = session
        .query_one("SELECT pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'", &[])
        .await
        .map_err(|e| database_error("take inventory", &e))?;
    // Without a declared encoding names are bytes; with one, the server gives them as UTF-8.
    let wire = if row.get(0) { "SQL_ASCII" } else { "UTF8" };
    let mut items = Vec::new();
    for (what, query) in statements::all(version) {
        let sql = format!(
            "SELECT pg_catalog.convert_to(i.kind, '{wire}'), pg_catalog.convert_to(i.name, '{wire}'), \
             pg_catalog.convert_to(i.state, '{wire}') FROM ({query}) AS i(kind, name, state)"
        );
        for row in session.query(&sql, &[]).await.map_err(|e| failed(what, &e))? {
            let text = |column| row.get::<_, Option<&[u8]>>(column).map(readable).unwrap_or_default();
            items.push(InventoryItem { kind: text(0), name: text(1), state: text(2) });
        }
    }
    items.extend(sequence_values(session, version, wire).await?);
    items.sort();
    Ok(Inventory { items })
}

/// How many sequences are read by one query.
const SEQUENCES_AT_ONCE: usize = 200;

/// `last_value,is_called` of every sequence; `?` where the role may not read one, or its name cannot be sent.
async fn sequence_values(session: &Session, version: u32, wire: &str) -> Result<Vec<InventoryItem>> {
    let what = "sequences";
    let item = |name: &[u8], state: &str| InventoryItem {
        kind: "sequence".to_owned(),
        name: readable(name),
        state: state.to_owned(),
    };
    if version >= 180_000 {
        let sql = format!(
            "SELECT pg_catalog.convert_to(i.name, '{wire}'), i.state FROM ({}) AS i(kind, name, state)",
            statements::sequence_values()
        );
        let rows = session.query(&sql, &[]).await.map_err(|e| failed(what, &e))?;
        return Ok(rows.iter().map(|row| item(row.get(0), row.get(1))).collect());
    }
    let rows = session.query(&statements::sequence_names(wire), &[]).await.map_err(|e| failed(what, &e))?;
    let mut items = Vec::new();
    let mut readers: Vec<(&[u8], String)> = Vec::new();
    for row in &rows {
        match (row.get(3), std::str::from_utf8(row.get(1)), std::str::from_utf8(row.get(2))) {
            (true, Ok(schema), Ok(name)) => readers.push((row.get(0), quote::qualified(schema, name))),
            _ => items.push(item(row.get(0), "?")),
        }
    }
    for batch in readers.chunks(SEQUENCES_AT_ONCE) {
        let selects: Vec<String> = batch
            .iter()
            .enumerate()
            .map(|(place, (_, name))| format!("SELECT {place}, last_value || ',' || is_called FROM {name}"))
            .collect();
        for row in session.query(&selects.join(" UNION ALL "), &[]).await.map_err(|e| failed(what, &e))? {
            if let Some((name, _)) = usize::try_from(row.get::<_, i32>(0)).ok().and_then(|place| batch.get(place)) {
                items.push(item(name, row.get(1)));
            }
        }
    }
    Ok(items)
}

fn failed(what: &str, error: &tokio_postgres::Error) -> Error {
    let doing = format!("take inventory of {what}");
    match sql_state(error) {
        Some(
            &SqlState::UNDEFINED_TABLE
            | &SqlState::UNDEFINED_OBJECT
            | &SqlState::INTERNAL_ERROR
            | &SqlState::T_R_DEADLOCK_DETECTED,
        ) => Error::new(ErrorKind::SnapshotLost, format!("{doing}: {}", reason(error))),
        _ => database_error(&doing, error),
    }
}

/// UTF-8 as it is; other bytes as `\x00`, so that different names stay different.
pub(crate) fn readable(bytes: &[u8]) -> String {
    use std::fmt::Write;

    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn names_that_are_no_utf_8_stay_different() {
        assert_eq!(readable("grün".as_bytes()), "grün");
        assert_eq!(readable(b"gr\xfcn"), "gr\\xfcn");
        assert_ne!(readable(b"gr\xfcn"), readable(b"gr\xf6n"));
    }
}
