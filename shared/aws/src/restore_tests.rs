//! AWS Backup, which is told what its restore tests came to.

use async_trait::async_trait;
use aws_sdk_backup::{
    Client,
    operation::{
        describe_restore_job::{DescribeRestoreJobError, DescribeRestoreJobOutput},
        put_restore_validation_result::PutRestoreValidationResultError,
    },
    types::RestoreValidationStatus,
};
use jiff::Timestamp;
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

    async fn described(&self, restore_job: &str) -> Result<DescribeRestoreJobOutput> {
        let answer = self.0.describe_restore_job().restore_job_id(restore_job).send().await;
        answer.map_err(|error| {
            let doing = format!("ask AWS Backup for the restore job {restore_job}");
            match error.as_service_error() {
                Some(DescribeRestoreJobError::ResourceNotFoundException(_)) => no_such_job(doing, error),
                _ => failed(doing, error).with_hint("the role needs backup:DescribeRestoreJob"),
            }
        })
    }
}

fn no_such_job<E: std::error::Error + Send + Sync + 'static>(doing: String, error: E) -> Error {
    Error::new(ErrorKind::NotFound, failed(doing, error).to_string())
        .with_hint("AWS Backup knows no such job in this account and region")
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
            .validation_status(status.clone())
            .validation_status_message(message);
        let Err(error) = request.send().await else { return Ok(()) };
        let doing = format!("tell AWS Backup what the restore job {restore_job} came to");
        let service = error.as_service_error();
        if service.is_some_and(PutRestoreValidationResultError::is_resource_not_found_exception) {
            return Err(no_such_job(doing, error));
        }
        // So AWS Backup answers whoever repeats it, as the SDK does where an answer was lost.
        if service.is_some_and(PutRestoreValidationResultError::is_invalid_request_exception)
            && self.described(restore_job).await?.validation_status.as_ref() == Some(&status)
        {
            return Ok(());
        }
        Err(failed(doing, error)
            .with_hint("the role needs backup:PutRestoreValidationResult; the validation window may be over"))
    }

    async fn recovery_point_at(&self, restore_job: &str) -> Result<Option<Timestamp>> {
        let made = self.described(restore_job).await?.recovery_point_creation_date;
        Ok(made.and_then(|at| Timestamp::from_second(at.secs()).ok()))
    }
}
