//! Compares the rows in a target with the manifest: every table's count and checksum, every large object.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use lifeboat_archive::{
    checksum::{SumHex, TableChecksum},
    toc::{Entry, Toc},
};
use serde::Serialize;

use super::data::statements;
use crate::{
    Error, ErrorKind, Result,
    manifest::{LargeObjectRecord, Manifest},
    ports::{LoadStatement, RunContext, Target},
    workers,
};

/// What was expected of a table and what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableComparison {
    /// `schema.name`; the root's where partitions load through it; `large object OID` for a large object.
    pub name: String,
    /// Indexes into the manifest's tables that this compares; several where partitions load through their root.
    pub tables: Vec<usize>,
    /// Rows by the manifest; bytes for a large object.
    pub expected_rows: u64,
    /// Checksum by the manifest, hex.
    pub expected_checksum: String,
    /// Rows found; `None` where it does not exist.
    pub actual_rows: Option<u64>,
    /// Checksum found.
    pub actual_checksum: Option<String>,
}

impl TableComparison {
    /// Whether what is there is what was expected.
    pub fn matches(&self) -> bool {
        self.actual_rows == Some(self.expected_rows)
            && self.actual_checksum.as_deref() == Some(self.expected_checksum.as_str())
    }
}

#[derive(Clone)]
enum Piece {
    Table {
        name: String,
        tables: Vec<usize>,
        expected: TableChecksum,
        statement: LoadStatement,
        sorted: bool,
        /// Partitions below the same root that load by themselves: their rows are read at the root, and taken off.
        minus: Vec<LoadStatement>,
    },
    LargeObject(LargeObjectRecord),
}

/// Compares the named tables (indexes into the manifest's) and large objects, in `jobs` sessions that act as `role`.
#[allow(clippy::too_many_arguments, reason = "what is compared, with what, how, and as whom")]
pub async fn compare_tables(
    target: &Arc<dyn Target>,
    manifest: &Manifest,
    toc: &Toc,
    tables: &[usize],
    large_objects: &[u32],
    jobs: u32,
    role: Option<&str>,
    context: &RunContext,
) -> Result<Vec<TableComparison>> {
    let mut pieces = pieces(manifest, toc, tables)?;
    pieces.extend(
        manifest
            .large_objects
            .iter()
            .filter(|l| large_objects.binary_search(&l.oid).is_ok())
            .cloned()
            .map(Piece::LargeObject),
    );
    let (sharing, progress) = (Arc::clone(target), Arc::clone(&context.progress));
    let role = role.map(str::to_owned);
    let mut all = workers::run(pieces, jobs, &context.cancel, move |queue, cancel| {
        let (target, progress, role) = (Arc::clone(&sharing), Arc::clone(&progress), role.clone());
        async move {
            let mut done = Vec::new();
            let mut worker = cancel.race(target.worker(role.as_deref())).await?;
            while let Some(piece) = queue.next().await {
                let comparison = cancel.race(compare_one(worker.as_mut(), &piece)).await?;
                // The phase counts rows; a large object has bytes.
                if matches!(piece, Piece::Table { .. }) {
                    progress.advance(comparison.expected_rows);
                }
                done.push(comparison);
            }
            Ok(done)
        }
    })
    .await?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

async fn compare_one(worker: &mut dyn crate::ports::TargetWorker, piece: &Piece) -> Result<TableComparison> {
    match piece {
        Piece::Table { name, tables, expected, statement, sorted, minus } => {
            let failed = |e: Error| e.context(format!("compare {name}"));
            let mut found = worker.checksum(statement, *sorted).await.map_err(failed)?;
            for other in minus {
                let own = worker.checksum(other, true).await.map_err(failed)?;
                found.rows = found.rows.saturating_sub(own.rows);
                found.sum = found.sum.wrapping_sub(own.sum);
            }
            Ok(TableComparison {
                name: name.clone(),
                tables: tables.clone(),
                expected_rows: expected.rows,
                expected_checksum: expected.sum_hex(),
                actual_rows: Some(found.rows),
                actual_checksum: Some(found.sum_hex()),
            })
        }
        Piece::LargeObject(large) => {
            let found = worker.large_object_digest(large.oid).await?;
            Ok(TableComparison {
                name: format!("large object {}", large.oid),
                tables: Vec::new(),
                expected_rows: large.raw_bytes,
                expected_checksum: large.content_sha256.clone(),
                actual_rows: found.as_ref().map(|f| f.0),
                actual_checksum: found.map(|f| f.1),
            })
        }
    }
}

/// Tables that load through the same root, and the entry of one of them, whose statement names the root.
struct Group {
    tables: Vec<usize>,
    expected: TableChecksum,
    dump_id: i32,
}

/// One piece per table; tables that load through a partition root are one piece together, compared at the root.
fn pieces(manifest: &Manifest, toc: &Toc, tables: &[usize]) -> Result<Vec<Piece>> {
    let mut statements = statements(manifest, toc, false)?;
    let all = statements.clone();
    let partition_roots = partition_roots(toc);
    let mut pieces = Vec::new();
    // Roots are told apart by their entries, not by names: what is shown of two may be the same.
    let mut roots: BTreeMap<(&str, Option<i32>), Group> = BTreeMap::new();
    for &index in tables {
        let table = &manifest.tables[index];
        let sum: SumHex = table.checksum.parse().map_err(|_| {
            Error::new(ErrorKind::Corrupt, format!("manifest.json: the checksum of {} is none", table.qualified()))
        })?;
        let expected = TableChecksum { rows: table.rows, sum: sum.0 };
        if let Some(name) = &table.loads_into {
            let root = partition_roots.get(&table.dump_id).copied();
            let empty = Group { tables: Vec::new(), expected: TableChecksum::default(), dump_id: table.dump_id };
            let group = roots.entry((name, root)).or_insert(empty);
            group.tables.push(index);
            group.expected.merge(expected);
        } else if let Some(statement) = statements.remove(&table.dump_id) {
            let name = table.qualified();
            let minus = Vec::new();
            pieces.push(Piece::Table { name, tables: vec![index], expected, statement, sorted: false, minus });
        }
    }
    for ((name, root), Group { tables, expected, dump_id }) in roots {
        if let Some(statement) = statements.remove(&dump_id) {
            let below = |id: &i32| root.is_some() && partition_roots.get(id).copied() == root;
            let minus = manifest
                .tables
                .iter()
                .filter(|t| t.loads_into.is_none() && below(&t.dump_id))
                .filter_map(|t| all.get(&t.dump_id).cloned())
                .collect();
            pieces.push(Piece::Table { name: name.to_owned(), tables, expected, statement, sorted: true, minus });
        }
    }
    Ok(pieces)
}

/// For each data entry of a partition (by dump id): the entry of the topmost table above it.
fn partition_roots(toc: &Toc) -> HashMap<i32, i32> {
    let tables: HashMap<i32, &Entry> =
        toc.entries.iter().filter(|e| e.desc_str() == "TABLE").map(|e| (e.dump_id, e)).collect();
    let mut parents: HashMap<i32, i32> = HashMap::new();
    for attach in toc.entries.iter().filter(|e| e.desc_str() == "TABLE ATTACH") {
        let is_child =
            |id: &&i32| tables.get(*id).is_some_and(|t| t.tag == attach.tag && t.namespace == attach.namespace);
        let child = attach.dependencies.iter().find(is_child);
        let parent = attach.dependencies.iter().find(|id| tables.contains_key(id) && Some(*id) != child);
        if let (Some(child), Some(parent)) = (child, parent) {
            parents.insert(*child, *parent);
        }
    }
    let mut roots = HashMap::new();
    for data in toc.entries.iter().filter(|e| e.is_table_data()) {
        let Some(table) = data.dependencies.iter().find(|id| tables.contains_key(id)) else { continue };
        let mut top = *table;
        // Levels are few; the bound is there for a damaged TOC that runs in a circle.
        for _ in 0..64 {
            match parents.get(&top) {
                Some(parent) => top = *parent,
                None => break,
            }
        }
        if top != *table && tables.contains_key(&top) {
            roots.insert(data.dump_id, top);
        }
    }
    roots
}
