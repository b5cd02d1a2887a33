//! The configuration's types and defaults: what is in force, and where each value came from. Reading is `runtime`'s work.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use lifeboat_archive::codec::Codec;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    drill::{Assertion, Selection},
    ids::DatabaseSlug,
    retention::TierRule,
    runner::Runner,
};

mod alerts;
mod deploy;
mod encryption;
mod health;
pub mod keys;
mod maintenance;
mod restore;
mod retention;
mod schedule;
mod scratch;
mod secret;
mod units;

pub use alerts::{AlertsConfig, ChannelConfig, ChannelTo, DigestDay, DigestEvery, EscalateAfter, ParseWordError};
pub use deploy::{Architecture, DeployConfig, LOG_RETENTION_DAYS, ObjectLock, Replica, Vpc};
pub use encryption::EncryptionConfig;
pub use health::{HEALTH_KEYS, HealthConfig, THRESHOLDS, ThresholdKind, ThresholdValue, Thresholds};
pub use maintenance::MaintenanceConfig;
pub use restore::{Hook, RestoreTarget};
pub use retention::DEFAULT_PRESET;
pub use schedule::{ParseScheduleError, Schedule};
pub use scratch::{InstanceTimes, RdsScratch, ScratchSetting};
pub use secret::SecretRef;
pub use units::{ParseUnitError, Size, Span};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// The configuration file, at this line.
    File {
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
    /// It follows from another setting.
    Derived(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { line } => write!(f, "file, line {line}"),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
            Self::Derived(from) => write!(f, "from {from}"),
        }
    }
}

/// A value in force, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Setting<T> {
    /// A value from somewhere.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// A value that nobody set.
    pub fn default_of(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }
}

/// Where the URL of a database or server is kept. Never holds a password itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The URL, checked to have no password.
    Plain(String),
    /// The environment variable that holds it.
    Env(String),
    /// The file that holds it.
    File(PathBuf),
    /// The secret of AWS Secrets Manager that holds it, or what RDS writes into one.
    Secret {
        /// Its name or ARN.
        name: String,
        /// `postgres://host:port/database`, where the secret holds user and password only.
        server: Option<String>,
    },
    /// The URL without a password, for which a token of IAM stands.
    RdsIam(String),
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(url) => f.write_str(url),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Secret { name, .. } => write!(f, "secret {name}"),
            Self::RdsIam(url) => write!(f, "{url} by IAM"),
        }
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(url) => serializer.serialize_str(url),
            Self::Env(name) => json!({ "env": name }).serialize(serializer),
            Self::File(path) => json!({ "file": path }).serialize(serializer),
            Self::Secret { name, server: None } => json!({ "secret": name }).serialize(serializer),
            Self::Secret { name, server } => json!({ "secret": name, "server": server }).serialize(serializer),
            Self::RdsIam(url) => json!({ "rds_iam": url }).serialize(serializer),
        }
    }
}

/// How drills of one database go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillConfig {
    /// When they are run.
    pub schedule: Option<Setting<Schedule>>,
    /// Which backup.
    pub select: Setting<Selection>,
    /// Where they restore.
    pub scratch: Setting<ScratchSetting>,
    /// The user's assertions.
    pub checks: Setting<Vec<Assertion>>,
    /// How long a thaw from an archive storage class may take before a drill gives up.
    pub thaw_within: Setting<Span>,
}

/// Everything about one database.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseConfig {
    /// Where its URL is kept.
    pub url: Option<Setting<DatabaseUrl>>,
    /// When dumps are run.
    pub schedule: Option<Setting<Schedule>>,
    /// IANA time zone that decides tiers.
    pub timezone: Setting<String>,
    /// The most time whose changes may be lost.
    pub rpo: Option<Setting<Span>>,
    /// The most time that a restore may take.
    pub rto: Option<Setting<Span>>,
    /// Parallel sessions.
    pub jobs: Setting<u32>,
    /// How data are compressed.
    pub compress: Setting<Codec>,
    /// Bytes of a table that one chunk covers.
    pub chunk_size: Setting<Size>,
    /// Encryption.
    pub encryption: EncryptionConfig,
    /// What runs dump, verify, restore and drill.
    pub runner: Setting<Runner>,
    /// What retention keeps.
    pub retention: RetentionConfig,
    /// Drills.
    pub drill: DrillConfig,
    /// Health.
    pub health: HealthConfig,
    /// Maintenance.
    pub maintenance: MaintenanceConfig,
}

/// What retention keeps of one database: a preset, and what was written over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// The preset that the rest starts from.
    pub preset: Setting<String>,
    /// Daily backups.
    pub daily: Setting<TierRule>,
    /// Weekly backups.
    pub weekly: Setting<TierRule>,
    /// Monthly backups.
    pub monthly: Setting<TierRule>,
    /// Good backups that there must always be besides one that expires.
    pub min_good: Setting<u32>,
    /// Days in which an expiring backup can still be taken back.
    pub grace_days: Setting<u32>,
    /// Days after which what an unfinished dump left behind is removed.
    pub reclaim_unfinished_after_days: Setting<u32>,
}

/// The whole configuration in force. The default says nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// The file it came from, if any.
    pub file: Option<PathBuf>,
    /// Where backups live.
    pub store: Option<Setting<String>>,
    /// The store's region.
    pub region: Option<Setting<String>>,
    /// The store's endpoint, where it is not AWS.
    pub endpoint: Option<Setting<String>>,
    /// Where the small mutable objects live.
    pub control_store: Option<Setting<String>>,
    /// The folder of PostgreSQL's client tools.
    pub client_tools: Option<Setting<PathBuf>>,
    /// The oldest major version of `pg_restore` that must be able to read the backups.
    pub restorer: Option<Setting<u32>>,
    /// Whether dumps that are not encrypted are refused, of databases that do not say otherwise.
    pub require_encryption: Option<Setting<bool>>,
    /// Whether keys of OpenPGP that have expired or were revoked open backups all the same.
    pub accept_expired_keys: Option<Setting<bool>>,
    /// Where passphrases are kept, of databases that do not say otherwise: by the environment alone.
    pub passphrase: Option<Setting<SecretRef>>,
    /// The same of the passphrase of secret keys.
    pub identity_passphrase: Option<Setting<SecretRef>>,
    /// The certificates by which servers are checked where a URL names none; else the system's.
    pub root_cert: Option<Setting<PathBuf>>,
    /// The bus on which runs tell what happened: a name or an ARN.
    pub bus: Option<Setting<String>>,
    /// Thresholds of health for databases that set none of their own.
    pub health: HealthConfig,
    /// Whom alerts reach.
    pub alerts: AlertsConfig,
    /// How Lifeboat is deployed.
    pub deploy: DeployConfig,
    /// Where restores may go by name.
    pub restore_targets: BTreeMap<String, RestoreTarget>,
    /// The databases.
    pub databases: BTreeMap<DatabaseSlug, DatabaseConfig>,
}

/// One line of `config check`.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    /// Full key, such as `databases.orders.jobs`.
    pub key: String,
    /// Its value; null where it is not set and has no default.
    pub value: Value,
    /// Where it came from.
    pub origin: String,
}

/// The default of `jobs`.
pub const DEFAULT_JOBS: u32 = 4;
/// The default of `chunk_size`.
pub const DEFAULT_CHUNK_SIZE: Size = Size(64 << 20);
/// The default of `compress`.
pub const DEFAULT_CODEC: Codec = Codec::Zstd { level: 1 };
/// What `compress` is where the oldest `pg_restore` to serve does not know zstd.
pub const OLD_RESTORER_CODEC: Codec = Codec::Gzip { level: 1 };

impl DatabaseConfig {
    /// A database about which the file says nothing.
    pub fn with_defaults(restorer: Option<u32>) -> Self {
        Self {
            url: None,
            schedule: None,
            timezone: Setting::default_of("UTC".to_owned()),
            rpo: None,
            rto: None,
            jobs: Setting::default_of(DEFAULT_JOBS),
            compress: default_codec(restorer),
            chunk_size: Setting::default_of(DEFAULT_CHUNK_SIZE),
            encryption: EncryptionConfig::default(),
            runner: Setting::default_of(Runner::default()),
            retention: RetentionConfig::default(),
            drill: DrillConfig {
                schedule: None,
                select: Setting::default_of(Selection::Rotate),
                scratch: Setting::default_of(ScratchSetting::Local),
                checks: Setting::default_of(Vec::new()),
                thaw_within: Setting::default_of(scratch::THAW_WITHIN),
            },
            health: HealthConfig::default(),
            maintenance: MaintenanceConfig::default(),
        }
    }
}

/// The codec for the oldest `pg_restore` that must read the backups: zstd came with 16.
pub fn default_codec(restorer: Option<u32>) -> Setting<Codec> {
    match restorer {
        Some(..=15) => Setting::new(OLD_RESTORER_CODEC, Origin::Derived("restorer")),
        _ => Setting::default_of(DEFAULT_CODEC),
    }
}

struct Rows(Vec<InForce>);

impl Rows {
    fn push(&mut self, key: String, value: Value, origin: &Origin) {
        self.0.push(InForce { key, value, origin: origin.to_string() });
    }

    fn set<T: Serialize>(&mut self, key: impl Into<String>, setting: &Setting<T>) {
        self.push(key.into(), serde_json::to_value(&setting.value).unwrap_or(Value::Null), &setting.origin);
    }

    fn maybe<T: Serialize>(&mut self, key: impl Into<String>, setting: Option<&Setting<T>>) {
        match setting {
            Some(setting) => self.set(key, setting),
            None => self.push(key.into(), Value::Null, &Origin::Default),
        }
    }
}

impl Config {
    /// Every setting in force, defaults included; no secret.
    pub fn in_force(&self) -> Vec<InForce> {
        let mut rows = Rows(Vec::new());
        rows.maybe("store.url", self.store.as_ref());
        rows.maybe("store.region", self.region.as_ref());
        rows.maybe("store.endpoint", self.endpoint.as_ref());
        match (&self.control_store, &self.store) {
            (Some(control), _) => rows.set("control_store.url", control),
            (None, Some(store)) => {
                rows.push(
                    "control_store.url".to_owned(),
                    json!(control_url(&store.value)),
                    &Origin::Derived("store.url"),
                );
            }
            (None, None) => rows.push("control_store.url".to_owned(), Value::Null, &Origin::Default),
        }
        rows.maybe("client_tools", self.client_tools.as_ref());
        rows.maybe("restorer", self.restorer.as_ref());
        rows.maybe("require_encryption", self.require_encryption.as_ref());
        rows.maybe("accept_expired_keys", self.accept_expired_keys.as_ref());
        rows.maybe("tls.root_cert", self.root_cert.as_ref());
        rows.maybe("events.bus", self.bus.as_ref());
        self.health.in_force("health", &mut rows);
        self.alerts.in_force(&mut rows);
        self.deploy.in_force(&mut rows);
        for (name, target) in &self.restore_targets {
            target.in_force(&format!("restore.targets.{name}"), &mut rows);
        }
        for (slug, database) in &self.databases {
            database.in_force(&format!("databases.{slug}"), &mut rows);
        }
        self.alarms_in_force(&mut rows);
        rows.0
    }
}

impl DatabaseConfig {
    fn in_force(&self, path: &str, rows: &mut Rows) {
        rows.maybe(format!("{path}.url"), self.url.as_ref());
        rows.maybe(format!("{path}.schedule"), self.schedule.as_ref());
        rows.set(format!("{path}.timezone"), &self.timezone);
        rows.maybe(format!("{path}.rpo"), self.rpo.as_ref());
        rows.maybe(format!("{path}.rto"), self.rto.as_ref());
        rows.set(format!("{path}.jobs"), &self.jobs);
        rows.push(format!("{path}.compress"), json!(self.compress.value.to_string()), &self.compress.origin);
        rows.set(format!("{path}.chunk_size"), &self.chunk_size);
        self.encryption.in_force(path, rows);
        rows.set(format!("{path}.runner"), &self.runner);
        self.retention.in_force(&format!("{path}.retention"), rows);
        rows.maybe(format!("{path}.drill.schedule"), self.drill.schedule.as_ref());
        rows.push(
            format!("{path}.drill.select"),
            json!(self.drill.select.value.to_string()),
            &self.drill.select.origin,
        );
        rows.set(format!("{path}.drill.scratch"), &self.drill.scratch);
        rows.set(format!("{path}.drill.checks"), &self.drill.checks);
        rows.set(format!("{path}.drill.thaw_within"), &self.drill.thaw_within);
        self.health.in_force(&format!("{path}.health"), rows);
        self.maintenance.in_force(&format!("{path}.maintenance"), rows);
    }
}

/// Where the small mutable objects live unless said otherwise.
pub fn control_url(store: &str) -> String {
    format!("{}/.control", store.trim_end_matches('/'))
}
