//! What AWS Backup is told of an instance that its restore test made: once, and in every ending.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::records;
use crate::{
    Result,
    events::brief,
    ids::DatabaseSlug,
    ports::{RestoreTests, RunContext, Store, ValidationStatus},
    report::Verdict,
};

/// What AWS Backup is told with.
#[derive(Clone)]
pub struct ValidationPorts {
    /// Where it is noted that it was.
    pub control: Arc<dyn Store>,
    /// AWS Backup.
    pub tests: Arc<dyn RestoreTests>,
}

/// What AWS Backup is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// The restore job.
    pub restore_job: String,
    /// What it came to.
    pub status: ValidationStatus,
    /// Why, in a sentence.
    pub message: String,
}

/// What is known of a drill at its end, also of one that was not even begun.
#[derive(Debug, Clone, Copy)]
pub struct Reported<'a> {
    /// How it ended.
    pub verdict: Option<Verdict>,
    /// How, in a sentence.
    pub outcome: Option<&'a str>,
    /// The name of the error that ended it, if one did.
    pub error: Option<&'a str>,
}

impl Validation {
    /// Of a drill that was reported. An objective that was missed is no fault of what was restored.
    pub fn of(restore_job: &str, reported: Reported<'_>) -> Self {
        let status = match (reported.verdict, reported.error) {
            (Some(Verdict::Passed | Verdict::ObjectiveMissed), _) => ValidationStatus::Successful,
            (_, Some("deadline" | "States.Timeout")) => ValidationStatus::TimedOut,
            _ => ValidationStatus::Failed,
        };
        let message = brief(reported.outcome.unwrap_or("the drill ended without a report"));
        Self { restore_job: restore_job.to_owned(), status, message }
    }

    /// Of a drill whose execution did not come to its end.
    pub(super) fn of_ended(restore_job: &str, status: &str, reasons: &[String]) -> Self {
        let status = if status == "TIMED_OUT" { ValidationStatus::TimedOut } else { ValidationStatus::Failed };
        Self { restore_job: restore_job.to_owned(), status, message: brief(&reasons.join("; ")) }
    }
}

/// Tells AWS Backup, if it was not told by this execution before: what was to be told first holds. Gives what it was told.
pub async fn validation(
    ports: &ValidationPorts,
    database: &DatabaseSlug,
    execution: &str,
    wanted: Validation,
    context: &RunContext,
) -> Result<Validation> {
    let control = &*ports.control;
    let key = |what: &str| records::execution_note(database, execution, what);
    let first = !records::write(control, &key("validation"), &wanted, context).await?;
    let told = if first { records::read(control, &key("validation")).await?.unwrap_or(wanted) } else { wanted };
    if records::read::<Validation>(control, &key("validated")).await?.is_some() {
        return Ok(told);
    }
    let telling = ports.tests.validated(&told.restore_job, told.status, &told.message);
    context.cancel.race(telling).await?;
    records::write(control, &key("validated"), &told, context).await?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_backup_is_told_in_its_own_words() {
        let of = |verdict, error| Validation::of("job", Reported { verdict, outcome: Some("why"), error }).status;
        assert_eq!(of(Some(Verdict::Passed), None), ValidationStatus::Successful);
        assert_eq!(of(Some(Verdict::ObjectiveMissed), None), ValidationStatus::Successful);
        assert_eq!(of(Some(Verdict::Failed), None), ValidationStatus::Failed);
        assert_eq!(of(Some(Verdict::Failed), Some("database")), ValidationStatus::Failed);
        assert_eq!(of(Some(Verdict::Failed), Some("deadline")), ValidationStatus::TimedOut);
        assert_eq!(of(None, None), ValidationStatus::Failed);
        let why = ["was aborted".to_owned()];
        assert_eq!(Validation::of_ended("job", "TIMED_OUT", &why).status, ValidationStatus::TimedOut);
        assert_eq!(Validation::of_ended("job", "ABORTED", &why).status, ValidationStatus::Failed);
    }
}
