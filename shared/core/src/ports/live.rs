//! The port of a live database: databases made beside it, put in its place, put back, and rows rescued into it.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    manifest::SourceFacts,
    ports::{RunContext, Target, ToolMessage},
};

/// A database that lies on the same server under a name that Lifeboat gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Its name.
    pub name: String,
    /// Its comment; by it Lifeboat knows what it made and has not finished.
    pub remark: Option<String>,
}

/// What a live database is, and what stands in the way of replacing it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFacts {
    /// Its name.
    pub database: String,
    /// Host and port, for people; no secret.
    pub server: String,
    /// Whether it is there.
    pub exists: bool,
    /// Its size in bytes.
    pub bytes: u64,
    /// Sessions of others in it now.
    pub sessions: u64,
    /// Why this role may not make databases beside it, in words; empty where it may.
    pub cannot_create: Vec<String>,
    /// Why it may not rename it, beside that.
    pub cannot_rename: Vec<String>,
    /// What lives in it and would be left behind: logical slots, prepared transactions, pg_cron, subscriptions.
    pub obstacles: Vec<String>,
    /// Those of the names asked for that are there.
    pub beside: Vec<Beside>,
}

/// What the archive says of the database itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatabaseEntries {
    /// The name that the statements use.
    pub named: String,
    /// Its owner.
    pub owner: Option<String>,
    /// Properties, privileges, comment and labels, as pg_dump wrote them.
    pub statements: Vec<String>,
}

/// Two renames that happen together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The name that applications use.
    pub live: String,
    /// What is called so now is kept under this name.
    pub kept_as: String,
    /// What is called so from then on.
    pub from: String,
    /// What is said of the newcomer in the same transaction.
    pub entries: Option<DatabaseEntries>,
}

/// What an exchange came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exchanged {
    /// Seconds from the first session that was ended to the moment when the name could be used again.
    pub downtime_seconds: f64,
    /// Sessions that were ended.
    pub sessions_ended: u64,
    /// What could not be said of the newcomer, such as an owner that does not exist.
    pub messages: Vec<ToolMessage>,
}

/// A table to be rescued: its schema and name in the backup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RescuedTable {
    /// The schema.
    pub schema: String,
    /// The table.
    pub name: String,
}

/// Rows that are not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RowDifference {
    /// How many.
    pub rows: u64,
    /// The keys of the first few, in the key's order.
    pub keys: Vec<serde_json::Value>,
}

/// A statement that a person may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MergeStatement {
    /// What it does, in words.
    pub does: String,
    /// The statement.
    pub sql: String,
}

/// A rescued table beside the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableDifference {
    /// The live table, `schema.name`.
    pub live: String,
    /// The rescued one.
    pub rescued: String,
    /// The columns by which rows are known; empty where there is no key.
    pub key: Vec<String>,
    /// Rows rescued.
    pub rescued_rows: u64,
    /// Rows in the live table; `None` where it is not there.
    pub live_rows: Option<u64>,
    /// Rescued, but not in the live table; `None` where they cannot be known.
    pub missing_in_live: Option<RowDifference>,
    /// In the live table, but not rescued.
    pub only_in_live: Option<RowDifference>,
    /// In both, with other values.
    pub changed: Option<RowDifference>,
    /// How to bring rows back, in the order in which they should be run.
    pub statements: Vec<MergeStatement>,
    /// What else a person should know.
    pub remarks: Vec<String>,
}

/// A live database, reached from another database of the same server, so that it can be renamed.
#[async_trait]
pub trait LiveDatabase: Send + Sync {
    /// What it is; `beside` are the names that are looked for.
    async fn facts(&self, beside: &[String]) -> Result<LiveFacts>;

    /// Makes sure that no other run works beside the same database, until this value is dropped; `AlreadyRunning` where one does.
    /// May be called again.
    async fn claim(&self) -> Result<()>;

    /// Makes an empty database of this name that is as the source was: encoding, locale, settings. `remark` is its comment.
    /// `Refused` where the server lacks the locale.
    async fn make_beside(
        &self,
        name: &str,
        source: &SourceFacts,
        remark: &str,
        context: &RunContext,
    ) -> Result<Arc<dyn Target>>;

    /// Drops a database that was made beside, with the sessions in it; it is no error if it is not there.
    async fn drop_beside(&self, name: &str) -> Result<()>;

    /// Renames in one transaction: sessions are ended, and new ones wait until it is over. Whatever interrupts it, the
    /// name leads to one of the two databases, whole. On an error nothing has changed; where the connection is lost with
    /// the answer to the commit, the error says that it is not known.
    async fn exchange(&self, exchange: &Exchange) -> Result<Exchanged>;

    /// Whether the live database has a schema of this name.
    async fn has_schema(&self, schema: &str) -> Result<bool>;

    /// Moves tables, with their partitions, into a new schema of the database `beside`, loose from parents that stay.
    async fn gather(&self, beside: &str, tables: &[RescuedTable], schema: &str) -> Result<()>;

    /// Copies that schema into the live database with stock pg_dump and pg_restore, in one transaction.
    async fn copy_schema(&self, beside: &str, schema: &str, context: &RunContext) -> Result<()>;

    /// Compares each rescued table with the live one by its key; tables that others refer to come first.
    async fn differences(&self, tables: &[RescuedTable], schema: &str) -> Result<Vec<TableDifference>>;
}

/// What is done before and after a database is replaced: services stopped and started, an address asked.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Runs what comes before, in order, up to the first failure. An `Err` means that nothing may be changed.
    async fn before(&self) -> Result<()>;

    /// Runs what comes after, all of it, and returns what went wrong. Does nothing where nothing of `before` was begun.
    async fn after(&self, succeeded: bool) -> Vec<String>;
}
