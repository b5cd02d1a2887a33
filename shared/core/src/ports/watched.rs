//! The ports of health: a server that is watched, the client tools found, scratch targets left over, people to be reached.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Result, events::Failure};

/// How many sessions a server has, and how many it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Client sessions now.
    pub used: u64,
    /// `max_connections`.
    pub most: u64,
}

/// Counters of the database since its statistics were reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// When they were read, by the server's clock.
    pub at: Timestamp,
    /// Since when they count; a change of it means that they began again.
    pub since: Option<Timestamp>,
    /// Transactions, committed or rolled back.
    pub transactions: u64,
    /// Blocks that were found in the server's cache.
    pub blocks_hit: u64,
    /// Blocks that were not.
    pub blocks_read: u64,
}

/// How far the oldest ids of a server's databases lie back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdAges {
    /// Age of the oldest transaction id, in transactions.
    pub transaction_ids: u64,
    /// The database that holds it.
    pub database: String,
    /// Age of the oldest multixact id.
    pub multixact_ids: u64,
    /// The database that holds it.
    pub multixact_database: String,
}

/// A session with an open transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTransaction {
    /// Process id on the server.
    pub pid: i32,
    /// Its role.
    pub role: String,
    /// Its database.
    pub database: String,
    /// What it calls itself.
    pub application: String,
    /// Seconds since the transaction began.
    pub age_seconds: u64,
    /// Seconds for which it has been idle within the transaction; none while it works.
    pub idle_seconds: Option<u64>,
}

/// A prepared transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedTransaction {
    /// Its global identifier.
    pub gid: String,
    /// Its database.
    pub database: String,
    /// Who prepared it.
    pub owner: String,
    /// Seconds since it was prepared.
    pub age_seconds: u64,
}

/// A replication slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// `physical` or `logical`.
    pub kind: String,
    /// Whether somebody reads from it.
    pub active: bool,
    /// Bytes of WAL that it keeps on the server.
    pub retained_bytes: Option<u64>,
    /// `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: Option<String>,
}

/// The server's WAL archiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archiver {
    /// The last file that was archived.
    pub last_archived_at: Option<Timestamp>,
    /// The last attempt that failed.
    pub last_failed_at: Option<Timestamp>,
    /// The file it was about.
    pub last_failed_wal: Option<String>,
}

/// A standby that reads from the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standby {
    /// What it calls itself.
    pub name: String,
    /// `streaming`, `catchup`, …
    pub state: String,
    /// Seconds that its replay lies behind; none while it is idle.
    pub lag_seconds: Option<f64>,
    /// Bytes of WAL that its replay lies behind.
    pub lag_bytes: Option<u64>,
}

/// How far a server that is itself a standby lies behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Seconds since the last transaction that was replayed, unless all that was received is replayed.
    pub delay_seconds: f64,
    /// Whether it is connected to its primary.
    pub receiving: bool,
}

/// The role that connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedRole {
    /// Its name.
    pub name: String,
    /// Until when its password is valid, where that ends.
    pub valid_until: Option<Timestamp>,
    /// Whether it sees other roles' sessions (pg_monitor, pg_read_all_stats, superuser).
    pub sees_all: bool,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The server's folder on it.
    pub folder: String,
    /// Bytes that are in use or may be.
    pub total_bytes: u64,
    /// Bytes that the server may still use.
    pub free_bytes: u64,
}

/// What the questions to a server are called where they are not answered.
pub mod question {
    /// Who asks, and until when its password is valid.
    pub const ROLE: &str = "the role";
    /// Connections.
    pub const CONNECTIONS: &str = "connections";
    /// How old transaction ids and multixact ids are.
    pub const IDS: &str = "the age of ids";
    /// Transactions that are open.
    pub const TRANSACTIONS: &str = "open transactions";
    /// Prepared transactions.
    pub const PREPARED: &str = "prepared transactions";
    /// Replication slots.
    pub const SLOTS: &str = "replication slots";
    /// The archiver.
    pub const ARCHIVER: &str = "the archiver";
    /// Standbys of this server.
    pub const STANDBYS: &str = "standbys";
    /// Replay on a standby.
    pub const REPLAY: &str = "replay";
    /// Where the server's data are.
    pub const DATA_FOLDER: &str = "the server's data folder";
    /// The disk below them.
    pub const DISK: &str = "the server's disk";
}

/// Something that could not be asked, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What a server tells of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// Host and port; no secret.
    pub server: String,
    /// Such as `15.18`.
    pub version: String,
    /// Such as 150018.
    pub version_num: u32,
    /// Its clock.
    pub clock: Timestamp,
    /// Our clock at that moment.
    pub our_clock: Timestamp,
    /// Whether it is a standby.
    pub standby: bool,
    /// Bytes of the database.
    pub database_bytes: Option<u64>,
    /// Bytes of WAL on its disk.
    pub wal_bytes: Option<u64>,
    /// Bytes of temporary files on its disk.
    pub temporary_bytes: Option<u64>,
    /// Its disk, where this machine can see it.
    pub disk: Option<Disk>,
    /// Sessions.
    pub connections: Option<Connections>,
    /// Counters.
    pub counters: Option<Counters>,
    /// Ages.
    pub ids: Option<IdAges>,
    /// Open transactions, oldest first, at most 50.
    pub transactions: Vec<OpenTransaction>,
    /// Prepared transactions, oldest first, at most 50.
    pub prepared: Vec<PreparedTransaction>,
    /// Replication slots, by name.
    pub slots: Vec<Slot>,
    /// The archiver, where archiving is on.
    pub archiver: Option<Archiver>,
    /// Standbys, by name.
    pub standbys: Vec<Standby>,
    /// Where it is a standby itself.
    pub replay: Option<Replay>,
    /// Who asked.
    pub role: Option<WatchedRole>,
    /// What could not be asked.
    pub hidden: Vec<Hidden>,
}

/// The certificate that a server shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whose it is, as it says itself.
    pub subject: String,
    /// Until when it is valid.
    pub valid_until: Timestamp,
}

/// A server that is watched. Nothing is changed on it.
#[async_trait]
pub trait WatchedServer: Send + Sync {
    /// Asks everything; what this role may not see is named in `hidden`. An `Err` means that the server could not be
    /// asked at all.
    async fn observe(&self, our_clock: Timestamp) -> Result<ServerFacts>;
    /// The certificate the server shows, whether or not it is trusted; `None` where the connection is not encrypted.
    async fn certificate(&self) -> Result<Option<Certificate>>;
}

/// A set of client tools on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSet {
    /// Such as `15.18`.
    pub version: String,
    /// Such as 15.
    pub major: u32,
    /// Its folder.
    pub folder: String,
}

/// The client tools found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ToolFacts {
    /// Every complete set found, in the order looked at.
    pub found: Vec<ToolSet>,
    /// The version that the server's dumps are made with.
    pub chosen: Option<String>,
    /// Why none fits.
    pub trouble: Option<Failure>,
}

/// Looks for client tools.
#[async_trait]
pub trait ClientToolVersions: Send + Sync {
    /// What is installed and, where the server's version is known (such as 150018), what fits it.
    async fn tools(&self, server_version_num: Option<u32>) -> ToolFacts;
}

/// A scratch target that is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftScratch {
    /// `local cluster`, `database`.
    pub kind: String,
    /// Its folder or name.
    pub name: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// From when on it may be removed, where it says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Why it must be left alone: who made it lives, or somebody is connected to it.
    pub in_use: Option<String>,
}

/// Finds and removes scratch targets that outlived their drill.
#[async_trait]
pub trait ScratchReaper: Send + Sync {
    /// Where it looks, for people.
    fn describe(&self) -> String;
    /// Those that are provably Lifeboat's, however young.
    async fn left(&self) -> Result<Vec<LeftScratch>>;
    /// Removes one of them, unless it is in use by now (`Refused`). Removing one that is gone is no error.
    async fn remove(&self, left: &LeftScratch) -> Result<()>;
}

/// Who shall be told, and has not confirmed that they want to. Asking changes nothing.
#[async_trait]
pub trait Subscriptions: Send + Sync {
    /// Subscriptions that wait for a confirmation, and so get nothing: their protocol and a part of their address.
    /// `NotFound` where there is no such topic, `Config` where its name cannot be one's.
    async fn unconfirmed(&self) -> Result<Vec<String>>;
}

/// Events that could not be told when they happened.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Tells them again, and gives the number of events told. What could not be told stays.
    async fn send_again(&self) -> Result<u64>;
}
