//! What health is asked for, and what its function answers.

use jiff::Timestamp;
use lifeboat_core::{
    events::{HealthFinding, Severity},
    health::HealthState,
    ids::DatabaseSlug,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks the function `health` to look at one database, or at all that are configured. Looking twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthRequest {
    /// The database; all where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseSlug>,
    /// The rule's time. It changes nothing: every delivery looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

/// What health found, without the facts: those lie in the control store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// The databases that were looked at.
    pub databases: Vec<DatabaseHealth>,
    /// Key of the status page in the control store; null where it could not be written.
    pub page: Option<String>,
}

/// How one database is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseHealth {
    /// The database.
    pub database: DatabaseSlug,
    /// When it was looked at.
    pub at: Timestamp,
    /// Age of the newest good backup's snapshot, seconds; null where there is none or it is not known.
    pub backup_age_seconds: Option<u64>,
    /// The gravest finding; null where there is none.
    pub worst: Option<Severity>,
    /// What was found, gravest first.
    pub findings: Vec<HealthFinding>,
}

impl From<&HealthState> for DatabaseHealth {
    fn from(state: &HealthState) -> Self {
        let age = |at: Timestamp| u64::try_from(state.at.duration_since(at).as_secs()).unwrap_or(0);
        Self {
            database: state.database.clone(),
            at: state.at,
            backup_age_seconds: state.facts.newest_good_at().map(age),
            worst: state.findings.first().map(|finding| finding.severity),
            findings: state.findings.clone(),
        }
    }
}
