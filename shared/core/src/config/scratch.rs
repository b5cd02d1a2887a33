//! Where drills restore: a local cluster, a database on a given server, or an instance of RDS made for the drill.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::json;

use super::{DatabaseUrl, Span};

/// A thaw in bulk from the coldest class takes two days.
pub(super) const THAW_WITHIN: Span = Span(60 * 3600);

/// Where drills restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScratchSetting {
    /// A throwaway cluster on this machine.
    Local,
    /// A database made on this server and dropped afterwards.
    Server(DatabaseUrl),
    /// An instance of RDS, made and removed by every drill.
    Rds(Box<RdsScratch>),
}

/// The instance that drills make. What is not given follows from the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RdsScratch {
    /// Its class, such as `db.t4g.medium`.
    pub class: String,
    /// Its storage in GiB; else by the size of the backup.
    pub storage_gb: Option<u32>,
    /// Its version, such as `16` or `16.4`; else the major version of the backup's source.
    pub engine_version: Option<String>,
    /// Its parameter group; else the version's default.
    pub parameter_group: Option<String>,
    /// The subnets it lies in; else the account's default ones.
    pub subnet_group: Option<String>,
    /// Its security groups; else the network's default one.
    pub security_groups: Vec<String>,
    /// The key of its storage; else the account's own for RDS.
    pub kms_key: Option<String>,
    /// The source's own instance of RDS, for drills of its snapshots and points in time.
    pub source_instance: Option<String>,
    /// The restore testing plan of AWS Backup whose instances are drilled, by its name or ARN.
    pub restore_testing_plan: Option<String>,
    /// How long things may take.
    #[serde(flatten)]
    pub times: InstanceTimes,
}

/// How long an instance may live, and how long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct InstanceTimes {
    /// After this it is removed, whatever became of its drill.
    pub ttl: Span,
    /// Until then it must be available.
    pub available_within: Span,
    /// Until then it must be gone, once it was torn down.
    pub gone_within: Span,
    /// How often it is looked after meanwhile.
    pub look_every: Span,
}

impl Default for InstanceTimes {
    fn default() -> Self {
        Self { ttl: Span(6 * 3600), available_within: Span(3600), gone_within: Span(3600), look_every: Span(30) }
    }
}

impl RdsScratch {
    /// An instance of a class, the rest by default.
    pub fn of_class(class: &str) -> Self {
        Self {
            class: class.to_owned(),
            storage_gb: None,
            engine_version: None,
            parameter_group: None,
            subnet_group: None,
            security_groups: Vec::new(),
            kms_key: None,
            source_instance: None,
            restore_testing_plan: None,
            times: InstanceTimes::default(),
        }
    }
}

impl Serialize for ScratchSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Local => serializer.serialize_str("local"),
            Self::Server(url) => json!({ "server": url }).serialize(serializer),
            Self::Rds(rds) => json!({ "rds": rds }).serialize(serializer),
        }
    }
}

impl fmt::Display for ScratchSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Server(url) => write!(f, "{url}"),
            Self::Rds(rds) => write!(f, "RDS instance of class {}", rds.class),
        }
    }
}
