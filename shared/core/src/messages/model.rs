//! A message, before it takes the form of a mail or a chat: what programs get as JSON.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Digest, Kind};
use crate::{
    events::Severity,
    ids::{BackupId, DatabaseSlug},
};

/// The version of the messages' format. A newer version only adds.
pub const FORMAT_VERSION: u32 = 1;

/// One message: everything that one run has to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Names what is told: the same news have the same id, however often they are delivered.
    pub id: String,
    /// When it was written, UTC.
    pub at: Timestamp,
    /// Why it was written.
    pub purpose: Purpose,
    /// The gravest of what it tells.
    pub severity: Severity,
    /// One line, ASCII, at most 99 characters.
    pub subject: String,
    /// Whether something in it has lasted so long that further people are told.
    pub escalated: bool,
    /// What began, lasts or ended; gravest first.
    pub entries: Vec<Entry>,
    /// Free words: of a test, or of somebody else's message that is passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// The digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Whom to call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Where the backups are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// Why a message was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Something began, lasts or ended.
    Incidents,
    /// The regular digest.
    Digest,
    /// Somebody tries whether messages arrive.
    Test,
    /// Somebody else published it on the topic, such as a CloudWatch alarm.
    Foreign,
}

/// What has changed about an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It has lasted so long that further people are told.
    Escalated,
    /// It began.
    Opened,
    /// It matters more than before.
    Worsened,
    /// It lasts.
    Reminder,
    /// It began and ended before anybody could be told.
    Brief,
    /// It ended.
    Resolved,
    /// It was closed: nobody is told of it any more, whether it is over or not.
    Closed,
    /// A run succeeded, of a database whose every run is to be told.
    Succeeded,
}

impl Change {
    /// Whether the incident lasts.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Escalated | Self::Opened | Self::Worsened | Self::Reminder)
    }

    /// As in the message's JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Escalated => "escalated",
            Self::Opened => "opened",
            Self::Worsened => "worsened",
            Self::Reminder => "reminder",
            Self::Brief => "brief",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
            Self::Succeeded => "succeeded",
        }
    }
}

/// What is told of one incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// The database.
    pub database: DatabaseSlug,
    /// What it is about.
    pub kind: Kind,
    /// What has changed.
    pub change: Change,
    /// How much it matters.
    pub severity: Severity,
    /// In a few words.
    pub title: String,
    /// What happened.
    pub what: String,
    /// What it means.
    pub meaning: String,
    /// When it began.
    pub since: Timestamp,
    /// When it was last seen.
    pub at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How many times it was seen.
    pub times: u64,
    /// The backup that still protects the database, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The commands to run next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Whether it has lasted so long that further people are told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub escalated: bool,
}

impl Entry {
    /// Names the incident for pagers: `<database>/<kind>`.
    pub fn dedup_key(&self) -> String {
        format!("{}/{}", self.database, self.kind)
    }
}

/// A good backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Protection {
    /// The backup.
    pub backup_id: BackupId,
    /// The time of its snapshot, or when its dump began.
    pub snapshot_at: Timestamp,
    /// Whether a drill has restored it; else it was verified.
    pub restored: bool,
}

/// Free words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// One line.
    pub title: String,
    /// The rest.
    pub text: String,
    /// Names what it is about for pagers.
    pub key: String,
    /// Whether it says that something is over.
    pub over: bool,
}
