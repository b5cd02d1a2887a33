//! Matches the TOC's data entries with the tables of the snapshot: names, sizes, columns, and how each may be read.

use std::collections::{HashMap, HashSet};

use lifeboat_archive::{copy_statement, toc::Toc};
use lifeboat_core::{Error, ErrorKind, Result, ports::SourceTable};

use super::{locks::lost, statements};
use crate::{
    quote,
    session::{Session, database_error},
};

/// What COPY needs to know of one table.
#[derive(Debug, Clone)]
pub(super) struct ReadableTable {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    /// `WHERE …` of an extension's configuration table.
    pub(super) condition: Option<String>,
    /// Whether its rows load into another table, so that its checksum is over the columns sorted by name.
    pub(super) elsewhere: bool,
}

impl ReadableTable {
    pub(super) fn label(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    pub(super) fn sorted_order(&self) -> Option<Vec<usize>> {
        self.elsewhere.then(|| lifeboat_core::rows::sorted_order(&self.columns))
    }
}

/// Every data entry with its table. `SnapshotLost` where TOC and snapshot tell different stories.
pub(super) async fn describe(
    session: &Session,
    toc: &Toc,
    locked: &HashSet<u32>,
    encoding: &str,
    whole: &HashSet<u32>,
) -> Result<(Vec<SourceTable>, HashMap<i32, ReadableTable>)> {
    let rows =
        session.query(statements::TABLE_DETAILS, &[]).await.map_err(|e| database_error("read tables' sizes", &e))?;
    let by_oid: HashMap<u32, &tokio_postgres::Row> = rows.iter().map(|row| (row.get(0), row)).collect();
    let mut tables = Vec::new();
    let mut readable = HashMap::new();
    for entry in toc.entries.iter().filter(|e| e.is_table_data()) {
        let shown = String::from_utf8_lossy(&entry.tag).into_owned();
        let Some(row) = by_oid.get(&entry.oid).filter(|_| locked.contains(&entry.oid)) else {
            return Err(lost(format!("pg_dump lists data of {shown}, which the snapshot does not hold")));
        };
        let statement = copy_statement::parse(entry.copy_stmt.as_deref().unwrap_or_default())
            .map_err(|e| Error::new(ErrorKind::ClientTool, format!("understand pg_dump's COPY of {shown}: {e}")))?;
        let (schema, name): (String, String) = (row.get(1), row.get(2));
        let columns: Vec<String> = row.get::<_, Option<Vec<String>>>(8).unwrap_or_default();
        let written: Vec<Vec<u8>> = statement.columns.iter().map(|c| quote::unquote(c)).collect();
        let same = if matches!(encoding, "UTF8" | "SQL_ASCII") || written.iter().all(|c| c.is_ascii()) {
            written.iter().map(Vec::as_slice).eq(columns.iter().map(String::as_bytes))
        } else {
            written.len() == columns.len()
        };
        if !same {
            return Err(lost(format!("the columns of {schema}.{name} changed while the dump started")));
        }
        let own = entry.namespace.as_deref().unwrap_or_default();
        let loads_into = loads_elsewhere(&statement.target, own, &entry.tag);
        // An extension's table has its constraints before its rows: one that refers to itself wants them in one COPY.
        let of_extension: Option<String> = row.get(9);
        let (heap_bytes, toast_bytes): (i64, i64) = (row.get(5), row.get(6));
        tables.push(SourceTable {
            dump_id: entry.dump_id,
            oid: entry.oid,
            schema: schema.clone(),
            name: name.clone(),
            blocks: u32::try_from(row.get::<_, i64>(4)).unwrap_or(u32::MAX),
            bytes: u64::try_from(heap_bytes + toast_bytes).unwrap_or(0),
            splittable: row.get(7) && of_extension.is_none() && !columns.is_empty() && !whole.contains(&entry.oid),
            columns: columns.clone(),
            loads_into: loads_into.clone(),
        });
        let elsewhere = loads_into.is_some();
        let condition = of_extension.filter(|c| !c.trim().is_empty());
        readable.insert(entry.dump_id, ReadableTable { oid: entry.oid, schema, name, columns, condition, elsewhere });
    }
    Ok((tables, readable))
}

/// The target of a COPY where it is not the entry's own table.
fn loads_elsewhere(target: &[u8], schema: &[u8], table: &[u8]) -> Option<String> {
    let parts = split_qualified(target);
    let own = parts.len() == 2 && quote::unquote(parts[0]) == schema && quote::unquote(parts[1]) == table;
    (!own).then(|| {
        parts.iter().map(|p| String::from_utf8_lossy(&quote::unquote(p)).into_owned()).collect::<Vec<_>>().join(".")
    })
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
