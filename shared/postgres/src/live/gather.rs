//! Moves rescued tables into a schema of their own within the side database, where nothing else hangs on them.

use lifeboat_core::{Error, ErrorKind, Result, ports::RescuedTable};

use crate::{failure::database_error, quote, session::Session};

/// A table and, where it is partitioned, all its partitions.
const MEMBERS: &str = "
SELECT c.oid, n.nspname::text, c.relname::text
FROM pg_catalog.pg_class root
JOIN pg_catalog.pg_namespace rn ON rn.oid = root.relnamespace
CROSS JOIN LATERAL (SELECT root.oid UNION SELECT t.relid::oid FROM pg_catalog.pg_partition_tree(root.oid) t) AS m(oid)
JOIN pg_catalog.pg_class c ON c.oid = m.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE rn.nspname = $1::text::name AND root.relname = $2::text::name AND root.relkind IN ('r', 'p')";

/// Parents that are not among the tables moved: a copy must not become part of a live table.
const PARENTS: &str = "
SELECT pn.nspname::text, p.relname::text, cn.nspname::text, c.relname::text, c.relispartition
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
WHERE i.inhrelid = ANY ($1) AND NOT i.inhparent = ANY ($1) AND c.relkind IN ('r', 'p')";

pub(super) async fn run(session: &Session, tables: &[RescuedTable], schema: &str) -> Result<()> {
    let doing = format!("move the tables into schema '{schema}' of the side database");
    let failed = |e: tokio_postgres::Error| database_error(&doing, &e);
    let mut members: Vec<(u32, String, String)> = Vec::new();
    for table in tables {
        let found = session.query(MEMBERS, &[&table.schema, &table.name]).await.map_err(failed)?;
        if found.is_empty() {
            let what = format!("{doing}: {}.{} is not there after the restore", table.schema, table.name);
            return Err(Error::new(ErrorKind::Unexpected, what));
        }
        for row in found {
            let member = (row.get(0), row.get(1), row.get(2));
            if !members.contains(&member) {
                members.push(member);
            }
        }
    }
    let oids: Vec<u32> = members.iter().map(|(oid, ..)| *oid).collect();
    let mut statements = vec![format!("CREATE SCHEMA {}", quote::identifier(schema))];
    for row in session.query(PARENTS, &[&oids]).await.map_err(failed)? {
        let parent = quote::qualified(row.get(0), row.get(1));
        let child = quote::qualified(row.get(2), row.get(3));
        statements.push(if row.get(4) {
            format!("ALTER TABLE {parent} DETACH PARTITION {child}")
        } else {
            format!("ALTER TABLE {child} NO INHERIT {parent}")
        });
    }
    for (_, from, name) in &members {
        let (table, to) = (quote::qualified(from, name), quote::identifier(schema));
        statements.push(format!("ALTER TABLE {table} SET SCHEMA {to}"));
    }
    session.batch_execute(&format!("BEGIN; {}; COMMIT", statements.join("; "))).await.map_err(failed)
}
