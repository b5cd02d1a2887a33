//! What is done when the state machine's execution failed, ran out of time or was aborted: everything of it is removed, and
//! somebody is told, once, of what it had found by then.

use serde::{Deserialize, Serialize};

use super::{
    control::ControlPorts,
    records::{self, Records},
    state::{DrillState, Step},
    validation::Validation,
};
use crate::{
    ErrorKind, Result,
    drill::instance::EXECUTION_TAG,
    ids::{BackupId, DatabaseSlug, DrillId},
    ports::{Deletion, RunContext},
    report::Verdict,
};

/// An execution that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The database.
    pub database: DatabaseSlug,
    /// Its name.
    pub execution: String,
    /// `FAILED`, `TIMED_OUT`, `ABORTED`.
    pub status: String,
    /// Why, where Step Functions says.
    pub cause: Option<String>,
    /// AWS Backup's restore job, where it made the instance.
    pub restore_job: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The drill, where it was begun.
    pub drill_id: Option<DrillId>,
    /// Its backup.
    pub backup_id: Option<BackupId>,
    /// What was drilled instead of a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How it ended, where the steps that took place leave no doubt about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The phase in which it had found something, or failed; else the one that it was in.
    pub phase: Option<String>,
    /// Why it ended, in sentences.
    pub reasons: Vec<String>,
    /// Instances that are being removed.
    pub removed: Vec<String>,
    /// Instances that could not be removed, with the reason.
    pub remaining: Vec<String>,
    /// Whether the bus has heard of it before.
    pub told: bool,
    /// What AWS Backup is to be told, where it made the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

/// Removes what an execution made. What cannot be removed is named, and no error: whoever tells of it comes first.
pub async fn ended(ports: &ControlPorts, ended: &Ended, context: &RunContext) -> Result<Ending> {
    let (control, database) = (&*ports.control, &ended.database);
    let state: Option<DrillState> = records::read(control, &records::execution_key(database, &ended.execution)).await?;
    let mut judged = Judged::default();
    if let Some(state) = &state {
        let records = Records::of(control, state);
        records.close(context).await?;
        judged = judge(records).await?;
    }
    judged.reasons.push(why(ended, judged.place));
    let mut ending = Ending {
        drill_id: state.as_ref().map(|s| s.drill_id.clone()),
        backup_id: judged.compared_with.or_else(|| state.as_ref().map(|s| s.backup_id.clone())),
        origin: origin_of(state.as_ref(), ended),
        verdict: judged.verdict,
        phase: judged.phase.or(judged.place).map(str::to_owned),
        reasons: judged.reasons,
        removed: Vec::new(),
        remaining: Vec::new(),
        told: records::was_told(control, database, &ended.execution).await?,
        validation: None,
    };
    let job = ended.restore_job.as_deref();
    ending.validation = job.map(|job| Validation::of_ended(job, &ended.status, ending.verdict, &ending.reasons));
    let tagged = match ports.instances.tagged(EXECUTION_TAG, &ended.execution).await {
        Ok(tagged) => tagged,
        Err(error) => {
            ending.remaining.push(format!("those that RDS did not list ({error})"));
            Vec::new()
        }
    };
    for instance in tagged {
        match ports.instances.delete(&instance.id).await {
            Ok(Deletion::Begun | Deletion::Gone) => ending.removed.push(instance.id),
            Ok(Deletion::NotYet) => ending.remaining.push(format!("{} (it is {})", instance.id, instance.status)),
            Err(error) => ending.remaining.push(format!("{} ({error})", instance.id)),
        }
    }
    if !ending.remaining.is_empty() {
        let ttl = ports.config.times.ttl;
        let which = ending.remaining.join(", ");
        ending.reasons.push(format!("instances remain: {which}; health removes them {ttl} after they were made"));
    }
    Ok(ending)
}

/// What the records of a drill without a report say of it.
#[derive(Default)]
struct Judged {
    /// The phase that it was in.
    place: Option<&'static str>,
    /// The first phase that found something, or failed: whatever came after it, the drill had failed there.
    phase: Option<&'static str>,
    verdict: Option<Verdict>,
    reasons: Vec<String>,
    compared_with: Option<BackupId>,
}

/// Judges as the report would have: what was found before an execution ended is no less true for that.
async fn judge(records: Records<'_>) -> Result<Judged> {
    let there = records.there().await?;
    let found = records.done_parts(&there).await?;
    let failure = records.first_failure(&there).await?;
    let wrong = found.wrong();
    // A step that was stopped from outside says nothing about what it was at.
    let stopped = |cause: Option<ErrorKind>| matches!(cause, None | Some(ErrorKind::Interrupted | ErrorKind::Deadline));
    let failed = !wrong.is_empty() || failure.as_ref().is_some_and(|failure| !stopped(failure.cause));
    let first = wrong.first().map(|(phase, _)| *phase);
    // Nothing is done after a step that failed.
    let mut reasons: Vec<String> = wrong.into_iter().map(|(_, reason)| reason).collect();
    reasons.extend(failure.as_ref().map(|failure| format!("phase {} failed: {}", failure.step.phase(), failure.why)));
    reasons.extend(found.reasons);
    Ok(Judged {
        place: there.place().map(Step::phase),
        phase: first.or_else(|| failure.map(|failure| failure.step.phase())),
        verdict: failed.then_some(Verdict::Failed),
        reasons,
        compared_with: found.compared_with,
    })
}

/// What was drilled instead of a backup, be it that the drill was not even begun.
fn origin_of(state: Option<&DrillState>, ended: &Ended) -> Option<String> {
    let known = state.and_then(|state| state.origin.as_ref()).map(ToString::to_string);
    known.or_else(|| ended.restore_job.as_ref().map(|job| format!("restore job {job} of AWS Backup")))
}

fn why(ended: &Ended, phase: Option<&str>) -> String {
    let how = match ended.status.as_str() {
        "ABORTED" => "was aborted",
        "TIMED_OUT" => "ran out of time",
        _ => "failed",
    };
    let place = phase.map_or_else(String::new, |phase| format!(" in phase {phase}"));
    let cause = ended.cause.as_deref().filter(|cause| !cause.is_empty());
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    format!("the execution of the drill {how}{place}{cause}")
}
