//! What is known of a backup, derived from its manifest and attestations alone.

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    attestation::{Attestation, Rung, Statement},
    ids::{BackupId, DatabaseSlug},
    manifest::{Manifest, Tier, Totals, backup_folder},
};

/// The intent to expire a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expiring {
    /// Since when; the grace counts from here.
    pub since: Timestamp,
    /// Retention's reason.
    pub reason: String,
}

/// What a list shows of a manifest, without its tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// When the dump began.
    pub started_at: Timestamp,
    /// When the manifest was written.
    pub completed_at: Timestamp,
    /// The snapshot's time by the server's clock.
    pub snapshot_at: Timestamp,
    /// The time zone that decides the tier, IANA name.
    pub timezone: String,
    /// Such as `15.18`.
    pub server_version: String,
    /// Codec, such as `zstd:1`.
    pub compression: String,
    /// Whether archive objects are encrypted.
    pub encrypted: bool,
    /// Key ids of whom they are encrypted to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// Whether the key lies in the backup, kept by a passphrase.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_passphrase: bool,
    /// How many things the manifest names as omitted, role passwords aside, which no backup holds.
    pub omitted: u64,
    /// Sums.
    pub totals: Totals,
}

impl From<&Manifest> for Summary {
    fn from(manifest: &Manifest) -> Self {
        Self {
            started_at: manifest.started_at,
            completed_at: manifest.completed_at,
            snapshot_at: manifest.source.snapshot_at,
            timezone: manifest.timezone.clone(),
            server_version: manifest.source.server_version.clone(),
            compression: manifest.compression.clone(),
            encrypted: manifest.encryption.is_some(),
            recipients: manifest.encryption.as_ref().map(|e| e.recipients.clone()).unwrap_or_default(),
            by_passphrase: manifest.encryption.as_ref().is_some_and(|e| e.key.is_some()),
            omitted: manifest.omitted.iter().filter(|o| o.kind != "role passwords").count() as u64,
            totals: manifest.totals.clone(),
        }
    }
}

/// A backup as the catalog knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackupState {
    /// Its database.
    pub database: DatabaseSlug,
    /// The backup.
    pub backup_id: BackupId,
    /// What its manifest says; `None` where the manifest cannot be read.
    pub summary: Option<Summary>,
    /// The manifest's hash of itself; `None` where the manifest cannot be read.
    pub manifest_sha256: Option<String>,
    /// The tier, after promotions.
    pub tier: Tier,
    /// How far it has climbed, and not fallen since.
    pub rung: Rung,
    /// Verified or higher, not corrupt, not expiring, readable.
    pub good: bool,
    /// A verify found damage, and none since found it whole.
    pub corrupt: bool,
    /// Why it is held, if it is.
    pub held: Option<String>,
    /// The intent to expire it, if there is one.
    pub expiring: Option<Expiring>,
    /// Why it cannot be trusted although it is there: manifest or an attestation is damaged.
    pub problem: Option<String>,
    /// The attestations that speak of this very manifest, in order of time.
    pub attestations: Vec<Attestation>,
}

impl BackupState {
    /// The snapshot's time by the server's clock; the id's where the manifest cannot be read.
    pub fn at(&self) -> Timestamp {
        self.summary.as_ref().map_or_else(|| self.backup_id.started_at(), |s| s.snapshot_at)
    }

    /// Whether a restore may use it, if need be: readable, not known to be corrupt, not about to vanish.
    pub fn usable(&self) -> bool {
        self.problem.is_none() && !self.corrupt && self.expiring.is_none()
    }

    /// Bytes as stored, without manifest and attestations.
    pub fn stored_bytes(&self) -> u64 {
        self.summary.as_ref().map_or(0, |s| s.totals.stored_bytes)
    }

    /// The folder of the backup, with a closing slash.
    pub fn folder(&self) -> String {
        backup_folder(&self.database, &self.backup_id)
    }

    /// `database/id`, as a reference that can be typed.
    pub fn qualified(&self) -> String {
        format!("{}/{}", self.database, self.backup_id)
    }

    /// When it was last found whole by a verify, if it was.
    pub fn verified_at(&self) -> Option<Timestamp> {
        self.attestations.iter().rev().find(|a| matches!(a.statement, Statement::Verified { .. })).map(|a| a.at)
    }

    /// When a drill last restored it, if one did.
    pub fn restored_at(&self) -> Option<Timestamp> {
        self.attestations.iter().rev().find(|a| matches!(a.statement, Statement::Restored { .. })).map(|a| a.at)
    }

    /// One word for lists: the rung, or what is worse.
    pub fn standing(&self) -> &'static str {
        if self.problem.is_some() {
            "damaged"
        } else if self.corrupt {
            "corrupt"
        } else if self.expiring.is_some() {
            "expiring"
        } else {
            match self.rung {
                Rung::Uploaded => "uploaded",
                Rung::Verified => "verified",
                Rung::Restored => "restored",
            }
        }
    }

    fn blank(database: DatabaseSlug, backup_id: BackupId, tier: Tier) -> Self {
        Self {
            database,
            backup_id,
            summary: None,
            manifest_sha256: None,
            tier,
            rung: Rung::Uploaded,
            good: false,
            corrupt: false,
            held: None,
            expiring: None,
            problem: None,
            attestations: Vec::new(),
        }
    }

    fn take(&mut self, attestation: &Attestation) {
        match &attestation.statement {
            Statement::Verified { .. } => {
                self.corrupt = false;
                self.rung = self.rung.max(Rung::Verified);
            }
            // A drill reads the data, not every object: it does not acquit what a verify found damaged.
            Statement::Restored { .. } if self.corrupt => {}
            Statement::Restored { .. } => self.rung = Rung::Restored,
            Statement::Corrupt { .. } => {
                self.corrupt = true;
                self.rung = Rung::Uploaded;
            }
            Statement::Hold { reason } => self.held = Some(reason.clone()),
            Statement::Release => self.held = None,
            Statement::Expiring { reason } => {
                // The first intent counts: repeating it must not start the grace anew.
                if self.expiring.is_none() {
                    self.expiring = Some(Expiring { since: attestation.at, reason: reason.clone() });
                }
            }
            Statement::Undo => self.expiring = None,
            Statement::Promoted { tier } => self.tier = *tier,
        }
    }
}

/// Statements of one moment, the one that must win last: corrupt after verified, hold after release.
fn weight(statement: &Statement) -> u8 {
    match statement {
        Statement::Verified { .. } | Statement::Release | Statement::Undo => 0,
        Statement::Restored { .. } | Statement::Promoted { .. } => 1,
        Statement::Corrupt { .. } | Statement::Hold { .. } | Statement::Expiring { .. } => 2,
    }
}

/// What is known of a backup. Attestations of another manifest, backup or database do not count.
pub fn state_of(manifest: &Manifest, attestations: Vec<Attestation>) -> BackupState {
    let mut state = BackupState::blank(manifest.database.clone(), manifest.backup_id.clone(), manifest.tier);
    state.summary = Some(Summary::from(manifest));
    state.manifest_sha256 = Some(manifest.manifest_sha256.clone());
    state.attestations = attestations;
    state.attestations.retain(|a| {
        a.manifest_sha256 == manifest.manifest_sha256
            && a.backup_id == manifest.backup_id
            && a.database == manifest.database
    });
    state.attestations.sort_by(|a, b| {
        (a.at, weight(&a.statement)).cmp(&(b.at, weight(&b.statement))).then_with(|| a.run_id.cmp(&b.run_id))
    });
    for attestation in std::mem::take(&mut state.attestations) {
        state.take(&attestation);
        state.attestations.push(attestation);
    }
    state.good = state.rung >= Rung::Verified && !state.corrupt && state.expiring.is_none();
    state
}

/// A backup whose manifest is there but cannot be read: never good, never hidden.
pub fn state_of_damaged(database: DatabaseSlug, backup_id: BackupId, problem: String) -> BackupState {
    let tier = Tier::of(backup_id.started_at(), &TimeZone::UTC);
    let mut state = BackupState::blank(database, backup_id, tier);
    state.problem = Some(problem);
    state
}
