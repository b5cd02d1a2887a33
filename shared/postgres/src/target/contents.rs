//! What a target is, and whether it is empty.

use lifeboat_archive::names;
use lifeboat_core::{Result, lock_space::LockSpace};

use crate::{failure::database_error, lock_space, session::Session};

/// Version, version number, encoding, superuser, and the two numbers of the room for locks.
pub(super) fn facts() -> String {
    format!(
        "SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::int4,
       pg_catalog.current_setting('server_encoding'), r.rolsuper, {}
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
        lock_space::SETTINGS
    )
}

/// Of a row of [`facts`].
pub(super) fn room_for_locks(row: &tokio_postgres::Row) -> LockSpace {
    let number = |column| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
    LockSpace::new(number(4), number(5))
}

/// User objects, gravest first, at most twenty; as bytes, because a database without encoding may hold any. Members of
/// extensions come with them and are not named again; objects that initdb made have OIDs below 16384.
const CONTENTS: &str = "
WITH members AS (SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'),
own AS (SELECT oid, nspname FROM pg_catalog.pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'),
found(rank, what) AS (
  SELECT 1, CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
         WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' ELSE 'type' END
         || ' ' || n.nspname || '.' || c.relname
  FROM pg_catalog.pg_class c JOIN own n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND c.relpersistence <> 't'
    AND (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 2, 'large objects: ' || count(*) FROM pg_catalog.pg_largeobject_metadata HAVING count(*) > 0
  UNION ALL SELECT 3, 'function ' || n.nspname || '.' || p.proname
  FROM pg_catalog.pg_proc p JOIN own n ON n.oid = p.pronamespace
  WHERE (p.tableoid, p.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 4, 'type ' || n.nspname || '.' || t.typname
  FROM pg_catalog.pg_type t JOIN own n ON n.oid = t.typnamespace
  WHERE t.typrelid = 0 AND t.typcategory <> 'A' AND (t.tableoid, t.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 5, 'schema ' || n.nspname FROM pg_catalog.pg_namespace n JOIN own USING (oid)
  WHERE n.nspname <> 'public' AND (n.tableoid, n.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 6, 'extension ' || extname FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'
  UNION ALL SELECT 7, 'event trigger ' || evtname FROM pg_catalog.pg_event_trigger
  WHERE (tableoid, oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 7, 'publication ' || pubname FROM pg_catalog.pg_publication
  UNION ALL SELECT 7, 'subscription ' || subname FROM pg_catalog.pg_subscription
  WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  UNION ALL SELECT 8, 'foreign data wrapper ' || fdwname FROM pg_catalog.pg_foreign_data_wrapper
  WHERE (tableoid, oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 8, 'foreign server ' || srvname FROM pg_catalog.pg_foreign_server
  UNION ALL SELECT 8, 'language ' || lanname FROM pg_catalog.pg_language
  WHERE oid >= 16384 AND (tableoid, oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 9, 'operator ' || n.nspname || '.' || o.oprname
  FROM pg_catalog.pg_operator o JOIN own n ON n.oid = o.oprnamespace
  WHERE (o.tableoid, o.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 9, 'collation ' || n.nspname || '.' || c.collname
  FROM pg_catalog.pg_collation c JOIN own n ON n.oid = c.collnamespace
  WHERE (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 9, 'text search configuration ' || n.nspname || '.' || c.cfgname
  FROM pg_catalog.pg_ts_config c JOIN own n ON n.oid = c.cfgnamespace
  WHERE (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 9, 'text search dictionary ' || n.nspname || '.' || d.dictname
  FROM pg_catalog.pg_ts_dict d JOIN own n ON n.oid = d.dictnamespace
  WHERE (d.tableoid, d.oid) NOT IN (SELECT classid, objid FROM members)
  UNION ALL SELECT 9, 'cast to ' || pg_catalog.format_type(c.casttarget, NULL) FROM pg_catalog.pg_cast c
  WHERE c.oid >= 16384 AND (c.tableoid, c.oid) NOT IN (SELECT classid, objid FROM members)
)
SELECT pg_catalog.convert_to(what, CASE pg_catalog.current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)
FROM found ORDER BY rank, what COLLATE \"C\" LIMIT 20";

/// The user objects found.
pub(super) async fn contents(session: &Session) -> Result<Vec<String>> {
    let rows =
        session.query(CONTENTS, &[]).await.map_err(|e| database_error("look whether the target is empty", &e))?;
    Ok(rows.iter().map(|row| names::text(row.get(0)).into_owned()).collect())
}

/// Whether the role may set `session_replication_role`: superusers, and from 15 on whoever was granted it.
pub(super) async fn may_disable_triggers(session: &Session, version: u32, superuser: bool) -> Result<bool> {
    if superuser || version < 150_000 {
        return Ok(superuser);
    }
    let row = session
        .query_one("SELECT pg_catalog.has_parameter_privilege('session_replication_role', 'SET')", &[])
        .await
        .map_err(|e| database_error("read the role's privileges", &e))?;
    Ok(row.get(0))
}
