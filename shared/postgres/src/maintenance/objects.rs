//! Tables and indexes with their bloat, estimated from the statistics about their columns.

use std::collections::HashMap;

use lifeboat_core::maintenance::{Bloat, BloatSource, IndexFacts, ObjectName, TableFacts, TableKind};

use super::{
    Unread,
    bloat::{Column, btree_needs, table_needs},
    queries, rows, time, unsigned,
};
use crate::session::Session;

const TABLE_FILLFACTOR: u32 = 100;
const BTREE_FILLFACTOR: u32 = 90;

/// What estimates rest on: columns by their relation, and statistics by schema, relation and column.
pub(super) struct Columns {
    of: HashMap<u32, Vec<(i16, String, i16, char)>>,
    statistics: HashMap<(String, String, String), (f32, i32)>,
}

impl Columns {
    pub(super) async fn read(session: &Session) -> Result<Self, Unread> {
        let mut of: HashMap<u32, Vec<_>> = HashMap::new();
        for row in rows(session, &queries::columns(), &[], "read columns").await? {
            let alignment = row.get::<_, String>(4).chars().next().unwrap_or('c');
            of.entry(row.get(0)).or_default().push((row.get(1), row.get(2), row.get(3), alignment));
        }
        let found = rows(session, queries::STATISTICS, &[], "read statistics about columns").await?;
        let statistics = found.iter().map(|r| ((r.get(0), r.get(1), r.get(2)), (r.get(3), r.get(4)))).collect();
        Ok(Self { of, statistics })
    }

    fn column(&self, relation: &ObjectName, column: &(i16, String, i16, char)) -> Option<Column> {
        let (_, name, length, alignment) = column;
        let key = (relation.schema.clone(), relation.name.clone(), name.clone());
        let (nulls, width) = *self.statistics.get(&key)?;
        Some(Column { length: *length, alignment: *alignment, nulls, width })
    }

    /// All columns of a table; `None` where one has no statistics.
    fn of_table(&self, oid: u32, name: &ObjectName) -> Option<Vec<Column>> {
        self.of.get(&oid)?.iter().map(|column| self.column(name, column)).collect()
    }

    /// The columns of an index; those of expressions have statistics of their own.
    fn of_index(&self, index: &IndexFacts, keys: &[i16]) -> Option<Vec<Column>> {
        let own = self.of.get(&index.oid)?;
        let tables = self.of.get(&index.table_oid)?;
        let columns = keys.iter().zip(own).map(|(key, own)| match key {
            0 => self.column(&index.name, own),
            key => tables.iter().find(|c| c.0 == *key).and_then(|c| self.column(&index.table, c)),
        });
        columns.collect()
    }
}

/// A storage parameter that is a whole number, or on or off.
pub(super) fn option<'a>(options: &'a [String], name: &str) -> Option<&'a str> {
    options.iter().find_map(|o| o.strip_prefix(name)?.strip_prefix('='))
}

fn fillfactor(options: &[String], default: u32) -> u32 {
    option(options, "fillfactor").and_then(|f| f.parse().ok()).unwrap_or(default).clamp(10, 100)
}

/// Tables with the fillfactor of each, and the rows that estimates count with.
pub(super) struct Table {
    pub(super) facts: TableFacts,
    pub(super) fillfactor: u32,
    rows: f64,
}

#[allow(clippy::cast_precision_loss, reason = "rows of one table, for an estimate")]
pub(super) async fn tables(
    session: &Session,
    server_version_num: u32,
    owns_database: bool,
    page: u32,
    columns: &Columns,
) -> Result<Vec<Table>, Unread> {
    let found = rows(session, &queries::tables(server_version_num), &[], "read tables").await?;
    let tables = found.iter().map(|row| {
        let kind = match row.get::<_, &str>(3) {
            "p" => TableKind::Partitioned,
            "m" => TableKind::MaterializedView,
            _ => TableKind::Table,
        };
        let may_own: bool = row.get(6);
        let options: Vec<String> = row.get(19);
        let mut facts = TableFacts {
            oid: row.get(0),
            name: ObjectName { schema: row.get(1), name: row.get(2) },
            kind,
            ancestors: row.get(4),
            owner: row.get(5),
            may_maintain: may_own || owns_database || row.get::<_, bool>(7),
            may_own,
            live_tuples: unsigned(row.get(8)),
            dead_tuples: unsigned(row.get(9)),
            changed_since_analyze: unsigned(row.get(10)),
            inserted_since_vacuum: unsigned(row.get(11)),
            last_vacuum: time(row.get(12)),
            last_analyze: time(row.get(13)),
            heap_bytes: unsigned(row.get(14)),
            total_bytes: unsigned(row.get(15)),
            bloat: None,
            transaction_age: unsigned(row.get(18)),
            autovacuum: !matches!(option(&options, "autovacuum_enabled"), Some("false" | "off" | "0" | "no")),
            in_use: u32::try_from(row.get::<_, i64>(20)).unwrap_or(u32::MAX),
            identified: row.get(21),
            of_extension: row.get(22),
            above_foreign: row.get(23),
        };
        let fillfactor = fillfactor(&options, TABLE_FILLFACTOR);
        // Statistics that were reset, or never gathered, count nothing; then the planner's figure is the better one.
        let (reltuples, relpages) = (row.get::<_, f64>(16), row.get::<_, i32>(17));
        let counted = facts.live_tuples > 0 || facts.last_analyze.is_some() || facts.last_vacuum.is_some();
        let rows = if counted || reltuples < 0.0 {
            facts.live_tuples as f64
        } else if relpages > 0 {
            reltuples * (facts.heap_bytes / u64::from(page)) as f64 / f64::from(relpages)
        } else {
            reltuples
        };
        if kind != TableKind::Partitioned && facts.heap_bytes > 0 {
            facts.bloat = columns.of_table(facts.oid, &facts.name).map(|columns| {
                let needs = table_needs(&columns, rows, fillfactor, page);
                Bloat::of(facts.heap_bytes.saturating_sub(needs), facts.heap_bytes, BloatSource::Estimated)
            });
        }
        Table { facts, fillfactor, rows }
    });
    Ok(tables.collect())
}

/// An index with its fillfactor.
pub(super) struct Index {
    pub(super) facts: IndexFacts,
    pub(super) fillfactor: u32,
}

pub(super) async fn indexes(
    session: &Session,
    server_version_num: u32,
    page: u32,
    columns: &Columns,
    tables: &[Table],
) -> Result<Vec<Index>, Unread> {
    let found = rows(session, &queries::indexes(server_version_num), &[], "read indexes").await?;
    let rows_of: HashMap<u32, f64> = tables.iter().map(|t| (t.facts.oid, t.rows)).collect();
    let indexes = found.iter().map(|row| {
        let mut facts = IndexFacts {
            oid: row.get(0),
            name: ObjectName { schema: row.get(1), name: row.get(2) },
            table_oid: row.get(3),
            table: ObjectName { schema: row.get(4), name: row.get(5) },
            method: row.get(6),
            bytes: unsigned(row.get(7)),
            scans: unsigned(row.get(8)),
            last_scan: time(row.get(9)),
            valid: row.get(10),
            being_built: row.get(11),
            unique: row.get(12),
            backs_constraint: row.get(13),
            exclusion: row.get(14),
            replica_identity: row.get(15),
            clustered: row.get(16),
            partitioned: row.get(17),
            attached: row.get(18),
            of_extension: row.get(19),
            signature: row.get(20),
            definition: row.get(21),
            bloat: None,
        };
        let options: Vec<String> = row.get(24);
        let fillfactor = fillfactor(&options, BTREE_FILLFACTOR);
        let (reltuples, partial, keys): (f64, bool, Vec<i16>) = (row.get(22), row.get(23), row.get(25));
        if facts.method == "btree" && !facts.partitioned && facts.bytes > 0 {
            let entries = match (partial, rows_of.get(&facts.table_oid)) {
                (false, Some(rows)) => *rows,
                _ => reltuples.max(0.0),
            };
            facts.bloat = columns.of_index(&facts, &keys).map(|columns| {
                let needs = btree_needs(&columns, entries, fillfactor, page);
                Bloat::of(facts.bytes.saturating_sub(needs), facts.bytes, BloatSource::Estimated)
            });
        }
        Index { facts, fillfactor }
    });
    Ok(indexes.collect())
}
