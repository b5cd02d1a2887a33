//! What to ask a server of its room for locks.

use lifeboat_core::lock_space::LockSpace;

use crate::wire::{Row, WireError};

/// `max_locks_per_transaction`, and by what the server multiplies it: a slot for each session and process that may be
/// (`InitProcess` and `NLOCKENTS` of the server's sources). Both can be changed by a restart only.
pub(crate) const SETTINGS: &str = "
  pg_catalog.current_setting('max_locks_per_transaction')::int8,
  (SELECT pg_catalog.sum(setting::int8) + pg_catalog.max(setting::int8) FILTER (WHERE name LIKE 'autovacuum%')
          - coalesce(pg_catalog.sum(setting::int8) FILTER (WHERE name LIKE 'autovacuum%'), 0) + 1
   FROM pg_catalog.pg_settings WHERE name IN ('max_connections', 'max_prepared_transactions', 'max_worker_processes',
     'max_wal_senders', 'autovacuum_max_workers', 'autovacuum_worker_slots'))::int8";

/// From a row of our own client, whose columns `at` and after hold [`SETTINGS`].
pub(crate) fn of(row: &Row, at: usize) -> Result<LockSpace, WireError> {
    Ok(LockSpace::new(row.number(at)?, row.number(at + 1)?))
}
