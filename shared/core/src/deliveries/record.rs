//! What is on record of a message's way to the channels.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ids::DatabaseSlug, incidents::Claim};

/// The version of the record's format.
pub(super) const FORMAT_VERSION: u32 = 1;

/// A message's way to the channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) format_version: u32,
    pub(super) message_id: String,
    pub(super) subject: String,
    pub(super) at: Timestamp,
    /// The databases that it tells of; none: it is about all, or about none of ours.
    #[serde(default)]
    pub(super) databases: BTreeSet<DatabaseSlug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<Claim>,
    #[serde(default)]
    pub(super) channels: BTreeMap<String, Delivered>,
}

/// How far a message came on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// When it arrived; none where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// How often it was tried in vain.
    #[serde(default)]
    pub attempts: u32,
    /// Why it failed, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// A message that has not reached every channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undelivered {
    /// The message.
    pub message_id: String,
    /// Its subject.
    pub subject: String,
    /// When it was written.
    pub at: Timestamp,
    /// The databases that it tells of; none: it is about all, or about none of ours.
    pub databases: BTreeSet<DatabaseSlug>,
    /// The channels that do not have it, and why; `all` where nobody knows which.
    pub channels: BTreeMap<String, String>,
}
