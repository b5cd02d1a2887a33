//! What was drilled, if it was no backup, and what of the backups has been drilled before.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::model::Fact;
use crate::{ids::BackupId, manifest::Tier};

/// When a drill last proved a tier that has backups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierProof {
    /// The tier.
    pub tier: Tier,
    /// Its backups that a drill may choose.
    pub backups: u64,
    /// When one of them was last restored by a drill, this one not counted.
    pub last_proven: Fact<Timestamp>,
    /// Which.
    pub backup_id: Option<BackupId>,
}

/// What was drilled instead of a backup. Its report's backup is the one whose catalog it was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginEvidence {
    /// `snapshot`, `point in time`.
    pub kind: String,
    /// The snapshot, or the source's instance.
    pub id: String,
    /// From when the data are, where that is known.
    pub taken_at: Option<Timestamp>,
}
