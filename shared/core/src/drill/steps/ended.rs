//! What is done when the state machine's execution failed, ran out of time or was aborted: everything of it is removed, and
//! somebody is told, once.

use serde::{Deserialize, Serialize};

use super::{
    control::ControlPorts,
    records::{self, Records},
    state::{DrillState, Step},
    validation::Validation,
};
use crate::{
    Result,
    drill::instance::EXECUTION_TAG,
    ids::{BackupId, DatabaseSlug, DrillId},
    ports::{Deletion, RunContext},
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
    /// The phase that it was in.
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
    let (mut phase, mut reasons) = (None, Vec::new());
    let mut place = None;
    if let Some(state) = &state {
        let records = Records::of(control, state);
        records.close(context).await?;
        place = records.there().await?.place().map(Step::phase);
        phase = place;
        // Whatever came after it, the drill had failed there.
        if let Some((step, why)) = records.first_failure().await? {
            phase = Some(step.phase());
            reasons.push(format!("phase {} failed: {why}", step.phase()));
        }
    }
    reasons.push(why(ended, place));
    let mut ending = Ending {
        drill_id: state.as_ref().map(|s| s.drill_id.clone()),
        backup_id: state.as_ref().map(|s| s.backup_id.clone()),
        origin: origin_of(state.as_ref(), ended),
        phase: phase.map(str::to_owned),
        reasons,
        removed: Vec::new(),
        remaining: Vec::new(),
        told: records::was_told(control, database, &ended.execution).await?,
        validation: None,
    };
    let job = ended.restore_job.as_deref();
    ending.validation = job.map(|job| Validation::of_ended(job, &ended.status, &ending.reasons));
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
