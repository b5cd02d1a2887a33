//! What was verified of a backup.

use lifeboat_core::verify::VerifyOutcome;
use serde::{Deserialize, Serialize};

use super::total;

/// What was verified of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Objects read.
    pub objects: u64,
    /// Bytes read, as stored.
    pub bytes: u64,
    /// Seconds it took.
    pub seconds: f64,
}

impl From<&VerifyOutcome> for Verified {
    fn from(outcome: &VerifyOutcome) -> Self {
        Self { objects: outcome.objects, bytes: outcome.bytes, seconds: total(&outcome.phases) }
    }
}
