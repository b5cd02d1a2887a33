//! What health asks a server, as SQL text. Times come as microseconds since 1970, whatever the session's settings.

/// Who answers.
pub(super) const SERVER: &str = "
SELECT pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1),
       pg_catalog.current_setting('server_version_num')::int4,
       (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::int8, pg_catalog.pg_is_in_recovery()";

/// Who asks.
pub(super) const ROLE: &str = "
SELECT rolname::text,
       CASE WHEN pg_catalog.isfinite(rolvaliduntil) THEN (extract(epoch FROM rolvaliduntil) * 1000000)::int8 END,
       rolsuper OR pg_catalog.pg_has_role(rolname, 'pg_read_all_stats', 'USAGE')
FROM pg_catalog.pg_roles WHERE rolname = current_user";

pub(super) const DATABASE_BYTES: &str = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())::int8";

pub(super) const WAL_BYTES: &str = "SELECT coalesce(pg_catalog.sum(size), 0)::int8 FROM pg_catalog.pg_ls_waldir()";

pub(super) const TEMPORARY_BYTES: &str =
    "SELECT coalesce(pg_catalog.sum(size), 0)::int8 FROM pg_catalog.pg_ls_tmpdir()";

/// Sessions of all databases, from a view that hides nothing.
pub(super) const CONNECTIONS: &str = "
SELECT coalesce(pg_catalog.sum(numbackends), 0)::int8, pg_catalog.current_setting('max_connections')::int8
FROM pg_catalog.pg_stat_database";

pub(super) const COUNTERS: &str = "
SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::int8,
       (extract(epoch FROM stats_reset) * 1000000)::int8,
       (xact_commit + xact_rollback)::int8, blks_hit::int8, blks_read::int8
FROM pg_catalog.pg_stat_database WHERE datname = pg_catalog.current_database()";

/// The oldest of either kind of id, and whose it is.
pub(super) const IDS: &str = "
SELECT (pg_catalog.max(ARRAY[age(datfrozenxid)::int8, oid::int8]))[1],
       (SELECT datname::text FROM pg_catalog.pg_database ORDER BY age(datfrozenxid) DESC, oid DESC LIMIT 1),
       (pg_catalog.max(ARRAY[mxid_age(datminmxid)::int8, oid::int8]))[1],
       (SELECT datname::text FROM pg_catalog.pg_database ORDER BY mxid_age(datminmxid) DESC, oid DESC LIMIT 1)
FROM pg_catalog.pg_database";

/// Open transactions of clients, oldest first. Of other roles' sessions, one without pg_read_all_stats sees none.
pub(super) const TRANSACTIONS: &str = "
SELECT pid, coalesce(usename::text, ''), coalesce(datname::text, ''), coalesce(application_name, ''),
       greatest(extract(epoch FROM pg_catalog.clock_timestamp() - xact_start), 0)::int8,
       CASE WHEN state LIKE 'idle in transaction%'
            THEN greatest(extract(epoch FROM pg_catalog.clock_timestamp() - state_change), 0)::int8 END
FROM pg_catalog.pg_stat_activity
WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
ORDER BY xact_start LIMIT 50";

pub(super) const PREPARED: &str = "
SELECT gid, database::text, owner::text,
       greatest(extract(epoch FROM pg_catalog.clock_timestamp() - prepared), 0)::int8
FROM pg_catalog.pg_prepared_xacts ORDER BY prepared LIMIT 50";

pub(super) const SLOTS: &str = "
SELECT slot_name::text, slot_type, active,
       greatest(pg_catalog.pg_wal_lsn_diff(
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn), 0)::int8,
       wal_status
FROM pg_catalog.pg_replication_slots ORDER BY slot_name";

pub(super) const ARCHIVER: &str = "
SELECT (extract(epoch FROM last_archived_time) * 1000000)::int8,
       (extract(epoch FROM last_failed_time) * 1000000)::int8, last_failed_wal
FROM pg_catalog.pg_stat_archiver WHERE pg_catalog.current_setting('archive_mode') <> 'off'";

/// Standbys and whoever else streams; of what a role may not see, the state is null.
pub(super) const STANDBYS: &str = "
SELECT coalesce(nullif(application_name, ''), client_addr::text, pid::text), state,
       extract(epoch FROM replay_lag)::float8,
       greatest(pg_catalog.pg_wal_lsn_diff(
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_lsn() END, replay_lsn), 0)::int8
FROM pg_catalog.pg_stat_replication
WHERE state IS NOT NULL AND state <> 'backup' ORDER BY 1";

/// A connected standby that has replayed all it received is not behind, however long nothing happened. One that is cut
/// off, or behind, counts from the last transaction it knows, or from its start where it has replayed none since.
pub(super) const REPLAY: &str = "
SELECT CASE WHEN receiving AND pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
            ELSE greatest(extract(epoch FROM pg_catalog.clock_timestamp()
                - coalesce(pg_catalog.pg_last_xact_replay_timestamp(), pg_catalog.pg_postmaster_start_time())), 0)
       END::float8, receiving
FROM (SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) AS receiving) AS r
WHERE pg_catalog.pg_is_in_recovery()";

/// Where the server keeps its data, and when it was started, in seconds as its own file says.
pub(super) const DATA_DIRECTORY: &str = "
SELECT pg_catalog.current_setting('data_directory'),
       extract(epoch FROM pg_catalog.pg_postmaster_start_time())::int8";
