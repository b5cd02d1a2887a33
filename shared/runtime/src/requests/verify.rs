//! What a verify is asked, and what it answers.

use jiff::Timestamp;
use lifeboat_core::{
    config::{Size, Span},
    events::{Body, Event},
    ids::{BackupId, DatabaseSlug, RunId},
    verify::VerifyOutcome,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::total;

/// Asks the function `verify` to read backups back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// Which: an id; `latest`, the newest there is, verified or not; or `older`, those verified longest ago.
    #[serde(default = "latest")]
    pub backup: String,
    /// With `older`: the most to read, such as `64GiB`, which is the default; one backup is read whatever its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_bytes: Option<String>,
    /// With `older`: no further backup is begun after this time, such as `8m`, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_time: Option<String>,
    /// The rule's time: the run's key. Without it the run happens every time it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

fn latest() -> String {
    "latest".to_owned()
}

/// What brings the function `verify` about: a request, or the bus's event `BackupCompleted` as EventBridge hands it on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum VerifyTrigger {
    /// Somebody asks.
    Asked(VerifyRequest),
    /// A backup was made.
    Completed {
        /// Of this database.
        database: DatabaseSlug,
        /// The backup.
        backup_id: BackupId,
        /// Whether the run that made it has read it back already.
        verified: bool,
    },
}

impl VerifyTrigger {
    /// The database that it is about.
    pub fn database(&self) -> &DatabaseSlug {
        match self {
            Self::Asked(request) => &request.database,
            Self::Completed { database, .. } => database,
        }
    }
}

impl TryFrom<Value> for VerifyTrigger {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let Some(name) = value.get("detail-type") else {
            return serde_json::from_value(value).map(Self::Asked).map_err(|e| e.to_string());
        };
        let detail = value.get("detail").ok_or("the event has no detail")?;
        let event = Event::from_detail(detail).map_err(|e| e.to_string())?;
        match event.body {
            Body::BackupCompleted(completed) => Ok(Self::Completed {
                database: event.database,
                backup_id: completed.backup_id,
                verified: completed.verified,
            }),
            _ => Err(format!("verify is brought about by BackupCompleted, not by {name}")),
        }
    }
}

impl VerifyRequest {
    /// The most bytes to read of older backups.
    pub(crate) fn budget(&self) -> Result<(u64, u64), String> {
        let bytes = self.most_bytes.as_deref().unwrap_or("64GiB").parse::<Size>();
        let time = self.most_time.as_deref().unwrap_or("8m").parse::<Span>();
        Ok((bytes.map_err(|e| format!("most_bytes: {e}"))?.0, time.map_err(|e| format!("most_time: {e}"))?.0))
    }
}

/// What was verified of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Objects read.
    pub objects: u64,
    /// Bytes read, as stored.
    pub bytes: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Whether objects were opened and decoded too; those of an encrypted backup are hashed as they are stored.
    pub decoded: bool,
}

impl From<&VerifyOutcome> for Verified {
    fn from(outcome: &VerifyOutcome) -> Self {
        let (objects, bytes, decoded) = (outcome.objects, outcome.bytes, outcome.decoded);
        Self { objects, bytes, seconds: total(&outcome.phases), decoded }
    }
}

/// What came of a verify.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyAnswer {
    /// The database.
    pub database: DatabaseSlug,
    /// The run.
    pub run_id: RunId,
    /// Every backup that was read, in order.
    pub backups: Vec<BackupVerdict>,
    /// With `older`: backups for which bytes or time did not suffice; the next run begins with them.
    pub left: u64,
    /// With `older`: backups in a storage class that cannot be read without a thaw.
    pub frozen: u64,
    /// Why nothing was read, where nothing needed to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// One backup that was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupVerdict {
    /// The backup.
    pub backup_id: BackupId,
    /// Whether every byte is what its manifest says.
    pub whole: bool,
    /// Objects read.
    pub objects: u64,
    /// Bytes read, as stored.
    pub bytes: u64,
    /// Rows counted.
    pub rows: u64,
    /// Whether objects were opened and decoded too; those of an encrypted backup are hashed as they are stored.
    pub decoded: bool,
    /// Seconds it took.
    pub seconds: f64,
    /// What is wrong, in sentences.
    pub damage: Vec<String>,
}

impl From<&VerifyOutcome> for BackupVerdict {
    fn from(outcome: &VerifyOutcome) -> Self {
        Self {
            backup_id: outcome.backup_id.clone(),
            whole: outcome.damage.is_empty(),
            objects: outcome.objects,
            bytes: outcome.bytes,
            rows: outcome.rows,
            decoded: outcome.decoded,
            seconds: total(&outcome.phases),
            damage: outcome.damage.iter().map(|d| d.what.clone()).collect(),
        }
    }
}
