//! Matches the TOC's data entries with the tables of the snapshot: names, sizes, columns, and how each may be read.

use std::collections::{HashMap, HashSet};

use lifeboat_archive::{copy_statement, names, toc::Toc};
use lifeboat_core::{Error, ErrorKind, Result, ports::SourceTable};

use super::{
    locks::{failed, lost},
    statements,
};
use crate::{
    quote,
    wire::{Row, WireError, WireSession},
};

/// What COPY needs to know of one table.
#[derive(Debug, Clone)]
pub(super) struct ReadableTable {
    pub(super) oid: u32,
    /// As people read it.
    pub(super) label: String,
    /// Qualified and quoted.
    pub(super) name: Vec<u8>,
    pub(super) columns: Vec<Vec<u8>>,
    /// `WHERE …` of an extension's configuration table.
    pub(super) condition: Option<Vec<u8>>,
    /// Whether its rows load into another table, so that its checksum is over the columns sorted by name.
    pub(super) elsewhere: bool,
}

impl ReadableTable {
    pub(super) fn sorted_order(&self) -> Option<Vec<usize>> {
        self.elsewhere.then(|| lifeboat_core::rows::sorted_order(&self.columns))
    }
}

/// Every data entry with its table. `SnapshotLost` where TOC and snapshot tell different stories.
pub(super) async fn describe(
    session: &mut WireSession,
    toc: &Toc,
    locked: &HashSet<u32>,
    encoding: &str,
    whole: &HashSet<u32>,
) -> Result<(Vec<SourceTable>, HashMap<i32, ReadableTable>)> {
    let failure = |e: WireError| failed("read tables' sizes", &e);
    let rows = session.query(statements::TABLE_DETAILS).await.map_err(failure)?;
    let by_oid: HashMap<u32, &Row> =
        rows.iter().map(|row| Ok((row.number(0).map_err(failure)?, row))).collect::<Result<_>>()?;
    let mut columns_by_oid = columns(session).await?;
    let mut tables = Vec::new();
    let mut readable = HashMap::new();
    for entry in toc.entries.iter().filter(|e| e.is_table_data()) {
        let shown = entry.tag_str();
        let Some(row) = by_oid.get(&entry.oid).filter(|_| locked.contains(&entry.oid)) else {
            return Err(lost(format!("pg_dump lists data of {shown}, which the snapshot does not hold")));
        };
        let statement = copy_statement::parse(entry.copy_stmt.as_deref().unwrap_or_default())
            .map_err(|e| Error::new(ErrorKind::ClientTool, format!("understand pg_dump's COPY of {shown}: {e}")))?;
        let columns = columns_by_oid.remove(&entry.oid).unwrap_or_default();
        let written: Vec<Vec<u8>> = statement.columns.iter().map(|c| quote::unquote(c)).collect();
        let same = if matches!(encoding, "UTF8" | "SQL_ASCII") || written.iter().all(|c| c.is_ascii()) {
            written == columns
        } else {
            written.len() == columns.len()
        };
        let (schema, name) = (row.text(1).into_owned(), row.text(2).into_owned());
        let label = format!("{schema}.{name}");
        if !same {
            return Err(lost(format!("the columns of {label} changed while the dump started")));
        }
        let own = entry.namespace.as_deref().unwrap_or_default();
        let loads_into = loads_elsewhere(&statement.target, own, &entry.tag);
        let elsewhere = loads_into.is_some();
        // An extension's table has its constraints before its rows: one that refers to itself wants them in one COPY.
        let of_extension = row.bytes(7);
        let number = |column| row.number::<u64>(column).map_err(failure);
        tables.push(SourceTable {
            dump_id: entry.dump_id,
            oid: entry.oid,
            schema,
            name,
            blocks: u32::try_from(number(3)?).unwrap_or(u32::MAX),
            bytes: number(4)? + number(5)?,
            splittable: row.is_true(6) && of_extension.is_none() && !columns.is_empty() && !whole.contains(&entry.oid),
            columns: columns.iter().map(|c| names::text(c).into_owned()).collect(),
            loads_into,
        });
        let name = quote::qualified_bytes(row.bytes(1).unwrap_or_default(), row.bytes(2).unwrap_or_default());
        let condition = of_extension.filter(|c| !c.trim_ascii().is_empty()).map(<[u8]>::to_vec);
        readable.insert(entry.dump_id, ReadableTable { oid: entry.oid, label, name, columns, condition, elsewhere });
    }
    Ok((tables, readable))
}

/// The columns that COPY reads, in their order, by table.
async fn columns(session: &mut WireSession) -> Result<HashMap<u32, Vec<Vec<u8>>>> {
    let failure = |e: WireError| failed("read tables' columns", &e);
    let mut columns: HashMap<u32, Vec<Vec<u8>>> = HashMap::new();
    for row in session.query(statements::COLUMNS).await.map_err(failure)? {
        let table = row.number(0).map_err(failure)?;
        columns.entry(table).or_default().push(row.bytes(1).unwrap_or_default().to_vec());
    }
    Ok(columns)
}

/// The target of a COPY where it is not the entry's own table.
fn loads_elsewhere(target: &[u8], schema: &[u8], table: &[u8]) -> Option<String> {
    let parts = split_qualified(target);
    let own = parts.len() == 2 && quote::unquote(parts[0]) == schema && quote::unquote(parts[1]) == table;
    (!own).then(|| parts.iter().map(|p| names::text(&quote::unquote(p)).into_owned()).collect::<Vec<_>>().join("."))
}

/// The parts of a qualified name as written, split at dots outside quotes.
fn split_qualified(target: &[u8]) -> Vec<&[u8]> {
    let mut quoted = false;
    target
        .split(|&byte| {
            if byte == b'"' {
                quoted = !quoted;
            }
            byte == b'.' && !quoted
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_into_the_partition_root_is_seen_and_odd_names_are_not_mistaken_for_one() {
        assert_eq!(loads_elsewhere(b"public.root", b"public", b"leaf"), Some("public.root".to_owned()));
        assert_eq!(loads_elsewhere(b"public.leaf", b"public", b"leaf"), None);
        assert_eq!(loads_elsewhere(b"\"a.b\".\"c\"\"d\"", b"a.b", b"c\"d"), None);
    }
}
