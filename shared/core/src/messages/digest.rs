//! The digest: how every database fared since the last one, what it stores, and what that costs.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Protection};
use crate::{events::Severity, ids::DatabaseSlug};

/// How every database fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Digest {
    /// From.
    pub from: Timestamp,
    /// To.
    pub to: Timestamp,
    /// Every database.
    pub databases: Vec<DigestDatabase>,
    /// Incidents that last.
    pub open: Vec<DigestIncident>,
    /// Messages that could not be delivered.
    pub undelivered: u64,
    /// What could not be looked at, in sentences.
    pub problems: Vec<String>,
    /// Estimated US dollars a month for everything stored now.
    pub usd_per_month: f64,
    /// What the prices are.
    pub prices: String,
    /// What is left out because the digest would have been too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<DigestLeftOut>,
}

/// What is left out of a digest, in sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DigestLeftOut {
    /// Databases.
    pub databases: u64,
    /// Incidents that last.
    pub open: u64,
    /// Backups made since the last digest, of these databases.
    pub made: u64,
    /// Of these, verified or higher.
    pub verified: u64,
    /// Drills that ended since the last digest, of these databases.
    pub drills: u64,
    /// Bytes stored now, of these databases.
    pub stored_bytes: u64,
}

/// How one database fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DigestDatabase {
    /// The database.
    pub database: DatabaseSlug,
    /// Backups made since the last digest.
    pub made: u64,
    /// Of these, verified or higher.
    pub verified: u64,
    /// Drills that ended since the last digest.
    pub drills: u64,
    /// How the newest drill ended: `passed`, `failed`, …; none where there was never one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<String>,
    /// The newest good backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_good: Option<Protection>,
    /// Bytes of the database before compression, of its newest backup.
    pub raw_bytes: u64,
    /// Bytes stored now, of all its backups.
    pub stored_bytes: u64,
    /// Bytes more (or, negative, fewer) than at the last digest; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth_bytes: Option<i64>,
    /// Where the bytes lie.
    pub storage: Vec<StorageShare>,
    /// Estimated US dollars a month for what it stores now.
    pub usd_per_month: f64,
    /// The next runs, in words.
    pub upcoming: Vec<String>,
}

/// Bytes of one tier in one storage class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StorageShare {
    /// `daily`, `weekly`, `monthly` or `unfinished`.
    pub tier: String,
    /// S3's storage class.
    pub storage_class: String,
    /// Bytes.
    pub bytes: u64,
    /// Estimated US dollars a month.
    pub usd_per_month: f64,
}

/// An incident that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DigestIncident {
    /// The database.
    pub database: DatabaseSlug,
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// When it began.
    pub since: Timestamp,
    /// What happened.
    pub what: String,
}
