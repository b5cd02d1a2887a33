//! What retention is asked.

use jiff::Timestamp;
use lifeboat_core::ids::DatabaseSlug;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks the function `retention` to keep what the policy keeps, and to let go of the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// Plan only: change nothing, tell nothing, answer the plan.
    #[serde(default)]
    pub dry_run: bool,
    /// The rule's time: the run's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}
