//! What health saw of one database: plain facts, from which the plan draws its findings and the status page its figures.

use jiff::Timestamp;
use lifeboat_archive::encryption::Recipients;
use serde::{Deserialize, Serialize};

use crate::{
    attestation::Rung,
    events::Failure,
    forecast::{CostForecast, RecoveryForecast},
    health::{RowDrop, codes::Part},
    ids::{BackupId, RunId},
    lease::Lease,
    ports::{Certificate, Finding, LeftScratch, ServerFacts, ToolFacts},
    retention::StorageRow,
    status::{DatabaseStatus, LastDrill},
};

/// What the configuration wants of the database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// Recovery point objective, seconds.
    pub rpo_seconds: Option<u64>,
    /// Recovery time objective, seconds.
    pub rto_seconds: Option<u64>,
    /// When dumps are run.
    pub schedule: Option<String>,
    /// The longest pause that this schedule makes, seconds.
    pub schedule_pause_seconds: Option<u64>,
    /// When drills are run.
    pub drill_schedule: Option<String>,
    /// The longest pause that this schedule makes, seconds.
    pub drill_pause_seconds: Option<u64>,
    /// Which backup drills take, where that is not `rotate`.
    #[serde(default)]
    pub drill_selection: Option<String>,
    /// Seconds between two digests, where digests are sent.
    #[serde(default)]
    pub digest_seconds: Option<u64>,
    /// Keys that its dumps are encrypted to and that have an end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<RecipientKey>,
}

/// A key that dumps are encrypted to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientKey {
    /// Its fingerprint.
    pub id: String,
    /// Whose it is.
    pub user: Option<String>,
    /// From when on dumps to it are refused.
    pub expires_at: Option<Timestamp>,
    /// Whether they are already.
    pub revoked: bool,
}

impl RecipientKey {
    /// Those of public keys, as the configuration has them, that have an end; what cannot be read has none.
    pub fn that_end(keys: &[String]) -> Vec<Self> {
        let Ok(recipients) = Recipients::parse(keys.iter().map(String::as_str)) else { return Vec::new() };
        let moment = |seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok();
        let ends = recipients.facts().into_iter().filter(|key| key.revoked || key.expires_at.is_some());
        ends.map(|key| Self {
            id: key.id,
            user: key.user,
            expires_at: key.expires_at.and_then(moment),
            revoked: key.revoked,
        })
        .collect()
    }
}

/// A store, and what was the matter with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Its URL; empty where it could not even be opened.
    pub url: String,
    /// It could not be read.
    pub unreachable: Option<Failure>,
    /// It could be read, but not be written as it must be.
    pub not_writable: Option<Failure>,
    /// When it was last seen that it can be written; for the store only.
    #[serde(default)]
    pub probed_at: Option<Timestamp>,
}

/// One backup as a point of the sizes over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizePoint {
    /// The backup.
    pub backup_id: BackupId,
    /// Its snapshot's time.
    pub at: Timestamp,
    /// When its manifest was written; none where the manifest cannot be read.
    pub completed_at: Option<Timestamp>,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Rows.
    pub rows: u64,
    /// Its rung.
    pub rung: Rung,
    /// Its standing in one word, which may be worse than its rung.
    pub standing: String,
    /// Whether it is good.
    pub good: bool,
}

/// The database's backups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backups {
    /// How they stand; freshness as of the moment they were looked at.
    pub status: DatabaseStatus,
    /// Newest first.
    pub points: Vec<SizePoint>,
    /// Begin of the newest dump that came to its end, good or not.
    pub newest_started_at: Option<Timestamp>,
    /// Snapshot of the oldest backup.
    pub oldest_at: Option<Timestamp>,
    /// Tables whose newest backup has fewer rows than usual, the greatest losses first.
    pub drops: Vec<RowDrop>,
}

/// What unfinished dumps left behind, and what a running one has written so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unfinished {
    /// Folders without a manifest: when something was last written to each, and their bytes.
    pub folders: Vec<(Timestamp, u64)>,
    /// Uploads that were begun longer ago than the threshold, and never ended.
    pub uploads: u64,
}

/// What retention would say now.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Retention {
    /// Bytes per tier and storage class.
    pub storage: Vec<StorageRow>,
    /// Estimated cost now, USD a month.
    pub usd_per_month_now: f64,
    /// The same after the plan.
    pub usd_per_month_forecast: f64,
    /// What a month will cost; none where there is no backup to go by.
    #[serde(default)]
    pub cost: Option<CostForecast>,
    /// Since when the longest overdue removal might have been made: retention does not run.
    pub removal_overdue_since: Option<Timestamp>,
    /// What the policy's lint warns of.
    pub lint: Vec<Finding>,
    /// The longest time between two good backups that followed each other within the daily tier's reach, with its
    /// begin: seconds.
    pub longest_gap: Option<(Timestamp, u64)>,
}

/// A drill that came to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillSeen {
    /// How it ended.
    #[serde(flatten)]
    pub drill: LastDrill,
    /// The backup.
    pub backup_id: BackupId,
    /// Age of the backup's snapshot when the drill began, seconds.
    pub rpo_seconds: Option<f64>,
    /// The first phase that failed or found something wrong; not known of looks of before.
    #[serde(default)]
    pub failed_in: Option<String>,
    /// Why it did not pass.
    pub reasons: Vec<String>,
}

/// What the control store holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ControlFacts {
    /// Who holds the lease.
    pub lease: Option<Lease>,
    /// The lease cannot be read.
    pub lease_trouble: Option<Failure>,
    /// Scheduled runs of the last day that began and neither ended nor live: operation, scheduled time.
    pub died: Vec<(String, String)>,
    /// Events that had not been told when they happened, and now were.
    pub told_again: u64,
    /// Documents with events that still wait to be told.
    pub undelivered: u64,
    /// Telling them again failed.
    pub undelivered_trouble: Option<Failure>,
    /// Incidents of this database that are open.
    pub incidents: u64,
    /// Alerts that did not arrive: the news, and why.
    #[serde(default)]
    pub alerts: Vec<(String, String)>,
    /// When the last digest was sent.
    pub last_digest_at: Option<Timestamp>,
    /// Subscriptions that nobody confirmed.
    pub unconfirmed: Vec<String>,
    /// The topic could not be opened, or not be asked for them.
    pub topic_trouble: Option<Failure>,
}

/// The server, as far as it could be asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ServerSeen {
    /// Nobody knows where it is: no URL is configured.
    #[default]
    NotConfigured,
    /// It could not be asked.
    Unreachable {
        /// Why.
        failure: Failure,
    },
    /// It answered.
    Observed {
        /// What.
        facts: Box<ServerFacts>,
    },
}

impl ServerSeen {
    /// Its facts, if it answered.
    pub fn facts(&self) -> Option<&ServerFacts> {
        match self {
            Self::Observed { facts } => Some(facts),
            Self::NotConfigured | Self::Unreachable { .. } => None,
        }
    }
}

/// A scratch target that was past its time or could not be looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScratchSeen {
    /// Where it was looked for.
    pub place: String,
    /// The target; none where looking failed.
    pub left: Option<LeftScratch>,
    /// Whether it was removed.
    pub removed: bool,
    /// Why it was not, or why nobody could look.
    pub trouble: Option<Failure>,
}

/// What the question for the server's certificate is called, where it was not answered.
pub(super) const CERTIFICATE: &str = "the server's certificate";

/// Everything that health saw of one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The run that looked.
    pub run_id: RunId,
    /// What is wanted.
    pub wanted: Wanted,
    /// The store.
    pub store: Place,
    /// The control store.
    pub control_store: Place,
    /// The backups; none where the store could not be read.
    pub backups: Option<Backups>,
    /// The newest good backup's snapshot as it was last known; the only knowledge of it where the store cannot be read.
    pub last_known_good_at: Option<Timestamp>,
    /// Snapshot of the oldest backup that health ever saw, whether or not it is still there.
    #[serde(default)]
    pub first_backup_at: Option<Timestamp>,
    /// Since when health knows that digests are wanted.
    #[serde(default)]
    pub digest_wanted_since: Option<Timestamp>,
    /// The newest drills, newest first; none where the store could not be read.
    pub drills: Option<Vec<DrillSeen>>,
    /// How long a restore would take, and whether the RTO will hold; none where the store could not be read.
    #[serde(default)]
    pub recovery: Option<RecoveryForecast>,
    /// What retention would say; none where the store could not be read.
    pub retention: Option<Retention>,
    /// Leftovers; none where the store could not be read.
    pub unfinished: Option<Unfinished>,
    /// What the control store holds; none where it could not be read.
    pub control: Option<ControlFacts>,
    /// Client tools.
    pub tools: ToolFacts,
    /// The server.
    pub server: ServerSeen,
    /// The server's certificate; none where there is none or it could not be asked for.
    pub certificate: Option<Certificate>,
    /// Transactions per second since health looked before.
    pub transactions_per_second: Option<f64>,
    /// Scratch targets.
    pub scratch: Vec<ScratchSeen>,
    /// Other parts that could not be asked, although the store or server they lie on could.
    pub not_asked: Vec<(String, Failure)>,
}

impl Facts {
    /// Whether the part was looked at that findings of this kind come from. Where it was not, what was found before is
    /// not over.
    pub(super) fn looked_at(&self, part: Part) -> bool {
        match part {
            Part::Backups => self.backups.is_some(),
            Part::Drills => self.drills.is_some(),
            Part::Retention => self.retention.is_some(),
            Part::Unfinished => self.unfinished.is_some(),
            Part::Control => self.control.is_some(),
            Part::Reach => !matches!(self.server, ServerSeen::NotConfigured),
            Part::Certificate => {
                self.server.facts().is_some() && self.not_asked.iter().all(|(what, _)| what != CERTIFICATE)
            }
            Part::Server(questions) => self
                .server
                .facts()
                .is_some_and(|facts| facts.hidden.iter().all(|hidden| !questions.contains(&hidden.what.as_str()))),
            Part::Always => true,
        }
    }

    /// The newest drill that restored a backup whole, whether or not it met its objectives; older ones than those that are
    /// shown do not count.
    pub fn newest_whole_drill(&self) -> Option<&DrillSeen> {
        self.drills.as_ref()?.iter().find(|seen| seen.drill.proves_backups())
    }

    /// The newest good backup's snapshot, as far as it is known.
    pub fn newest_good_at(&self) -> Option<Timestamp> {
        match &self.backups {
            Some(backups) => backups.status.newest_good.as_ref().map(|newest| newest.snapshot_at),
            None => self.last_known_good_at,
        }
    }
}
