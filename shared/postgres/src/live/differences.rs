//! Compares rescued tables with the live ones, and says how to bring rows back.

use std::collections::HashMap;

use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{MergeStatement, RescuedTable, RowDifference, TableDifference},
};

use super::{
    keys,
    merge::{Pair, Rows},
};
use crate::{failure::database_error, quote, session::Session};

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// References between live tables: the one that refers, the one referred to.
const REFERENCES: &str = "
SELECT conrelid, confrelid FROM pg_catalog.pg_constraint
WHERE contype = 'f' AND conrelid = ANY ($1) AND confrelid = ANY ($1) AND conrelid <> confrelid";

/// Live tables that lose rows together with this one.
const CASCADES: &str = "
SELECT DISTINCT n.nspname::text || '.' || c.relname::text
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.confrelid = $1 AND k.confdeltype = 'c' AND k.conparentid = 0 AND NOT k.conrelid = ANY ($2) ORDER BY 1";

/// What runs for each row that is brought back.
const TRIGGERS: &str = "
SELECT tgname::text FROM pg_catalog.pg_trigger
WHERE tgrelid = $1 AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype::int & 20 <> 0 ORDER BY 1";

/// One after the other, in the order in which rows can be brought back.
pub(super) async fn all(session: &Session, tables: &[RescuedTable], schema: &str) -> Result<Vec<TableDifference>> {
    let mut found = Vec::new();
    for table in tables {
        // Without statistics the joins would be planned for an empty table.
        let rescued = quote::qualified(schema, &table.name);
        let analyze = format!("ANALYZE {rescued}");
        session.batch_execute(&analyze).await.map_err(|e| database_error("analyze a rescued table", &e))?;
        found.push((table, keys::oid(session, &table.schema, &table.name).await?));
    }
    let live: Vec<u32> = found.iter().filter_map(|(_, oid)| *oid).collect();
    let rows = session.query(REFERENCES, &[&live]).await.map_err(|e| database_error("read foreign keys", &e))?;
    let references: Vec<(u32, u32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let depth = depths(&live, &references);
    found.sort_by_key(|(_, oid)| oid.and_then(|oid| depth.get(&oid).copied()).unwrap_or(0));
    let mut differences = Vec::new();
    for (table, oid) in found {
        session.batch_execute(BEGIN).await.map_err(|e| database_error("begin", &e))?;
        let difference = match oid {
            Some(oid) => one(session, table, schema, oid, &live).await,
            None => gone(session, table, schema).await,
        };
        let name = format!("compare {}.{}", table.schema, table.name);
        differences.push(difference.map_err(|e| e.context(name))?);
        session.batch_execute("ROLLBACK").await.map_err(|e| database_error("end", &e))?;
    }
    Ok(differences)
}

/// How many tables must come before each. Tables that refer to each other in a circle have no order.
fn depths(tables: &[u32], references: &[(u32, u32)]) -> HashMap<u32, usize> {
    let mut depths: HashMap<u32, usize> = tables.iter().map(|oid| (*oid, 0)).collect();
    for _ in tables {
        for (from, to) in references {
            let least = depths.get(to).copied().unwrap_or(0) + 1;
            depths.entry(*from).and_modify(|depth| *depth = least.min(tables.len()).max(*depth));
        }
    }
    depths
}

async fn number(session: &Session, sql: &str) -> Result<u64> {
    let row = session.query_one(sql, &[]).await.map_err(|e| database_error("count rows", &e))?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

async fn count_of(session: &Session, table: &str) -> Result<u64> {
    number(session, &format!("SELECT pg_catalog.count(*) FROM {table}")).await
}

fn shown(schema: &str, name: &str) -> String {
    format!("{schema}.{name}")
}

/// The live table is not there any more.
async fn gone(session: &Session, table: &RescuedTable, schema: &str) -> Result<TableDifference> {
    let rescued = quote::qualified(schema, &table.name);
    Ok(TableDifference {
        live: shown(&table.schema, &table.name),
        rescued: shown(schema, &table.name),
        key: Vec::new(),
        rescued_rows: count_of(session, &rescued).await?,
        live_rows: None,
        missing_in_live: None,
        only_in_live: None,
        changed: None,
        statements: vec![MergeStatement {
            does: "puts the rescued table in the place of the one that is gone".to_owned(),
            sql: format!("ALTER TABLE {rescued} SET SCHEMA {};", quote::identifier(&table.schema)),
        }],
        remarks: vec![
            "the live table is not there: what is rescued has its keys and indexes, but no foreign keys, triggers, \
             policies and privileges; `lifeboat restore BACKUP --table` with --force brings the table back with these"
                .to_owned(),
        ],
    })
}

async fn one(
    session: &Session,
    table: &RescuedTable,
    schema: &str,
    live: u32,
    among: &[u32],
) -> Result<TableDifference> {
    let rescued = keys::oid(session, schema, &table.name).await?.ok_or_else(|| {
        Error::new(ErrorKind::Unexpected, format!("{schema}.{} is not there after the copy", table.name))
    })?;
    let common = keys::common(session, live, rescued).await?;
    let pair = Pair {
        live: quote::qualified(&table.schema, &table.name),
        rescued: quote::qualified(schema, &table.name),
        common,
    };
    let mut remarks = pair.common.remarks.clone();
    if pair.common.key.is_empty() {
        remarks.push(
            "there is no primary key: rows are compared whole, and a row that was changed counts as missing and as only in \
             the live table"
                .to_owned(),
        );
    }
    let rows = session.query(CASCADES, &[&live, &among]).await.map_err(|e| database_error("read foreign keys", &e))?;
    let cascading: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let rows = session.query(TRIGGERS, &[&live]).await.map_err(|e| database_error("read triggers", &e))?;
    let triggers: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if !triggers.is_empty() {
        remarks.push(format!("triggers of the live table run for what is brought back: {}", triggers.join(", ")));
    }
    if !cascading.is_empty() {
        remarks.push(format!(
            "a DELETE here deletes there too (ON DELETE CASCADE): {}; rescue these as well",
            cascading.join(", ")
        ));
    }
    let missing = difference(session, &pair, Rows::Missing).await?;
    let only = difference(session, &pair, Rows::OnlyLive).await?;
    let changed = difference(session, &pair, Rows::Changed).await?;
    let some = |rows: &Option<RowDifference>| rows.as_ref().is_some_and(|rows| rows.rows > 0);
    let mut statements = Vec::new();
    if some(&missing) {
        statements.push(pair.insert());
    }
    if some(&changed) {
        statements.extend(pair.update());
    }
    Ok(TableDifference {
        live: shown(&table.schema, &table.name),
        rescued: shown(schema, &table.name),
        key: pair.common.key.iter().map(|k| k.name.clone()).collect(),
        rescued_rows: count_of(session, &pair.rescued).await?,
        live_rows: Some(count_of(session, &pair.live).await?),
        missing_in_live: missing,
        only_in_live: only,
        changed,
        statements,
        remarks,
    })
}

async fn difference(session: &Session, pair: &Pair, rows: Rows) -> Result<Option<RowDifference>> {
    let Some(count) = pair.count(rows) else { return Ok(None) };
    let mut difference = RowDifference { rows: number(session, &count).await?, keys: Vec::new() };
    if let (true, Some(keys)) = (difference.rows > 0, pair.keys(rows)) {
        let found = session.query(&keys, &[]).await.map_err(|e| database_error("read keys", &e))?;
        difference.keys = found.iter().filter_map(|row| serde_json::from_str(&row.get::<_, String>(0)).ok()).collect();
    }
    Ok(Some(difference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_others_refer_to_come_first_and_circles_do_no_harm() {
        let depth = depths(&[1, 2, 3], &[(1, 2), (2, 3)]);
        assert_eq!((depth[&3], depth[&2], depth[&1]), (0, 1, 2));
        assert_eq!(depths(&[1, 2], &[(1, 2), (2, 1)]).len(), 2);
    }
}
