//! The catalog queries of a dump, as SQL text.

/// Every table that a dump locks: ordinary and partitioned ones outside the system's schemas, temporary ones aside.
pub(super) const TABLES: &str = "
SELECT c.oid, n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY c.oid";

/// The relations on which this backend holds a granted ACCESS SHARE lock.
pub(super) const MY_LOCKS: &str = "
SELECT l.relation
FROM pg_catalog.pg_locks l
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.mode = 'AccessShareLock'";

/// What this backend holds among relations that carry rows of users (tables, partitions, foreign tables, matviews), and what it
/// holds that the snapshot does not know, unless that is an index that was made meanwhile.
pub(super) const MY_DATA_LOCKS: &str = "
SELECT l.relation, c.relkind::text
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.relation >= 16384
  AND (c.relkind IN ('r', 'p', 'f', 'm')
       OR c.oid IS NULL AND pg_catalog.pg_index_has_property(l.relation, 'clusterable') IS NULL)";

/// How often this session has read the whole of a table, since some moment before the transaction began. COPY of a whole table is one
/// such scan of exactly the table that it read, whatever that was called.
pub(super) fn my_scans(oid: u32) -> String {
    format!("SELECT pg_catalog.pg_stat_get_xact_numscans({oid})")
}

/// Snapshot, its time and its place in the WAL.
pub(super) const EXPORT: &str = "
SELECT pg_catalog.pg_export_snapshot(),
       (pg_catalog.extract('epoch', pg_catalog.clock_timestamp()) * 1000000)::int8,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()::text
            ELSE pg_catalog.pg_current_wal_lsn()::text END,
       pg_catalog.pg_is_in_recovery()";

/// Facts of the database; `to_jsonb` hides that locale columns differ by version.
pub(super) const FACTS: &str = "
SELECT pg_catalog.current_setting('server_version'),
       pg_catalog.current_setting('server_version_num')::int4,
       pg_catalog.pg_encoding_to_char(d.encoding)::text,
       d.datcollate::text, d.datctype::text,
       CASE d.datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
       coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale'),
       pg_catalog.current_setting('lc_monetary'),
       CASE WHEN pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
            THEN (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) END,
       pg_catalog.pg_get_userbyid(d.datdba)::text
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

/// Extensions and their versions.
pub(super) const EXTENSIONS: &str =
    "SELECT extname::text, extversion::text FROM pg_catalog.pg_extension ORDER BY extname";

/// `ALTER DATABASE … SET` of this database.
pub(super) const SETTINGS: &str = "
SELECT unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s
WHERE s.setrole = 0 AND s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

/// Names, sizes and how each table may be read; sizes are read now, after the snapshot. `pg_relation_size` takes the
/// lock that the coordinator holds already, so nothing queued can hold it up.
pub(super) const TABLE_DETAILS: &str = "
SELECT c.oid, n.nspname, c.relname,
       (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8)::int8,
       pg_catalog.pg_relation_size(c.oid)::int8,
       coalesce(pg_catalog.pg_relation_size(nullif(c.reltoastrelid, 0)), 0)::int8,
       coalesce(am.amname = 'heap', false),
       (SELECT e.extcondition[array_position(e.extconfig, c.oid)] FROM pg_catalog.pg_extension e
        WHERE c.oid = ANY (e.extconfig) LIMIT 1)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// The columns of those tables that COPY reads.
pub(super) const COLUMNS: &str = "
SELECT a.attrelid, a.attname
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attrelid, a.attnum";

/// All large objects, and of each how many pages it reaches across: one look into an index for each.
pub(super) const LARGE_OBJECTS: &str = "
SELECT m.oid, (SELECT coalesce(pg_catalog.max(l.pageno) + 1, 0)::int8 FROM pg_catalog.pg_largeobject l WHERE l.loid = m.oid)
FROM pg_catalog.pg_largeobject_metadata m ORDER BY m.oid";

/// The pages of one large object, in order.
pub(super) fn large_object_pages(oid: u32) -> String {
    format!(
        "COPY (SELECT pageno, data FROM pg_catalog.pg_largeobject WHERE loid = {oid} ORDER BY pageno) \
         TO STDOUT (FORMAT binary)"
    )
}

/// Everything that bears another name in the newest catalog, by which `reg*` types are written out, than in the snapshot; what is gone
/// meanwhile bears its number.
macro_rules! renamed {
    () => {
        "
SELECT o.kind, o.before, o.now
FROM (SELECT 'schema', pg_catalog.quote_ident(n.nspname), n.oid::pg_catalog.regnamespace::text
      FROM pg_catalog.pg_namespace n WHERE n.oid >= 16384
      UNION ALL
      SELECT 'relation', pg_catalog.format('%I.%I', n.nspname, c.relname), c.oid::pg_catalog.regclass::text
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I') AND c.relpersistence <> 't'
        AND n.nspname !~ '^pg_'
      UNION ALL
      SELECT 'type', pg_catalog.format('%I.%I', n.nspname, t.typname), t.oid::pg_catalog.regtype::text
      FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      WHERE t.oid >= 16384 AND t.typcategory <> 'A' AND n.nspname !~ '^pg_'
      UNION ALL
      SELECT 'function', pg_catalog.format('%I.%I', n.nspname, p.proname), p.oid::pg_catalog.regproc::text
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE p.oid >= 16384 AND n.nspname !~ '^pg_'
      UNION ALL
      SELECT 'operator', pg_catalog.format('%I.%s', n.nspname, o.oprname), o.oid::pg_catalog.regoper::text
      FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
      WHERE o.oid >= 16384 AND n.nspname !~ '^pg_'
      UNION ALL
      SELECT 'collation', pg_catalog.format('%I.%I', n.nspname, c.collname), c.oid::pg_catalog.regcollation::text
      FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
      WHERE c.oid >= 16384 AND n.nspname !~ '^pg_'
      UNION ALL
      SELECT 'text search configuration', pg_catalog.format('%I.%I', n.nspname, c.cfgname),
             c.oid::pg_catalog.regconfig::text
      FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace
      WHERE c.oid >= 16384 AND n.nspname !~ '^pg_'
      UNION ALL
      SELECT 'text search dictionary', pg_catalog.format('%I.%I', n.nspname, d.dictname),
             d.oid::pg_catalog.regdictionary::text
      FROM pg_catalog.pg_ts_dict d JOIN pg_catalog.pg_namespace n ON n.oid = d.dictnamespace
      WHERE d.oid >= 16384 AND n.nspname !~ '^pg_'
      UNION ALL
      SELECT 'role', pg_catalog.quote_ident(r.rolname), r.oid::pg_catalog.regrole::text
      FROM pg_catalog.pg_roles r WHERE r.oid >= 16384) AS o(kind, before, now)
WHERE o.before <> o.now"
    };
}

/// At the start definitions matter: what was dropped meanwhile pg_dump has noticed where it mattered.
pub(super) const RENAMED: &str = concat!(renamed!(), " AND o.now !~ '^[0-9]+$' LIMIT 1");

/// At the end rows matter, in which also what was dropped is a number.
pub(super) const RENAMED_OR_DROPPED: &str = concat!(renamed!(), " LIMIT 1");

/// Whether any column of a table holds names of objects: a `reg*` type, or an array, a domain, a composite or a range of such.
pub(super) const ROWS_NAME_OBJECTS: &str = "
WITH RECURSIVE naming AS (
  SELECT t.oid FROM pg_catalog.pg_type t
  WHERE t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND t.typtype = 'b'
    AND t.typname IN ('regclass', 'regtype', 'regproc', 'regprocedure', 'regnamespace', 'regoper', 'regoperator', 'regconfig',
                      'regdictionary', 'regcollation', 'regrole')
  UNION
  SELECT made.oid FROM naming n CROSS JOIN LATERAL (
    SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typelem = n.oid OR t.typbasetype = n.oid
    UNION ALL
    SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE a.atttypid = n.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.oid >= 16384 AND c.reltype <> 0
    UNION ALL
    SELECT pg_catalog.unnest(ARRAY[r.rngtypid, r.rngmultitypid]) FROM pg_catalog.pg_range r WHERE r.rngsubtype = n.oid) AS made)
SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
               WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
                 AND a.atttypid IN (SELECT oid FROM naming))";

/// Every value of every enum: its OID, its type, its name, and the transaction that has given it that.
pub(super) const ENUM_LABELS: &str = "
SELECT e.oid, pg_catalog.format('%I.%I', n.nspname, t.typname), e.enumlabel, e.xmin::text
FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace";
