//! What a live database is, whether this role may rename it, and what in it would be left behind.

use lifeboat_core::{
    Result,
    ports::{Beside, LiveFacts},
};

use super::APPLICATION;
use crate::{connect::ConnectionTarget, failure::database_error, session::Session};

/// Whether it exists, its size, sessions of others, its owner; whether the role may create databases and owns this one.
const FACTS: &str = "
SELECT d.oid IS NOT NULL,
       CASE WHEN d.oid IS NOT NULL AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT')
            THEN pg_catalog.pg_database_size(d.oid) ELSE 0 END,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid
        AND a.backend_type = 'client backend' AND a.application_name NOT LIKE 'lifeboat%'),
       coalesce(pg_catalog.pg_get_userbyid(d.datdba)::text, ''),
       r.rolsuper OR r.rolcreatedb,
       d.oid IS NULL OR r.rolsuper OR pg_catalog.pg_has_role(r.oid, d.datdba, 'USAGE'),
       pg_catalog.pg_is_in_recovery()
FROM pg_catalog.pg_roles r LEFT JOIN pg_catalog.pg_database d ON d.datname = $1::text::name
WHERE r.rolname = current_user";

const BESIDE: &str = "
SELECT d.datname::text, pg_catalog.shobj_description(d.oid, 'pg_database')
FROM pg_catalog.pg_database d WHERE d.datname = ANY ($1::text[]::name[]) ORDER BY d.datname";

/// What belongs to the database by its OID or its name, and would not go with the name.
const OBSTACLES: &str = "
SELECT 'replication slot ' || slot_name FROM pg_catalog.pg_replication_slots WHERE database = $1::text::name
UNION ALL SELECT 'prepared transaction ' || gid FROM pg_catalog.pg_prepared_xacts WHERE database = $1::text::name
UNION ALL SELECT 'pg_cron, whose jobs live in it (cron.database_name)'
WHERE pg_catalog.current_setting('cron.database_name', true) = $1::text
UNION ALL SELECT 'enabled subscription ' || s.subname
FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
WHERE d.datname = $1::text::name AND s.subenabled";

const HAS_PG_CRON: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron')";

pub(super) async fn read(live: &ConnectionTarget, beside: &Session, names: &[String]) -> Result<LiveFacts> {
    let database = live.database();
    let doing = format!("look at database '{database}'");
    let failed = |e: tokio_postgres::Error| database_error(&doing, &e);
    let row = beside.query_one(FACTS, &[&database]).await.map_err(failed)?;
    let exists: bool = row.get(0);
    let (mut cannot_create, mut cannot_rename) = (Vec::new(), Vec::new());
    if !row.get::<_, bool>(4) {
        cannot_create.push("it may not create databases (CREATEDB)".to_owned());
    }
    if !row.get::<_, bool>(5) {
        cannot_rename
            .push(format!("the database belongs to '{}', of which it is not a member", row.get::<_, String>(3)));
    }
    if row.get(6) {
        cannot_create.push("the server is a standby".to_owned());
    }
    let found = beside.query(OBSTACLES, &[&database]).await.map_err(failed)?;
    let mut obstacles: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    if exists && !obstacles.iter().any(|o| o.starts_with("pg_cron")) {
        let inside = live.connect(APPLICATION).await?;
        if inside.query_one(HAS_PG_CRON, &[]).await.map_err(failed)?.get(0) {
            obstacles.push("the extension pg_cron, whose jobs live in it".to_owned());
        }
    }
    let found = beside.query(BESIDE, &[&names]).await.map_err(failed)?;
    Ok(LiveFacts {
        database: database.to_owned(),
        server: live.server_label(),
        exists,
        bytes: u64::try_from(row.get::<_, i64>(1)).unwrap_or(0),
        sessions: u64::try_from(row.get::<_, i64>(2)).unwrap_or(0),
        cannot_create,
        cannot_rename,
        obstacles,
        beside: found.iter().map(|row| Beside { name: row.get(0), remark: row.get(1) }).collect(),
    })
}
