//! Names that are not UTF-8, which only a database without a declared encoding can hold: Lifeboat cannot dump these yet.

use lifeboat_core::Result;

use crate::session::{Session, database_error};

/// What a dump reads as text (schemas and tables with their columns), as bytes: the own name, and the qualified one for
/// people. Anything that is not ASCII; what of it is UTF-8 is told on our side.
const NOT_ASCII: &str = r"
SELECT pg_catalog.convert_to(o.name, 'SQL_ASCII'), pg_catalog.convert_to(o.shown, 'SQL_ASCII')
FROM (SELECT n.nspname::text, 'schema ' || n.nspname, n.nspname FROM pg_catalog.pg_namespace n
      UNION ALL
      SELECT c.relname::text, 'table ' || n.nspname || '.' || c.relname, n.nspname
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      UNION ALL
      SELECT a.attname::text, 'column ' || n.nspname || '.' || c.relname || '.' || a.attname, n.nspname
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND a.attnum > 0 AND NOT a.attisdropped
     ) AS o(name, shown, schema)
WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'
  AND o.schema <> 'information_schema' AND o.schema !~ '^pg_' AND o.name ~ E'[\\x80-\\xff]'
ORDER BY 2";

/// The names, such as `table public.caf\xe9`; nothing where the server can send all names as UTF-8.
pub(super) async fn read(session: &Session) -> Result<Vec<String>> {
    let rows =
        session.query(NOT_ASCII, &[]).await.map_err(|e| database_error("look for names that are not UTF-8", &e))?;
    let odd = rows.iter().filter(|row| std::str::from_utf8(row.get(0)).is_err());
    Ok(odd.map(|row| row.get::<_, &[u8]>(1).escape_ascii().to_string()).collect())
}
