//! The restore tests port: AWS Backup, which is told what came of the instances that its restore tests made.

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Result;

/// What a restore test came to, in AWS Backup's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ValidationStatus {
    /// What was restored is as it should be.
    Successful,
    /// It is not, or nobody could see.
    Failed,
    /// Nobody could see in time.
    TimedOut,
}

/// AWS Backup, as far as drills need it.
#[async_trait]
pub trait RestoreTests: Send + Sync {
    /// Tells what the restore job came to, which AWS Backup takes for its last word: it removes the instance then. Idempotent
    /// for one status; another one is refused once one was taken. `NotFound` where there is no such job, `Store` where the API
    /// failed or refused; a time-out leaves unknown whether it was taken.
    async fn validated(&self, restore_job: &str, status: ValidationStatus, message: &str) -> Result<()>;

    /// When the recovery point was made that the restore job restored; `None` where AWS Backup does not say. Changes nothing.
    /// `NotFound` and `Store` as above.
    async fn recovery_point_at(&self, restore_job: &str) -> Result<Option<Timestamp>>;
}
