//! The first step: chooses the backup, once per scheduled time and once per execution.

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    data::DataPorts,
    records::{self, Records},
    state::{DrillState, Step},
};
use crate::{
    ErrorKind, Result, catalog,
    drill::{DrillRequest, Origin, adopt, instance::Needs, rehearsal::Rehearsal, run::choose_readable, thaw},
    forecast::{self, Extent, Part},
    ids::{DatabaseSlug, DrillId},
    lease::{Occasion, answer_key, run_key},
    ports::{RunContext, Store},
    report::PhaseTiming,
    runner::{FUNCTION_HAS, Runner, RunsOn},
};

/// An execution's name is no longer.
const NAME_LIMIT: u64 = 4096;

/// What the first step is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The drill.
    pub request: DrillRequest,
    /// The time of the schedule, which makes it happen once.
    pub scheduled_at: Option<Timestamp>,
    /// The machine's execution.
    pub execution: String,
    /// What shall restore and compare.
    pub runner: Runner,
}

/// Chooses; the first state. `None` where another execution has the drill of this time.
pub async fn select(ports: &DataPorts, asked: &Asked, context: &RunContext) -> Result<Option<DrillState>> {
    let database = &asked.request.database;
    if let Some(job) = asked.request.origin.as_ref().and_then(Origin::restore_job) {
        adopt::check_job(job)?;
    }
    let key = records::execution_key(database, &asked.execution);
    if let Some(state) = records::read(&*ports.control, &key).await? {
        return Ok(Some(state));
    }
    if !claimed(ports, asked, context).await? {
        return Ok(None);
    }
    match chosen(ports, asked, &key, context).await {
        Ok(state) => Ok(Some(state)),
        Err(error) => {
            // So that the next delivery tries again.
            if let Some(claim) = claim(asked) {
                for key in [answer_key(&claim), claim] {
                    if let Err(again) = ports.control.delete(&key).await {
                        tracing::warn!(error = %again, key, "the claim on the failed drill was not given back");
                    }
                }
            }
            Err(error)
        }
    }
}

/// Where it is noted that an execution has the drill of this time, or of this restore job, of which EventBridge may tell twice.
fn claim(asked: &Asked) -> Option<String> {
    let database = &asked.request.database;
    match (asked.request.origin.as_ref().and_then(Origin::restore_job), asked.scheduled_at) {
        (Some(job), _) => Some(job_key(database, job)),
        (None, Some(at)) => Some(run_key("drill", database, &Occasion::Scheduled(at))),
        (None, None) => None,
    }
}

/// Whether this execution has the drill.
async fn claimed(ports: &DataPorts, asked: &Asked, context: &RunContext) -> Result<bool> {
    match claim(asked) {
        Some(key) => claimed_by(&*ports.control, &key, &asked.execution, context).await,
        None => Ok(true),
    }
}

/// Whether this execution has the restore job, or takes it now.
pub(super) async fn claimed_job(
    control: &dyn Store,
    database: &DatabaseSlug,
    restore_job: &str,
    execution: &str,
    context: &RunContext,
) -> Result<bool> {
    claimed_by(control, &job_key(database, restore_job), execution, context).await
}

fn job_key(database: &DatabaseSlug, restore_job: &str) -> String {
    run_key("drill", database, &Occasion::Request(restore_job.to_owned()))
}

async fn claimed_by(control: &dyn Store, key: &str, execution: &str, context: &RunContext) -> Result<bool> {
    let name = Bytes::from(execution.to_owned());
    let claimed = match control.put_new(key, name.clone(), &context.run_id).await {
        Ok(_) => true,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => control.read(key, NAME_LIMIT).await?.0 == name,
        Err(e) => return Err(e.context(format!("claim the drill by {key}"))),
    };
    if claimed {
        // From here on the machine answers for it: its end is told, whichever it is.
        let answer = serde_json::json!({ "execution": execution }).to_string();
        match control.put_new(&answer_key(key), answer.into(), &context.run_id).await {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e.context("record who drills")),
            _ => {}
        }
    }
    Ok(claimed)
}

async fn chosen(ports: &DataPorts, asked: &Asked, key: &str, context: &RunContext) -> Result<DrillState> {
    let request = &asked.request;
    let started_at = context.clock.now();
    let mut part = Rehearsal::default();
    let selecting = async {
        let states = catalog::list(&*ports.store, Some(&request.database)).await?;
        let (chosen, passed_over) = choose_readable(&ports.store, request, &states, context).await?;
        let backup = catalog::open(&*ports.store, &request.database, &chosen).await?;
        if request.origin.is_none() {
            // Said before an instance is made.
            ports.reader(&backup.manifest).must_open()?;
        }
        let (classes, frozen) = thaw::classes(&*ports.store, &backup.state).await?;
        // Of another origin, nothing of the backup is read but its manifest.
        let readable = request.origin.is_some() || thaw::unreadable(&*ports.store, &frozen).await?.is_none();
        let (drills, extent) =
            (forecast::measured(&*ports.store, &request.database).await?, Extent::from(&backup.manifest.totals));
        let predicted = [Part::Restore, Part::Compare].map(|part| forecast::predict(&drills, part, extent));
        let longest = predicted.into_iter().flatten().map(|prediction| prediction.seconds).reduce(f64::max);
        Ok((backup, passed_over, classes, readable, longest))
    };
    let (backup, passed_over, classes, thawed, longest) = part.phase("select", false, None, context, selecting).await?;
    part.deviations = passed_over;
    part.storage_class = Some(classes.join(", "));
    if thawed {
        part.phases.push(PhaseTiming::skipped("thaw", "every object of the backup can be read at once"));
    }
    let source = &backup.manifest.source;
    let state = DrillState {
        drill_id: DrillId::new(started_at, context.entropy.next()),
        database: request.database.clone(),
        backup_id: backup.manifest.backup_id.clone(),
        execution: asked.execution.clone(),
        already: false,
        thawed,
        available: false,
        gone: false,
        adopted: request.origin.as_ref().and_then(Origin::restore_job).is_some(),
        runner: RunsOn::of(asked.runner, longest, FUNCTION_HAS.as_secs_f64()),
        // It has not been asked for yet.
        wait_seconds: 1,
        verdict: None,
        outcome: None,
        found_wrong: false,
        started_at,
        trigger: request.trigger.clone(),
        selection: request.selection.to_string(),
        needs: Needs { major: source.server_version_num / 10_000, raw_bytes: backup.manifest.totals.raw_bytes },
        origin: request.origin.clone(),
        thawing_since: None,
        provisioning_since: None,
        removing_since: None,
        instance_id: None,
        address: None,
        error: None,
        failed_in: None,
        removal_error: None,
        removal_failed_in: None,
    };
    let records = Records::of(&*ports.control, &state);
    records.begin(Step::Select, context).await?;
    records.done(Step::Select, &part, context).await?;
    if records::write(&*ports.control, key, &state, context).await? {
        return Ok(state);
    }
    // Another delivery was faster: its drill is the one.
    Ok(records::read(&*ports.control, key).await?.unwrap_or(state))
}
