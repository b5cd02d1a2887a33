//! The answer of a function whose run a task does.

use lifeboat_core::ids::DatabaseSlug;
use serde::{Deserialize, Serialize};

/// A run that was handed over, with its very request, to a task that has the time for it. What comes of it is told on the
/// bus by the task, and stands on record as the run's answer where it has a scheduled time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// The database.
    pub database: DatabaseSlug,
    /// The task's ARN.
    pub task: String,
    /// Why the function does not do it, in words.
    pub why: String,
}
