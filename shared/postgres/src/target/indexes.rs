//! Indexes that are there and not valid: queries do not use them, and unique ones may hold what is not.

use lifeboat_archive::names;
use lifeboat_core::Result;

use crate::{failure::database_error, session::Session};

/// Those of partitioned tables are left out: they are valid once every partition has its own, and of these each counts.
const INVALID: &str = "
SELECT pg_catalog.convert_to(n.nspname || '.' || x.relname,
       CASE pg_catalog.current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
WHERE NOT (i.indisvalid AND i.indisready) AND x.relkind = 'i'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, x.relname";

/// Their names.
pub(super) async fn invalid(session: &Session) -> Result<Vec<String>> {
    let found = session.query(INVALID, &[]).await.map_err(|e| database_error("list invalid indexes", &e))?;
    Ok(found.iter().map(|row| names::text(row.get(0)).into_owned()).collect())
}
