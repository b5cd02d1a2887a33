//! What AWS Backup is told of an instance that its restore test made: once, and in every ending.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    records::{self, Records},
    select,
    state::{DrillState, Step},
};
use crate::{
    Result,
    drill::{adopt, rehearsal::Rehearsal},
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
    /// Whether it had found something against what was restored.
    pub found_wrong: bool,
}

impl Validation {
    /// Of a drill that was reported. An objective that was missed is no fault of what was restored; and time that ran out
    /// does not undo what was found before.
    pub fn of(restore_job: &str, reported: Reported<'_>) -> Self {
        let status = match (reported.verdict, reported.error) {
            (Some(Verdict::Passed | Verdict::ObjectiveMissed), _) => ValidationStatus::Successful,
            (_, Some("deadline" | "States.Timeout")) if !reported.found_wrong => ValidationStatus::TimedOut,
            _ => ValidationStatus::Failed,
        };
        let message = brief(reported.outcome.unwrap_or("the drill ended without a report"));
        Self { restore_job: restore_job.to_owned(), status, message }
    }

    /// Of a drill whose execution did not come to its end.
    pub(super) fn of_ended(restore_job: &str, status: &str, verdict: Option<Verdict>, reasons: &[String]) -> Self {
        let in_doubt = verdict.is_none();
        let status =
            if status == "TIMED_OUT" && in_doubt { ValidationStatus::TimedOut } else { ValidationStatus::Failed };
        Self { restore_job: restore_job.to_owned(), status, message: brief(&reasons.join("; ")) }
    }
}

/// The last step of a drill: tells AWS Backup, see [`tell`].
pub async fn validation(
    ports: &ValidationPorts,
    database: &DatabaseSlug,
    execution: &str,
    wanted: Validation,
    context: &RunContext,
) -> Result<Option<Validation>> {
    let control = &*ports.control;
    // There is none of a drill that was not begun.
    let state: Option<DrillState> = records::read(control, &records::execution_key(database, execution)).await?;
    let records = state.as_ref().map(|state| Records::of(control, state));
    if let Some(records) = records {
        records.begin(Step::Validation, context).await?;
    }
    let told = tell(ports, database, execution, wanted, context).await?;
    if let Some(records) = records {
        records.done(Step::Validation, &Rehearsal::default(), context).await?;
    }
    Ok(told)
}

/// Tells AWS Backup, if it was not told of this restore job before: what was to be told first holds. Gives what it was told,
/// and `None` where another execution has the job, of which EventBridge may tell twice: it is that one's to tell.
pub async fn tell(
    ports: &ValidationPorts,
    database: &DatabaseSlug,
    execution: &str,
    wanted: Validation,
    context: &RunContext,
) -> Result<Option<Validation>> {
    let control = &*ports.control;
    let job = wanted.restore_job.clone();
    adopt::check_job(&job)?;
    // Claimed by the telling too: AWS Backup takes one word, and removes the instance then. There is nothing left to drill.
    if !select::claimed_job(control, database, &job, execution, context).await? {
        return Ok(None);
    }
    let key = |what: &str| records::restore_job_note(database, &job, what);
    let first = !records::write(control, &key("validation"), &wanted, context).await?;
    let told = if first { records::read(control, &key("validation")).await?.unwrap_or(wanted) } else { wanted };
    if records::read::<Validation>(control, &key("validated")).await?.is_some() {
        return Ok(Some(told));
    }
    let telling = ports.tests.validated(&told.restore_job, told.status, &told.message);
    context.cancel.race(telling).await?;
    records::write(control, &key("validated"), &told, context).await?;
    Ok(Some(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_backup_is_told_in_its_own_words() {
        let told = |verdict, error, found_wrong| {
            let reported = Reported { verdict, outcome: Some("why"), error, found_wrong };
            Validation::of("job", reported).status
        };
        assert_eq!(told(Some(Verdict::Passed), None, false), ValidationStatus::Successful);
        assert_eq!(told(Some(Verdict::ObjectiveMissed), None, false), ValidationStatus::Successful);
        assert_eq!(told(Some(Verdict::Failed), None, true), ValidationStatus::Failed);
        assert_eq!(told(Some(Verdict::Failed), Some("database"), false), ValidationStatus::Failed);
        assert_eq!(told(None, None, false), ValidationStatus::Failed);
        for error in ["deadline", "States.Timeout"] {
            assert_eq!(told(Some(Verdict::Failed), Some(error), false), ValidationStatus::TimedOut);
            assert_eq!(
                told(Some(Verdict::Failed), Some(error), true),
                ValidationStatus::Failed,
                "known before {error}"
            );
        }
        let ended = |status, verdict| Validation::of_ended("job", status, verdict, &["why".to_owned()]).status;
        assert_eq!(ended("TIMED_OUT", None), ValidationStatus::TimedOut);
        assert_eq!(ended("TIMED_OUT", Some(Verdict::Failed)), ValidationStatus::Failed);
        assert_eq!(ended("ABORTED", None), ValidationStatus::Failed);
    }
}
