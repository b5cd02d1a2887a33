//! The source port: one consistent snapshot of a database, read unit by unit.

use async_trait::async_trait;
use bytes::Bytes;
use lifeboat_archive::{checksum::TableChecksum, toc::Toc};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    manifest::{Omitted, SourceFacts},
    ports::{Inventory, RunContext},
};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// The dump works, but something will be missing or slow.
    Warning,
    /// The dump must not start.
    Error,
}

/// One thing preflight found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable name, such as `role_filtered_by_rls`.
    pub code: String,
    /// How grave.
    pub severity: Severity,
    /// What is the matter, on what.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// What preflight saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preflight {
    /// The server's version, such as `15.18`.
    pub server_version: String,
    /// The client tools' version, such as `15.18`.
    pub client_version: String,
    /// Size of the database on the server, bytes.
    pub database_bytes: u64,
    /// Tables it would dump.
    pub tables: u64,
    /// What it found, gravest first.
    pub findings: Vec<Finding>,
    /// What the dump would have to leave out, as the manifest would say it.
    pub omitted: Vec<Omitted>,
}

/// A range of heap blocks: from `from` up to, not including, `to`; open-ended where `to` is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRange {
    /// First block.
    pub from: u32,
    /// First block after the range; the last range of a table has none.
    pub to: Option<u32>,
}

/// One TABLE DATA entry of the TOC, as the source sees it at the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTable {
    /// The entry's dump id.
    pub dump_id: i32,
    /// The table's OID.
    pub oid: u32,
    /// Schema and name, bytes that are no UTF-8 as [`lifeboat_archive::names::text`] writes them.
    pub schema: String,
    /// See `schema`.
    pub name: String,
    /// Heap blocks at the snapshot, read after it.
    pub blocks: u32,
    /// Bytes of heap and TOAST, for sizing and progress.
    pub bytes: u64,
    /// Whether it may be read in ctid ranges (a heap, with columns, and no filter condition).
    pub splittable: bool,
    /// Column names in the order of the entry's COPY, unquoted, likewise.
    pub columns: Vec<String>,
    /// Where the entry's COPY loads other than into the table itself (the partition root), `schema.name`.
    pub loads_into: Option<String>,
}

/// One piece of work of a dump: a table, or a range of its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The table's dump id.
    pub dump_id: i32,
    /// `None`: the whole table.
    pub range: Option<BlockRange>,
    /// `None`: the table is one chunk; else its chunk's number, from 1.
    pub chunk: Option<u32>,
    /// Whether the table's data end with this unit.
    pub last: bool,
    /// Bytes of heap and TOAST, estimated; for scheduling and progress.
    pub bytes: u64,
}

/// Takes blocks of COPY text, at least 64 KiB each but the last.
#[async_trait]
pub trait BlockSink: Send {
    /// Takes one block; slow is fine, it is the back-pressure. It may keep the buffer and leave another one, of whatever
    /// content, in its place.
    async fn block(&mut self, block: &mut Vec<u8>) -> Result<()>;
}

/// A source database.
#[async_trait]
pub trait Source: Send + Sync {
    /// What would go wrong or be missing; changes nothing.
    async fn preflight(&self) -> Result<Preflight>;

    /// Locks, takes the snapshot, harvests the TOC from `pg_dump` (DESIGN §6). Starts again by itself, a bounded
    /// number of times, where DDL gets in the way; then fails with `SnapshotLost`.
    async fn open_snapshot(&self, context: &RunContext) -> Result<Box<dyn Snapshot>>;

    /// Roles and memberships, as `pg_dumpall --globals-only --no-role-passwords` writes them.
    async fn globals(&self) -> Result<Bytes>;
}

/// One open snapshot. Dropping it ends its sessions.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// The facts of the source at the snapshot.
    fn facts(&self) -> &SourceFacts;
    /// The TOC as `pg_dump -Fc` wrote it.
    fn toc(&self) -> &Toc;
    /// The tables with data, in the TOC's order.
    fn tables(&self) -> &[SourceTable];
    /// Catalog objects with their states at the snapshot.
    fn inventory(&self) -> &Inventory;
    /// What is missing from this dump.
    fn omitted(&self) -> &[Omitted];
    /// A new session on the same snapshot.
    async fn worker(&self) -> Result<Box<dyn SnapshotWorker>>;
    /// Ends all sessions in an orderly way.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// One session of a snapshot.
#[async_trait]
pub trait SnapshotWorker: Send {
    /// Copies a unit's rows as COPY text (without the archive's end marker) into `sink`; returns rows and checksum.
    /// `SnapshotLost` where what was read is not what the TOC describes.
    async fn copy_out(&mut self, unit: &Unit, sink: &mut dyn BlockSink) -> Result<TableChecksum>;
    /// The large objects in the snapshot, ascending by OID, each with its size in bytes, to a page.
    async fn large_objects(&mut self) -> Result<Vec<(u32, u64)>>;
    /// Copies one large object's bytes, holes filled with zeros; returns the size.
    async fn large_object(&mut self, oid: u32, sink: &mut dyn BlockSink) -> Result<u64>;
}
