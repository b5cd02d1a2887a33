//! What a live table and its rescued copy have in common: columns, and the key by which rows are known.

use lifeboat_core::Result;

use crate::{failure::database_error, session::Session};

/// A table that is there, ordinary or partitioned.
const TABLE: &str = "
SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text::name AND c.relname = $2::text::name AND c.relkind IN ('r', 'p')";

/// Columns of either, in the live table's order: name, whether in the live one, whether in the rescued one, whether generated,
/// whether an identity that only the server gives, whether the types differ.
const COLUMNS: &str = "
WITH l AS (SELECT * FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped),
     r AS (SELECT * FROM pg_catalog.pg_attribute WHERE attrelid = $2 AND attnum > 0 AND NOT attisdropped)
SELECT coalesce(l.attname, r.attname)::text, l.attname IS NOT NULL, r.attname IS NOT NULL,
       coalesce(l.attgenerated <> '', false), coalesce(l.attidentity = 'a', false),
       coalesce((l.atttypid, l.atttypmod) <> (r.atttypid, r.atttypmod), false)
FROM l FULL JOIN r ON l.attname = r.attname ORDER BY l.attnum NULLS LAST, r.attnum";

/// The columns of the primary key, else of a unique index that holds every row, and the operator by which each is equal.
const KEY: &str = "
SELECT a.attname::text, n.nspname::text, o.oprname::text
FROM (SELECT i.* FROM pg_catalog.pg_index i
      WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
      AND NOT EXISTS (SELECT FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
                      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                      WHERE k.place <= i.indnkeyatts AND NOT a.attnotnull)
      ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1) AS i
CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(i.indkey::int2[]), pg_catalog.unnest(i.indclass::oid[]))
    WITH ORDINALITY AS k(attnum, opclass, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
JOIN pg_catalog.pg_opclass c ON c.oid = k.opclass
JOIN pg_catalog.pg_amop m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3
                         AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
WHERE k.place <= i.indnkeyatts ORDER BY k.place";

/// A column by which rows are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub(super) name: String,
    /// Schema and name of the operator that says whether two are equal.
    pub(super) equal: (String, String),
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    in_live: bool,
    in_rescued: bool,
    /// Computed from others: cannot be written.
    generated: bool,
    /// Given by the server unless overridden.
    pub(super) identity: bool,
    other_type: bool,
}

impl Column {
    /// Whether a row can be brought back with it.
    fn is_data(&self) -> bool {
        self.in_live && self.in_rescued && !self.generated
    }
}

/// What both tables have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Common {
    /// Columns that hold data in both, in the live table's order.
    pub(super) columns: Vec<Column>,
    /// Empty where no unique key exists on both sides.
    pub(super) key: Vec<KeyColumn>,
    /// Columns that only one has, or with another type.
    pub(super) remarks: Vec<String>,
}

/// The OID of a table; `None` where it is not there.
pub(super) async fn oid(session: &Session, schema: &str, name: &str) -> Result<Option<u32>> {
    let found =
        session.query_opt(TABLE, &[&schema, &name]).await.map_err(|e| database_error("look for a table", &e))?;
    Ok(found.map(|row| row.get(0)))
}

pub(super) async fn common(session: &Session, live: u32, rescued: u32) -> Result<Common> {
    let failed = |e: tokio_postgres::Error| database_error("read the columns of a table", &e);
    let rows = session.query(COLUMNS, &[&live, &rescued]).await.map_err(failed)?;
    let all = rows.iter().map(|row| Column {
        name: row.get(0),
        in_live: row.get(1),
        in_rescued: row.get(2),
        generated: row.get(3),
        identity: row.get(4),
        other_type: row.get(5),
    });
    let all: Vec<Column> = all.collect();
    let mut remarks = Vec::new();
    for column in &all {
        let name = &column.name;
        if !column.in_rescued {
            remarks.push(format!("column {name} was not there yet at the time of the backup: it keeps its default"));
        } else if !column.in_live {
            remarks.push(format!("column {name} is only in the rescued table: the live one has lost it since"));
        } else if column.other_type {
            remarks.push(format!("column {name} has another type now than in the backup"));
        }
    }
    let columns: Vec<Column> = all.into_iter().filter(Column::is_data).collect();
    let rows = session.query(KEY, &[&live]).await.map_err(failed)?;
    let key: Vec<KeyColumn> =
        rows.iter().map(|row| KeyColumn { name: row.get(0), equal: (row.get(1), row.get(2)) }).collect();
    let whole = key.iter().all(|k| columns.iter().any(|c| c.name == k.name));
    Ok(Common { columns, key: if whole { key } else { Vec::new() }, remarks })
}
