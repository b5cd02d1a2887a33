//! The queries of facts, as SQL. Every name is qualified, and nothing waits for the lock of a table that is being changed.

/// The whole server and database: one row.
pub(super) const SERVER: &str = "
SELECT pg_catalog.current_setting('server_version_num')::int4,
       pg_catalog.pg_is_in_recovery(),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication),
       current_user::text,
       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
       pg_catalog.pg_database_size(d.oid),
       (SELECT n.nspname::text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'pgstattuple'
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid
            AND p.proname IN ('pgstattuple_approx', 'pgstatindex') AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE'))),
       (pg_catalog.extract('epoch', coalesce(s.stats_reset, pg_catalog.pg_postmaster_start_time())) * 1000000)::int8,
       s.blks_hit, s.blks_read,
       pg_catalog.age(d.datfrozenxid)::int8, pg_catalog.mxid_age(d.datminmxid)::int8,
       pg_catalog.current_setting('autovacuum_freeze_max_age')::int8,
       pg_catalog.current_setting('vacuum_freeze_table_age')::int8,
       pg_catalog.current_setting('autovacuum')::bool AND pg_catalog.current_setting('track_counts')::bool,
       pg_catalog.current_setting('block_size')::int4,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
       pg_catalog.current_setting('max_connections')::int8 - pg_catalog.current_setting('superuser_reserved_connections')::int8
         - coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int8,
       pg_catalog.pg_has_role(d.datdba, 'USAGE')
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_stat_database s ON s.datid = d.oid
WHERE d.datname = pg_catalog.current_database()";

/// Tables of this database that somebody holds or wants exclusively: reading their sizes would wait.
const LOCKED: &str = "
locked AS MATERIALIZED (
  SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))";

/// What belongs to users.
const OF_USERS: &str = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relpersistence <> 't'";

/// Tables, largest first. From 17 on a privilege allows maintenance.
pub(super) fn tables(server_version_num: u32) -> String {
    let allowed =
        if server_version_num >= 170_000 { "pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')" } else { "false" };
    format!(
        "WITH RECURSIVE {LOCKED}, above_foreign AS (
           SELECT h.inhparent AS relid FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class f ON f.oid = h.inhrelid WHERE f.relkind = 'f'
           UNION SELECT h.inhparent FROM above_foreign a JOIN pg_catalog.pg_inherits h ON h.inhrelid = a.relid),
         used AS MATERIALIZED (
           SELECT l.relation, pg_catalog.count(DISTINCT l.virtualtransaction) AS sessions FROM pg_catalog.pg_locks l
           WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() GROUP BY 1)
         SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
                ARRAY(SELECT a.relid::oid FROM pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY a(relid, place)
                      WHERE a.relid <> c.oid ORDER BY a.place),
                pg_catalog.pg_get_userbyid(c.relowner)::text, pg_catalog.pg_has_role(c.relowner, 'USAGE'), {allowed},
                coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0), coalesce(s.n_mod_since_analyze, 0),
                coalesce(s.n_ins_since_vacuum, 0),
                (pg_catalog.extract('epoch', greatest(s.last_vacuum, s.last_autovacuum)) * 1000000)::int8,
                (pg_catalog.extract('epoch', greatest(s.last_analyze, s.last_autoanalyze)) * 1000000)::int8,
                z.heap, z.total, c.reltuples::float8, c.relpages,
                CASE WHEN c.relkind = 'p' THEN 0 ELSE pg_catalog.age(c.relfrozenxid)::int8 END,
                coalesce(c.reloptions, '{{}}'), coalesce(u.sessions, 0),
                c.relispartition OR c.relkind = 'm'
                  OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
                EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                        AND d.objid = c.oid AND d.deptype = 'e'),
                c.oid IN (SELECT relid FROM above_foreign)
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
         LEFT JOIN used u ON u.relation = c.oid
         CROSS JOIN LATERAL (
           SELECT CASE WHEN c.oid IN (SELECT relation FROM locked) THEN c.relpages::int8 * pg_catalog.current_setting('block_size')::int8
                       ELSE coalesce(pg_catalog.pg_relation_size(c.oid), 0) END AS heap,
                  CASE WHEN c.oid IN (SELECT relation FROM locked)
                            OR EXISTS (SELECT FROM pg_catalog.pg_index i JOIN locked k ON k.relation = i.indexrelid WHERE i.indrelid = c.oid)
                       THEN c.relpages::int8 * pg_catalog.current_setting('block_size')::int8
                       ELSE coalesce(pg_catalog.pg_total_relation_size(c.oid), 0) END AS total) z
         WHERE c.relkind IN ('r', 'm', 'p') AND {OF_USERS}
         ORDER BY z.total DESC, c.oid"
    )
}

/// Indexes, largest first. From 16 on the server knows when they were last scanned.
pub(super) fn indexes(server_version_num: u32) -> String {
    let last_scan = if server_version_num >= 160_000 {
        "(pg_catalog.extract('epoch', s.last_idx_scan) * 1000000)::int8"
    } else {
        "NULL::int8"
    };
    format!(
        "WITH RECURSIVE {LOCKED}, part AS (
           SELECT c.oid AS root, c.oid AS relid FROM pg_catalog.pg_class c WHERE c.relkind = 'I'
           UNION ALL
           SELECT p.root, h.inhrelid FROM part p JOIN pg_catalog.pg_inherits h ON h.inhparent = p.relid),
         parts AS MATERIALIZED (
           SELECT p.root, pg_catalog.sum(coalesce(s.idx_scan, 0))::int8 AS scans FROM part p
           JOIN pg_catalog.pg_stat_all_indexes s ON s.indexrelid = p.relid GROUP BY 1)
         SELECT c.oid, n.nspname::text, c.relname::text, t.oid, tn.nspname::text, t.relname::text, a.amname::text, z.bytes,
                coalesce(parts.scans, s.idx_scan, 0), {last_scan}, i.indisvalid,
                NOT i.indisvalid AND EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index b
                  WHERE b.datname = pg_catalog.current_database() AND (b.relid = i.indrelid OR b.index_relid = i.indexrelid)),
                i.indisunique, EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid),
                i.indisexclusion, i.indisreplident, i.indisclustered, c.relkind = 'I', c.relispartition,
                EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                        AND d.objid = c.oid AND d.deptype = 'e'),
                pg_catalog.concat_ws(' ', a.amname, i.indkey::text, '/', i.indnkeyatts, i.indclass::text, i.indcollation::text,
                  i.indoption::text, i.indnullsnotdistinct,
                  pg_catalog.regexp_replace(coalesce(i.indexprs::text, '-'), ':location -?[0-9]+', '', 'g'),
                  pg_catalog.regexp_replace(coalesce(i.indpred::text, '-'), ':location -?[0-9]+', '', 'g')),
                CASE WHEN i.indrelid IN (SELECT relation FROM locked) OR c.oid IN (SELECT relation FROM locked) THEN ''
                     ELSE pg_catalog.pg_get_indexdef(i.indexrelid) END, c.reltuples::float8, i.indpred IS NOT NULL,
                coalesce(c.reloptions, '{{}}'), i.indkey::int2[]
         FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
         JOIN pg_catalog.pg_am a ON a.oid = c.relam
         LEFT JOIN pg_catalog.pg_stat_all_indexes s ON s.indexrelid = c.oid
         LEFT JOIN parts ON parts.root = c.oid
         CROSS JOIN LATERAL (
           SELECT CASE WHEN c.oid IN (SELECT relation FROM locked) THEN c.relpages::int8 * pg_catalog.current_setting('block_size')::int8
                       ELSE coalesce(pg_catalog.pg_relation_size(c.oid), 0) END AS bytes) z
         WHERE {OF_USERS} AND t.relkind IN ('r', 'm', 'p')
         ORDER BY z.bytes DESC, c.oid"
    )
}

/// Columns of tables and indexes.
pub(super) fn columns() -> String {
    format!(
        "SELECT a.attrelid, a.attnum, a.attname::text, a.attlen, a.attalign::text
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'm', 'i') AND a.attnum > 0 AND NOT a.attisdropped AND {OF_USERS}
         ORDER BY a.attrelid, a.attnum"
    )
}

/// Statistics about columns, of indexes' expressions too.
pub(super) const STATISTICS: &str = "
SELECT s.schemaname::text, s.tablename::text, s.attname::text, s.null_frac, s.avg_width
FROM pg_catalog.pg_stats s
WHERE NOT s.inherited AND s.schemaname <> 'information_schema' AND s.schemaname !~ '^pg_'";

/// Sequences that have begun, with the column that each feeds.
pub(super) fn sequences() -> String {
    format!(
        "SELECT n.nspname::text, c.relname::text, pg_catalog.format_type(q.seqtypid, NULL), q.seqincrement, q.seqmin, q.seqmax,
                v.last_value, f.schema, f.relation, f.name, f.type, coalesce(f.identity, false)
         FROM pg_catalog.pg_sequence q JOIN pg_catalog.pg_class c ON c.oid = q.seqrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         CROSS JOIN LATERAL (
           SELECT CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE')
                       AND (c.relpersistence = 'p' OR NOT pg_catalog.pg_is_in_recovery())
                  THEN pg_catalog.pg_sequence_last_value(c.oid) END AS last_value) v
         LEFT JOIN LATERAL (
           SELECT tn.nspname::text AS schema, t.relname::text AS relation, a.attname::text AS name,
                  pg_catalog.format_type(a.atttypid, NULL) AS type, a.attidentity <> '' AS identity
           FROM (SELECT d.refobjid AS relid, d.refobjsubid AS attnum, 0 AS place FROM pg_catalog.pg_depend d
                 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0
                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
                 UNION ALL
                 SELECT x.adrelid, x.adnum, 1 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef x ON x.oid = d.objid
                 WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid) o
           JOIN pg_catalog.pg_class t ON t.oid = o.relid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
           JOIN pg_catalog.pg_attribute a ON a.attrelid = o.relid AND a.attnum = o.attnum
           ORDER BY o.place, t.oid LIMIT 1) f ON true
         WHERE NOT q.seqcycle AND v.last_value IS NOT NULL AND {OF_USERS}"
    )
}

/// Sessions of this database, as far as they can be seen: what each does and for how long.
pub(super) const SESSIONS: &str = "
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.state, ''),
       coalesce(pg_catalog.extract('epoch', pg_catalog.clock_timestamp() -
         CASE a.state WHEN 'active' THEN a.query_start ELSE a.state_change END), 0)::float8,
       coalesce(pg_catalog.left(a.query, 2000), ''),
       (SELECT pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - pg_catalog.min(l.waitstart))::float8
        FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND NOT l.granted),
       CASE WHEN a.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(a.pid) ELSE '{}' END
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() AND a.backend_type = 'client backend'
ORDER BY 5 DESC";

/// Prepared transactions of this database.
pub(super) const PREPARED: &str = "
SELECT p.gid, p.owner::text, pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - p.prepared)::float8
FROM pg_catalog.pg_prepared_xacts p WHERE p.database = pg_catalog.current_database() ORDER BY p.prepared";

/// Who has waited for a lock of session `$1`, and for how many seconds. Autovacuum gives way by itself.
pub(super) const WAITS_FOR: &str = "
SELECT l.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''),
       coalesce(pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - l.waitstart), 0)::float8
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE NOT l.granted AND l.pid <> $1 AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
  AND $1 = ANY (pg_catalog.pg_blocking_pids(l.pid))
ORDER BY 4 DESC";

/// Whom session `$1` waits for. Asking for blockers stops the lock manager for a moment, so only who waits is asked for.
pub(super) const BLOCKERS: &str = "
SELECT b.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, '')
FROM pg_catalog.pg_stat_activity w CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b(pid)
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
WHERE w.pid = $1 AND w.wait_event_type = 'Lock' LIMIT 1";

/// Who holds a lock on table `$1` that VACUUM cannot live with, other than sessions `$2`.
pub(super) const HOLDERS: &str = "
SELECT coalesce(l.pid, 0), coalesce(a.usename::text, ''), coalesce(a.application_name, '')
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.relation = $1 AND coalesce(l.pid <> ALL ($2), true)
  AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
ORDER BY l.granted DESC LIMIT 1";

/// Transactions, other than those of sessions `$1`, that are open for more than `$2` seconds and that hold a snapshot
/// (if `$4`) or a lock on table `$3`. Those that VACUUM has open are not waited for.
pub(super) const OPEN_TRANSACTIONS: &str = "
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''),
       pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - a.xact_start)::float8
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> ALL ($1) AND a.backend_type <> 'autovacuum worker'
  AND a.xact_start < pg_catalog.clock_timestamp() - $2::float8 * interval '1 second'
  AND (($4 AND a.backend_xmin IS NOT NULL)
       OR EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.relation = $3 AND l.granted))
UNION ALL
SELECT 0, p.owner::text, 'prepared transaction ' || p.gid, pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - p.prepared)::float8
FROM pg_catalog.pg_prepared_xacts p
WHERE p.database = pg_catalog.current_database()
  AND EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.relation = $3
              AND l.virtualtransaction = '-1/' || p.transaction::text)
ORDER BY 4 DESC LIMIT 1";

/// What the table or index `$1` occupies, and its dead tuples.
pub(super) const SIZE: &str = "
SELECT pg_catalog.pg_table_size(c.oid), pg_catalog.pg_stat_get_dead_tuples(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2";

/// The table that a table or index belongs to.
pub(super) const TABLE_OF: &str = "
SELECT coalesce(i.indrelid, c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid WHERE n.nspname = $1 AND c.relname = $2";

/// Invalid indexes of table `$1`.
pub(super) const INVALID: &str = "
SELECT c.oid, n.nspname::text, c.relname::text
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE i.indrelid = $1 AND NOT i.indisvalid";
