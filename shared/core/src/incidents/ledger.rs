//! A database's ledger in the control store: its incidents, what is known to protect it, and what is still to be told.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ErrorKind, Result, ResultExt,
    events::Severity,
    ids::{BackupId, DatabaseSlug, RunId},
    messages::{Entry, Kind, Protection},
};

/// The version of the ledger's format.
pub(super) const FORMAT_VERSION: u32 = 1;

/// The folder of the ledgers in the control store.
pub(super) const FOLDER: &str = "incidents/";

/// The most bytes that a ledger may have.
pub(super) const LIMIT: u64 = 8 << 20;

/// The key of a database's ledger in the control store.
pub fn ledger_key(database: &DatabaseSlug) -> String {
    format!("{FOLDER}{database}.json")
}

/// Everything about the incidents of one database. All of it changes in one compare-and-swap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The database.
    pub database: DatabaseSlug,
    /// Incidents, one of each kind: the one that lasts, or the last one.
    #[serde(default)]
    pub incidents: BTreeMap<Kind, Incident>,
    /// Good backups that events told of, newest last.
    #[serde(default)]
    pub good: Vec<Good>,
    /// Damaged backups that events told of, and when last.
    #[serde(default)]
    pub damaged: BTreeMap<BackupId, Timestamp>,
    /// The newest event that was taken of each stream: an older one that arrives late changes nothing.
    #[serde(default)]
    pub newest: BTreeMap<String, Timestamp>,
    /// What is still to be told.
    #[serde(default)]
    pub notices: Vec<Notice>,
}

/// A good backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    /// The backup.
    #[serde(flatten)]
    pub backup: Protection,
    /// When it was found to be good.
    pub at: Timestamp,
}

/// Whether an incident lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It lasts.
    Open,
    /// It ended.
    Resolved,
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Whether it lasts.
    pub state: State,
    /// How much it matters, raised when it lasts.
    pub severity: Severity,
    /// When it began: the time of its first event.
    pub opened_at: Timestamp,
    /// When its first event was taken, which may have been on its way for long: nobody could act before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_at: Option<Timestamp>,
    /// Its newest event.
    pub last_at: Timestamp,
    /// When an event of it was last taken, however old that was; none in ledgers of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// How many events told of it.
    pub times: u64,
    /// What happened, as last told.
    pub what: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The backup it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupId>,
    /// Key of a report in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// With which severity people were told that it lasts; none where it was not grave enough to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Severity>,
    /// When people were last told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// When further people were told, because it lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_at: Option<Timestamp>,
}

/// Something still to be told, as it was when it came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Names it: the same news have the same id.
    pub id: String,
    /// What is told.
    pub entry: Entry,
    /// The run that is about to send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// How often sending it failed.
    #[serde(default)]
    pub attempts: u32,
    /// Why, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A run's word that it is about to send a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The run.
    pub run_id: RunId,
    /// After this it is dead, and another may send the notice.
    pub until: Timestamp,
}

impl Ledger {
    /// Of a database that nothing is known of.
    pub fn new(database: &DatabaseSlug) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            database: database.clone(),
            incidents: BTreeMap::new(),
            good: Vec::new(),
            damaged: BTreeMap::new(),
            newest: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    /// From JSON; `Corrupt` where it is none.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).or_error(ErrorKind::Corrupt, "read a ledger of incidents")
    }

    /// As JSON.
    pub fn to_json(&self) -> Result<Bytes> {
        Ok(serde_json::to_vec_pretty(self).or_error(ErrorKind::Unexpected, "write a ledger of incidents")?.into())
    }

    /// The newest good backup that is known and was not found damaged.
    pub fn protection(&self) -> Option<&Protection> {
        self.good.iter().rev().map(|good| &good.backup).find(|good| !self.damaged.contains_key(&good.backup_id))
    }

    /// Incidents that last.
    pub fn open(&self) -> impl Iterator<Item = (&Kind, &Incident)> {
        self.incidents.iter().filter(|(_, incident)| incident.state == State::Open)
    }
}
