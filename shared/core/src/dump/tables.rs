//! The tables of a dump: what was written of them, put together from their units.

use std::collections::HashMap;

use lifeboat_archive::checksum::TableChecksum;

use super::chunk_writer::Written;
use crate::{
    manifest::TableRecord,
    ports::{SourceTable, Unit},
};

/// One unit that is in the store.
pub(super) struct Done {
    pub(super) unit: Unit,
    pub(super) checksum: TableChecksum,
    pub(super) written: Written,
}

/// The record of every table.
pub(super) fn records(tables: &[SourceTable], done: Vec<Done>) -> Vec<TableRecord> {
    let mut by_table: HashMap<i32, Vec<Done>> = HashMap::new();
    for one in done {
        by_table.entry(one.unit.dump_id).or_default().push(one);
    }
    tables
        .iter()
        .map(|table| {
            let mut parts = by_table.remove(&table.dump_id).unwrap_or_default();
            parts.sort_by_key(|d| d.unit.chunk);
            let mut checksum = TableChecksum::default();
            for part in &parts {
                checksum.merge(part.checksum);
            }
            TableRecord {
                oid: table.oid,
                dump_id: table.dump_id,
                schema: table.schema.clone(),
                name: table.name.clone(),
                columns: table.columns.clone(),
                loads_into: table.loads_into.clone(),
                rows: checksum.rows,
                checksum: checksum.sum_hex(),
                raw_bytes: parts.iter().map(|d| d.written.raw_bytes).sum(),
                stored_bytes: parts.iter().map(|d| d.written.object.size).sum(),
                chunks: parts.into_iter().map(|d| d.written.object).collect(),
            }
        })
        .collect()
}
