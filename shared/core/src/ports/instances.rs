//! The instances port: scratch instances of RDS, made for one drill, marked as such, and removed.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    manifest::SourceFacts,
    ports::{RunContext, Target, ToolMessage},
};

/// What an instance is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceContent {
    /// Nothing: a backup will be restored into it.
    Empty,
    /// One of the account's own snapshots, by its id.
    Snapshot(String),
    /// A source instance as it was at a point in time.
    PointInTime {
        /// The source instance.
        instance: String,
        /// When; the latest restorable time where it is not given.
        at: Option<Timestamp>,
    },
}

/// The instance that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceWish {
    /// Its id.
    pub id: String,
    /// Its class, such as `db.t4g.medium`.
    pub class: String,
    /// Its version, such as `15`; the snapshot's or source's own where it is made of one.
    pub engine_version: String,
    /// Its storage in GiB; likewise.
    pub storage_gb: u32,
    /// Its parameter group; the version's default where it is not given.
    pub parameter_group: Option<String>,
    /// The subnets it lies in; the account's default where it is not given.
    pub subnet_group: Option<String>,
    /// Who may reach it.
    pub security_groups: Vec<String>,
    /// The key its storage is encrypted with; the account's own key for RDS where it is not given.
    pub kms_key: Option<String>,
    /// What it is made of.
    pub content: InstanceContent,
    /// Its tags: by them it is known as a scratch instance, and removed.
    pub tags: BTreeMap<String, String>,
}

/// An instance that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// As RDS calls it: `creating`, `available`, `deleting`, …
    pub status: String,
    /// Its class.
    pub class: String,
    /// Its version.
    pub engine_version: String,
    /// Its storage in GiB.
    pub storage_gb: u32,
    /// Its host and port, once there are.
    pub address: Option<(String, u16)>,
    /// The user that RDS made.
    pub user: String,
    /// The name of a database that is there to connect to, if RDS knows one.
    pub database: Option<String>,
    /// The secret that holds the user's password, where RDS keeps one.
    pub secret: Option<String>,
    /// When it was made.
    pub made_at: Option<Timestamp>,
    /// Where it lies, for people: VPC, subnets, whether anybody from outside could reach it.
    pub network: String,
    /// Whether its storage is encrypted.
    pub encrypted: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A snapshot that an instance can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSnapshot {
    /// Its id.
    pub id: String,
    /// When it was taken.
    pub taken_at: Timestamp,
}

/// What became of a request for removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// RDS removes it now.
    Begun,
    /// There is none.
    Gone,
    /// It cannot be removed in the state that it is in: ask again.
    NotYet,
}

/// RDS, as far as drills need it. Errors: [`ErrorKind::Store`](crate::ErrorKind::Store) where the API failed or refused,
/// `AlreadyExists` and `NotFound` where stated. A time-out leaves unknown whether the call was carried out: look again.
#[async_trait]
pub trait Instances: Send + Sync {
    /// Where it works, for people.
    fn describe(&self) -> String;
    /// Has an instance made: private, encrypted, without backups or protection from deletion. Returns at once, long before
    /// it is available. `AlreadyExists` where there is one of this id, whoever made it.
    async fn create(&self, wish: &InstanceWish) -> Result<Instance>;
    /// The instance of this id.
    async fn find(&self, id: &str) -> Result<Option<Instance>>;
    /// Has RDS give an instance a password of its own and keep it in a secret: one made of a snapshot has none that we
    /// know. One that is ours loses its backups as well; of one that is `lent`, nothing else changes. Idempotent. Afterwards
    /// the instance is not available for a while.
    async fn take_over(&self, id: &str, lent: bool) -> Result<()>;
    /// Has an instance removed, with its automated backups and without a last snapshot. Idempotent.
    async fn delete(&self, id: &str) -> Result<Deletion>;
    /// Every instance that carries this tag with this value.
    async fn tagged(&self, name: &str, value: &str) -> Result<Vec<Instance>>;
    /// The usable snapshots of an instance, newest first.
    async fn snapshots(&self, instance: &str) -> Result<Vec<InstanceSnapshot>>;
}

/// How an instance is reached. Holds no password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceAddress {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who connects.
    pub user: String,
    /// The secret that holds the password.
    pub secret: String,
}

/// The databases in a scratch instance.
#[async_trait]
pub trait InstanceDatabases: Send + Sync {
    /// Makes a database like the backup's source, with the roles that `globals` (a globals.sql) creates, as far as the
    /// server allows. What has this name is dropped before, and who is connected to it thrown out: a step that is delivered
    /// again begins anew. Returns the messages of doing so.
    async fn prepare(
        &self,
        address: &InstanceAddress,
        database: &str,
        source: &SourceFacts,
        globals: &[u8],
        context: &RunContext,
    ) -> Result<Vec<ToolMessage>>;
    /// A database that is there.
    async fn open(&self, address: &InstanceAddress, database: &str) -> Result<std::sync::Arc<dyn Target>>;
}
