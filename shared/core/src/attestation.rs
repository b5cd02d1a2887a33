//! Attestations: small immutable JSON objects beside a backup that say what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result, ResultExt,
    ids::{BackupId, DatabaseSlug, DrillId, RunId},
    manifest::{Manifest, Tier},
};

/// How far a backup has climbed. Good means [`Rung::Verified`] or higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Its manifest exists.
    Uploaded,
    /// Every object was read back and hashed, decoded where it can be.
    Verified,
    /// A drill restored it and every table matched the manifest.
    Restored,
}

/// What an attestation says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Statement {
    /// Every object was read back and is what the manifest says.
    Verified {
        /// Objects read.
        objects: u64,
        /// Bytes read, as stored.
        bytes: u64,
        /// Seconds it took; older attestations do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
        /// Whether objects were opened and decoded too; `false` where they are encrypted and there was no key. Said only then.
        #[serde(default = "decoded", skip_serializing_if = "is_decoded")]
        decoded: bool,
    },
    /// A verify found damage: the backup is not good, whatever was said before.
    Corrupt {
        /// Keys of the damaged objects, relative to the backup.
        objects: Vec<String>,
    },
    /// A drill restored it and everything matched.
    Restored {
        /// The drill.
        drill_id: DrillId,
    },
    /// Do not expire, until released.
    Hold {
        /// Why, in the words of who held it.
        reason: String,
    },
    /// Ends a hold.
    Release,
    /// Retention means to expire it; from now on it does not count as good.
    Expiring {
        /// Retention's reason.
        reason: String,
    },
    /// Takes the intent to expire back.
    Undo,
    /// Its tier is now this one: another day's dump failed.
    Promoted {
        /// The new tier.
        tier: Tier,
    },
}

fn decoded() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_decoded(decoded: &bool) -> bool {
    *decoded
}

impl Statement {
    /// The kind as it stands in the key.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Verified { .. } => "verified",
            Self::Corrupt { .. } => "corrupt",
            Self::Restored { .. } => "restored",
            Self::Hold { .. } => "hold",
            Self::Release => "release",
            Self::Expiring { .. } => "expiring",
            Self::Undo => "undo",
            Self::Promoted { .. } => "promoted",
        }
    }
}

/// One attestation as it lies in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attestation {
    /// 1.
    pub format_version: u32,
    /// The database of the backup.
    pub database: DatabaseSlug,
    /// The backup it speaks of.
    pub backup_id: BackupId,
    /// The run that says it.
    pub run_id: RunId,
    /// When.
    pub at: Timestamp,
    /// SHA-256 of the manifest it speaks of, hex.
    pub manifest_sha256: String,
    /// What it says.
    #[serde(flatten)]
    pub statement: Statement,
}

impl Attestation {
    /// The key relative to the backup: `attestations/<time>-<run>-<kind>.json`; microseconds keep the order.
    pub fn key(&self) -> String {
        let time = self.at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%dT%H%M%S%6fZ").to_string();
        format!("attestations/{time}-{}-{}.json", self.run_id, self.statement.kind())
    }

    /// Whether it speaks of this very manifest.
    pub fn is_of(&self, manifest: &Manifest) -> bool {
        self.manifest_sha256 == manifest.manifest_sha256
            && self.backup_id == manifest.backup_id
            && self.database == manifest.database
    }

    /// As JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).or_error(ErrorKind::Unexpected, "write attestation")
    }

    /// From JSON; an unknown kind is an error, because it might say "corrupt".
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let attestation: Self = serde_json::from_slice(bytes).or_error(ErrorKind::Corrupt, "read attestation")?;
        if attestation.format_version != 1 {
            return Err(Error::new(
                ErrorKind::Unexpected,
                format!("attestation has format version {}, this Lifeboat knows 1", attestation.format_version),
            )
            .with_hint("use a newer Lifeboat"));
        }
        Ok(attestation)
    }
}
