//! What a dump is asked, and what it answers.

use jiff::Timestamp;
use lifeboat_core::{
    dump::DumpOutcome,
    ids::{BackupId, DatabaseSlug, RunId},
    manifest::{Encryption, Omitted, PhaseDuration, Tier},
    ports::Finding,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Verified, total};

/// Asks the function `dump` for one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DumpRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// The rule's time: the run's key. Without it the run is not scheduled, and happens every time it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

/// One backup that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DumpAnswer {
    /// The database.
    pub database: DatabaseSlug,
    /// The backup.
    pub backup_id: BackupId,
    /// The run.
    pub run_id: RunId,
    /// Its folder in the store.
    pub location: String,
    /// Its tier.
    pub tier: Tier,
    /// When the source's state was.
    pub snapshot_at: Timestamp,
    /// Tables with data.
    pub tables: u64,
    /// Rows.
    pub rows: u64,
    /// Large objects.
    pub large_objects: u64,
    /// Objects, without the manifest.
    pub objects: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Codec.
    pub compression: String,
    /// How it is encrypted; left out where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Seconds the dump took, verifying aside.
    pub seconds: f64,
    /// Seconds per phase.
    pub phases: Vec<PhaseDuration>,
    /// What the backup does not hold.
    pub omitted: Vec<Omitted>,
    /// What preflight found.
    pub findings: Vec<Finding>,
    /// What the verify right after it read; null where it was not asked for.
    pub verified: Option<Verified>,
}

impl DumpAnswer {
    /// Of a dump that succeeded.
    pub fn new(outcome: &DumpOutcome, store_url: &str) -> Self {
        let manifest = &outcome.manifest;
        let totals = &manifest.totals;
        Self {
            database: manifest.database.clone(),
            backup_id: manifest.backup_id.clone(),
            run_id: manifest.run_id.clone(),
            location: format!("{}/{}", store_url.trim_end_matches('/'), manifest.folder()),
            tier: manifest.tier,
            snapshot_at: manifest.source.snapshot_at,
            tables: totals.tables,
            rows: totals.rows,
            large_objects: totals.large_objects,
            objects: totals.objects,
            raw_bytes: totals.raw_bytes,
            stored_bytes: totals.stored_bytes,
            compression: manifest.compression.clone(),
            encryption: manifest.encryption.clone(),
            seconds: total(&manifest.phases),
            phases: manifest.phases.clone(),
            omitted: manifest.omitted.clone(),
            findings: outcome.findings.clone(),
            verified: None,
        }
    }
}
