//! The target port: a database that an archive is restored into, and scratch targets that drills make and remove.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lifeboat_archive::{checksum::TableChecksum, toc::Toc};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    ids::{DatabaseSlug, DrillId},
    lock_space::LockSpace,
    manifest::{Manifest, SourceFacts},
    ports::{BlockSource, Ledger, RunContext},
};

/// What a target is and holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// Such as `15.18`.
    pub server_version: String,
    /// Such as 150018.
    pub server_version_num: u32,
    /// Version of the `pg_restore` that will be used.
    pub client_version: String,
    /// The database's name.
    pub database: String,
    /// Its encoding, such as `UTF8`.
    pub encoding: String,
    /// Host and port, for people; no secret.
    pub server: String,
    /// Whether the role is a superuser.
    pub superuser: bool,
    /// Whether the role may set `session_replication_role`.
    pub may_disable_triggers: bool,
    /// How many relations its transactions may hold locks on.
    pub lock_space: LockSpace,
    /// User objects found, at most twenty, such as `table public.orders`; empty means the target is empty.
    pub contents: Vec<String>,
}

/// How a message of a client tool is to be taken (DESIGN §6, Restore).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    /// Progress and warnings that mean nothing.
    Harmless,
    /// A setting or feature that differs between versions and changes no data.
    VersionDifference,
    /// A table has no planner statistics yet: queries may be slow, nothing is missing.
    Statistics,
    /// An owner or grant could not be set by this role.
    Ownership,
    /// Needs a privilege on the cluster that this role lacks.
    ClusterPrivilege,
    /// Something outside the archive is missing: an extension, a role, a library.
    MissingDependency,
    /// Data or definitions were not restored: fatal.
    Data,
    /// Not recognised: fatal.
    Unknown,
}

impl Classification {
    /// The classification in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::VersionDifference => "version difference",
            Self::Statistics => "statistics",
            Self::Ownership => "ownership",
            Self::ClusterPrivilege => "cluster privilege",
            Self::MissingDependency => "missing dependency",
            Self::Data => "data",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the restore has failed.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Data | Self::Unknown | Self::MissingDependency)
    }
}

/// One message of a client tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolMessage {
    /// Its classification.
    pub classification: Classification,
    /// What the tool said, in one line or more.
    pub text: String,
    /// The TOC entry it was about, where the tool named one.
    pub entry: Option<String>,
}

/// One call of stock `pg_restore` over the archive's TOC. Table data never pass through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgRestoreStep {
    /// Shown to people: `pre-data`, `sequences`, `post-data`.
    pub name: String,
    /// Dump ids to restore (the list given with `-L`), in the TOC's order.
    pub dump_ids: Vec<i32>,
    /// Parallel jobs.
    pub jobs: u32,
    /// `--no-owner`
    pub no_owner: bool,
    /// `--no-acl`
    pub no_acl: bool,
    /// `--role`
    pub role: Option<String>,
    /// `--clean --if-exists`
    pub clean: bool,
    /// `--single-transaction`: all of it or nothing, up to the first error. Not with several jobs.
    pub single_transaction: bool,
}

/// Where a table's rows go: an entry's COPY statement as pg_dump wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadStatement {
    /// `COPY schema.table (columns) FROM stdin;\n`, in the archive's encoding.
    pub copy_stmt: Vec<u8>,
    /// Encoding of the archive, such as `UTF8`, `LATIN1`, `SQL_ASCII`.
    pub encoding: String,
    /// `lc_monetary` of the source: how the data write money. It is in force while they are loaded or compared.
    pub lc_monetary: String,
    /// Set `session_replication_role = replica` for this load (data-only into live tables).
    pub disable_triggers: bool,
}

/// One catalog object whose state a drill compares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InventoryItem {
    /// `constraint`, `index`, `trigger`, `event trigger`, `extension`, `sequence`, `policy`, `matview`, …
    pub kind: String,
    /// Its name with schema and table, for people and as identity.
    pub name: String,
    /// Its state: `validated`, `valid`, `enabled=O`, a version, a sequence's `last_value,is_called`, …
    pub state: String,
}

/// Catalog objects with their states, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// The items.
    pub items: Vec<InventoryItem>,
}

/// A database to restore into.
#[async_trait]
pub trait Target: Send + Sync {
    /// What it is and holds.
    async fn facts(&self) -> Result<TargetFacts>;

    /// Gives the adapter the archive's `toc.dat` (directory form) and, per data file of the TOC, its size in bytes
    /// (`pg_restore -j` orders its work by them). Needed once, before [`Target::pg_restore`].
    async fn stage(&self, toc_dat: Bytes, data_files: &[(String, u64)]) -> Result<()>;

    /// Runs one step; returns every message. An `Err` means that the tool did not run to its end.
    async fn pg_restore(&self, step: &PgRestoreStep, context: &RunContext) -> Result<Vec<ToolMessage>>;

    /// A new session for loading and comparing, which acts as `role` if there is one (`SET ROLE`, as `pg_restore --role`).
    async fn worker(&self, role: Option<&str>) -> Result<Box<dyn TargetWorker>>;

    /// The ledger of a restore into this target, over a new session.
    async fn ledger(&self) -> Result<Arc<dyn Ledger>>;

    /// ANALYZE of the whole database, in `jobs` sessions that act as `role`; returns a message per table that the server refuses to analyze.
    /// An `Err` means that the server could not be asked.
    async fn analyze(&self, jobs: u32, role: Option<&str>) -> Result<Vec<ToolMessage>>;

    /// Catalog objects and states, as a drill compares them.
    async fn inventory(&self) -> Result<Inventory>;

    /// The target's own TOC (`pg_dump -Fc`, TOC only).
    async fn toc(&self) -> Result<Toc>;

    /// Runs a person's SQL assertion, read only, with a time limit of 60 s; true where it returned one row with `true`.
    async fn assert(&self, sql: &str) -> Result<bool>;

    /// Foreign keys with rows that refer to nothing: name and number of such rows.
    async fn orphans(&self) -> Result<Vec<(String, u64)>>;

    /// Indexes that are there and not valid, but for those of partitioned tables themselves.
    async fn invalid_indexes(&self) -> Result<Vec<String>>;

    /// Sequences that stand behind the largest value of a column they feed: name, last value, largest value.
    async fn sequences_behind(&self) -> Result<Vec<(String, i64, i64)>>;
}

/// One session of a target.
#[async_trait]
pub trait TargetWorker: Send {
    /// Loads rows in one transaction: committed only if `rows` ends without an error. `entry`: what the ledger is told in the
    /// same transaction, where there is one. Returns the rows loaded.
    async fn copy_in(
        &mut self,
        statement: &LoadStatement,
        rows: &mut dyn BlockSource,
        entry: Option<&str>,
    ) -> Result<u64>;
    /// Fills one large object, which the pre-data step has created, in one transaction; returns its bytes. `entry` as above.
    async fn load_large_object(&mut self, oid: u32, content: &mut dyn BlockSource, entry: Option<&str>) -> Result<u64>;
    /// Rows and checksum of what a COPY statement's target now holds, with the statement's columns (sorted by name
    /// if `sort_columns`), in the archive's encoding; including children only where it is a partition root.
    async fn checksum(&mut self, statement: &LoadStatement, sort_columns: bool) -> Result<TableChecksum>;
    /// Size and SHA-256 (hex) of a large object; `None` if it does not exist.
    async fn large_object_digest(&mut self, oid: u32) -> Result<Option<(u64, String)>>;
}

/// The scratch target that a drill wishes for.
#[derive(Debug, Clone, Copy)]
pub struct ScratchWish<'a> {
    /// The drill.
    pub drill: &'a DrillId,
    /// The database that is drilled.
    pub of: &'a DatabaseSlug,
    /// What the backup's source was: version, encoding, collation, settings.
    pub source: &'a SourceFacts,
    /// The roles, as a globals.sql.
    pub globals: &'a [u8],
    /// Bytes that will be restored, before compression.
    pub raw_bytes: u64,
}

impl<'a> ScratchWish<'a> {
    /// What this backup needs.
    pub fn of_backup(drill: &'a DrillId, manifest: &'a Manifest, globals: &'a [u8]) -> Self {
        let raw_bytes = manifest.totals.raw_bytes;
        Self { drill, of: &manifest.database, source: &manifest.source, globals, raw_bytes }
    }
}

/// What a scratch target is, for the report; no secret. What does not apply is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScratchFacts {
    /// In words.
    pub description: String,
    /// Its id.
    pub id: Option<String>,
    /// Its instance class.
    pub class: Option<String>,
    /// Where it lies.
    pub network: Option<String>,
    /// Its storage in GiB.
    pub storage_gb: Option<u32>,
}

impl ScratchFacts {
    /// Of a target that was there already.
    pub fn described(description: String) -> Self {
        Self { id: Some(description.clone()), description, ..Self::default() }
    }
}

/// Makes scratch targets.
#[async_trait]
pub trait ScratchProvider: Send + Sync {
    /// What it makes, for people and reports: `local cluster`, `database on host:port`.
    fn describe(&self) -> String;
    /// Makes one that fits the wish, roles as far as the server allows; returns it with the messages of doing so.
    async fn provision(&self, wish: &ScratchWish<'_>, context: &RunContext) -> Result<Box<dyn Scratch>>;
}

/// A scratch target. It must be torn down; dropping it does the same as far as a drop can.
#[async_trait]
pub trait Scratch: Send + Sync {
    /// The database in it.
    fn target(&self) -> Arc<dyn Target>;
    /// What was made, for the report; no secret.
    fn describe(&self) -> String;
    /// The same with what else there is to say of it.
    fn facts(&self) -> ScratchFacts {
        ScratchFacts::described(self.describe())
    }
    /// Messages of making it (roles that could not be created and so on).
    fn messages(&self) -> &[ToolMessage];
    /// Removes it and says how that was checked.
    async fn tear_down(self: Box<Self>) -> Result<String>;
}
