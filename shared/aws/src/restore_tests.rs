//! AWS Backup, which is told what its restore tests came to.

use async_trait::async_trait;
use aws_sdk_backup::{
    Client, operation::put_restore_validation_result::PutRestoreValidationResultError, types::RestoreValidationStatus,
};
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{RestoreTests, ValidationStatus},
};

use crate::client::{Aws, failed};

/// The restore jobs of an account and region.
#[derive(Debug, Clone)]
pub struct BackupRestoreTests(Client);

impl BackupRestoreTests {
    /// The account's and region's.
    pub fn new(aws: &Aws) -> Self {
        Self(Client::new(&aws.0))
    }
}

#[async_trait]
impl RestoreTests for BackupRestoreTests {
    async fn validated(&self, restore_job: &str, status: ValidationStatus, message: &str) -> Result<()> {
        let status = match status {
            ValidationStatus::Successful => RestoreValidationStatus::Successful,
            ValidationStatus::Failed => RestoreValidationStatus::Failed,
            ValidationStatus::TimedOut => RestoreValidationStatus::TimedOut,
        };
        let request = self
            .0
            .put_restore_validation_result()
            .restore_job_id(restore_job)
            .validation_status(status)
            .validation_status_message(message);
        let answer = request.send().await.map(drop);
        answer.map_err(|error| {
            let doing = format!("tell AWS Backup what the restore job {restore_job} came to");
            match error.as_service_error() {
                Some(PutRestoreValidationResultError::ResourceNotFoundException(_)) => {
                    Error::new(ErrorKind::NotFound, failed(doing, error).to_string())
                        .with_hint("AWS Backup knows no such job in this account and region")
                }
                _ => failed(doing, error)
                    .with_hint("the role needs backup:PutRestoreValidationResult; the validation window may be over"),
            }
        })
    }
}
