//! What a database is like: tables, indexes, sequences, sessions, as one reading of its catalogs and statistics tells.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A table, index or sequence by its schema and name, unquoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// What kind of table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// It holds rows; a partition too.
    Table,
    /// Its partitions hold the rows.
    Partitioned,
    /// A materialized view.
    MaterializedView,
}

/// Where a figure of bloat comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BloatSource {
    /// From the statistics about columns: what the rows need, against what is there.
    Estimated,
    /// Read from the table or index by the extension pgstattuple.
    Measured,
}

/// Space that holds nothing of use: dead tuples, and free space beyond the fillfactor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bloat {
    /// Bytes.
    pub bytes: u64,
    /// The same of the whole, percent.
    pub percent: u32,
    /// How it is known.
    pub source: BloatSource,
}

impl Bloat {
    /// So many bytes of a whole.
    pub fn of(bytes: u64, whole: u64, source: BloatSource) -> Self {
        let bytes = bytes.min(whole);
        let percent = u128::from(bytes) * 100 / u128::from(whole.max(1));
        Self { bytes, percent: u32::try_from(percent).unwrap_or(100), source }
    }
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct TableFacts {
    /// Its OID.
    pub oid: u32,
    /// Its name.
    pub name: ObjectName,
    /// Its kind.
    pub kind: TableKind,
    /// The partitioned tables it belongs to, nearest first.
    pub ancestors: Vec<u32>,
    /// Who owns it.
    pub owner: String,
    /// Whether the role may VACUUM and ANALYZE it.
    pub may_maintain: bool,
    /// Whether the role counts as its owner: REINDEX CONCURRENTLY may leave an index that only the owner can drop.
    pub may_own: bool,
    /// Rows that are alive, as the statistics count them.
    pub live_tuples: u64,
    /// Rows that are dead and not yet removed.
    pub dead_tuples: u64,
    /// Rows changed since the last ANALYZE.
    pub changed_since_analyze: u64,
    /// Rows inserted since the last VACUUM.
    pub inserted_since_vacuum: u64,
    /// The last VACUUM, by whomever.
    pub last_vacuum: Option<Timestamp>,
    /// The last ANALYZE, by whomever.
    pub last_analyze: Option<Timestamp>,
    /// Bytes of the heap alone.
    pub heap_bytes: u64,
    /// Bytes of heap, TOAST and all indexes.
    pub total_bytes: u64,
    /// Bloat of the heap, where it can be told.
    pub bloat: Option<Bloat>,
    /// How many transactions old its oldest unfrozen one is.
    pub transaction_age: u64,
    /// Whether autovacuum takes care of it.
    pub autovacuum: bool,
    /// Sessions and prepared transactions that hold or want a lock on it now, ours aside.
    pub in_use: u32,
    /// Whether it has a primary key, or is a partition or materialized view, which need none.
    pub identified: bool,
    /// Whether an extension made it.
    pub of_extension: bool,
    /// Whether a foreign table is among its partitions or children: ANALYZE would read it from its server.
    pub above_foreign: bool,
}

/// One index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct IndexFacts {
    /// Its OID.
    pub oid: u32,
    /// Its name.
    pub name: ObjectName,
    /// Its table's OID.
    pub table_oid: u32,
    /// Its table.
    pub table: ObjectName,
    /// Its access method, such as `btree`.
    pub method: String,
    /// Bytes.
    pub bytes: u64,
    /// Scans since the statistics began; of a partitioned index those of all its parts.
    pub scans: u64,
    /// When it was last scanned, where the server tells (from 16).
    pub last_scan: Option<Timestamp>,
    /// Whether queries use it.
    pub valid: bool,
    /// Whether it is being built right now.
    pub being_built: bool,
    /// Whether it keeps values unique.
    pub unique: bool,
    /// Whether a constraint rests on it: primary key, unique, exclusion, or a foreign key that points at its columns.
    pub backs_constraint: bool,
    /// Whether it is an exclusion constraint's, which cannot be built anew concurrently.
    pub exclusion: bool,
    /// Whether it identifies rows for logical replication.
    pub replica_identity: bool,
    /// Whether CLUSTER orders the table by it.
    pub clustered: bool,
    /// Whether it is partitioned itself: only its parts hold anything.
    pub partitioned: bool,
    /// Whether it is part of a partitioned index, and cannot be dropped alone.
    pub attached: bool,
    /// Whether an extension made it.
    pub of_extension: bool,
    /// What it indexes and how, the same for two indexes that do the same work.
    pub signature: String,
    /// Its definition, as the server writes it.
    pub definition: String,
    /// Bloat, where it can be told.
    pub bloat: Option<Bloat>,
}

impl IndexFacts {
    /// Whether its name is one that REINDEX CONCURRENTLY gives while it works.
    pub fn named_as_leftover(&self) -> bool {
        let stem = self.name.name.trim_end_matches(|c: char| c.is_ascii_digit());
        stem.ends_with("_ccnew") || stem.ends_with("_ccold")
    }
}

/// One sequence that counts upwards or downwards to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceFacts {
    /// Its name.
    pub name: ObjectName,
    /// Its own type: `smallint`, `integer`, `bigint`.
    pub data_type: String,
    /// The last value it gave.
    pub last_value: i64,
    /// Where it ends.
    pub end: i64,
    /// Percent of its way that is used.
    pub used_percent: u32,
    /// Table and column that it feeds, where that is known.
    pub column: Option<(ObjectName, String)>,
    /// The column's type, where it is what ends the way.
    pub column_type: Option<String>,
    /// Whether the column is an identity column.
    pub identity: bool,
}

/// One session, as far as the role may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its process.
    pub pid: i32,
    /// Who.
    pub user: String,
    /// The application's name as it gives it.
    pub application: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// Seconds since its state began; of a query, since the query began.
    pub seconds: f64,
    /// Its query, without the values in it.
    pub query: String,
}

/// One session that waits for a lock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitingSession {
    /// The session; its seconds are those of the wait.
    pub session: Session,
    /// The processes that it waits for.
    pub blocked_by: Vec<i32>,
}

/// One transaction that is open, by a session or prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenTransaction {
    /// The name of a prepared transaction.
    pub gid: String,
    /// Who.
    pub user: String,
    /// Seconds since it was prepared.
    pub seconds: f64,
}

/// Who is connected, and what they do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sessions {
    /// Connections of clients to the whole server.
    pub connections: u32,
    /// The most that it takes, without those reserved for superusers.
    pub most_connections: u32,
    /// Those to this database.
    pub here: u32,
    /// Of those, active.
    pub active: u32,
    /// Of those, idle in a transaction.
    pub idle_in_transaction: u32,
    /// Queries that have been running for long, longest first.
    pub long_queries: Vec<Session>,
    /// Sessions that have long been idle in a transaction, longest first.
    pub long_idle: Vec<Session>,
    /// Sessions that wait for a lock, longest first.
    pub waiting: Vec<WaitingSession>,
    /// Prepared transactions of this database, oldest first.
    pub prepared: Vec<OpenTransaction>,
}

/// Everything that maintenance looks at.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// Such as 150018.
    pub server_version_num: u32,
    /// Whether it is a standby, where nothing can be maintained.
    pub standby: bool,
    /// Standbys that follow it.
    pub standbys: u32,
    /// The role that asks.
    pub role: String,
    /// Whether the role sees what other roles' sessions do.
    pub sees_all_sessions: bool,
    /// Bytes of the whole database.
    pub database_bytes: u64,
    /// Whether the extension pgstattuple can be used.
    pub can_measure: bool,
    /// Since when the statistics count; `None` where nobody knows.
    pub statistics_since: Option<Timestamp>,
    /// Percent of block reads that the server's own cache answered.
    pub cache_hit_percent: Option<f64>,
    /// Blocks asked for since the statistics began.
    pub blocks_read: u64,
    /// How many transactions old the database's oldest unfrozen one is.
    pub transaction_age: u64,
    /// The same of multixacts.
    pub multixact_age: u64,
    /// `autovacuum_freeze_max_age`.
    pub freeze_max_age: u64,
    /// `vacuum_freeze_table_age`.
    pub freeze_table_age: u64,
    /// Whether autovacuum runs at all.
    pub autovacuum: bool,
    /// Tables, largest first.
    pub tables: Vec<TableFacts>,
    /// Indexes, largest first.
    pub indexes: Vec<IndexFacts>,
    /// Sequences that have begun and do not cycle, nearest to their end first.
    pub sequences: Vec<SequenceFacts>,
    /// Who is connected.
    pub sessions: Sessions,
}
