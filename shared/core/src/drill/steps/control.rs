//! The steps that work on RDS: provision, await, tear-down, gone.

use std::sync::Arc;

use super::{
    records::Records,
    state::{DrillState, Step},
};
use crate::{
    Error, ErrorKind, Result,
    config::RdsScratch,
    drill::{
        adopt,
        instance::{self, EXECUTION_TAG, Mark, Readiness},
        origin::{self, Origin},
        rehearsal::{Rehearsal, explained},
    },
    ports::{InstanceContent, Instances, RestoreTests, RunContext, Store},
};

/// What the steps on RDS work with.
#[derive(Clone)]
pub struct ControlPorts {
    /// Where the records of the drill lie.
    pub control: Arc<dyn Store>,
    /// Where the backups lie.
    pub store: Arc<dyn Store>,
    /// RDS.
    pub instances: Arc<dyn Instances>,
    /// AWS Backup.
    pub tests: Arc<dyn RestoreTests>,
    /// What an instance is to be like.
    pub config: RdsScratch,
    /// The deployment's name: its id begins with it, and its tag says it.
    pub prefix: String,
}

/// One of them. Delivered again, it finds what the first delivery did.
pub async fn control(
    step: Step,
    ports: &ControlPorts,
    mut state: DrillState,
    context: &RunContext,
) -> Result<DrillState> {
    let known = state.clone();
    let records = Records::of(&*ports.control, &known);
    if !step.controls() || step == Step::Validation {
        return Err(Error::new(ErrorKind::Usage, format!("step {step} is none of this function's")));
    }
    let removes = matches!(step, Step::TearDown | Step::Gone);
    if !removes {
        records.refuse_closed().await?;
    }
    records.begin(step, context).await?;
    let mut part = Rehearsal::default();
    let working = async {
        match step {
            Step::Provision => provision(ports, &mut state, records, &mut part, context).await,
            Step::Await => look(ports, &mut state, &mut part, context).await,
            Step::TearDown => tear_down(ports, &mut state, &mut part, context).await,
            _ => gone(ports, &mut state, &mut part, context).await,
        }
    };
    let result = context.cancel.race(working).await;
    match result {
        Ok(Progress::Done) => records.done(step, &part, context).await?,
        Ok(Progress::Waiting) => {}
        Err(error) => {
            let now = context.clock.now();
            let since = if removes { state.removing_since } else { state.provisioning_since };
            part.cause = Some(error.kind());
            part.failed(step.phase(), since, now, explained(&error));
            part.provisioned = true;
            if removes {
                part.tear_down_trouble = Some(error.to_string());
            }
            records.failed(step, &part, context).await;
            return Err(error);
        }
    }
    state.wait_seconds = ports.config.times.look_every.0;
    Ok(state)
}

enum Progress {
    Done,
    Waiting,
}

async fn provision(
    ports: &ControlPorts,
    state: &mut DrillState,
    records: Records<'_>,
    part: &mut Rehearsal,
    context: &RunContext,
) -> Result<Progress> {
    // A delivery before this one may have begun: the time to live counts from there.
    let begun = records.begun_at(Step::Provision).await?.unwrap_or_else(|| context.clock.now());
    state.provisioning_since = Some(begun);
    part.provisioned = true;
    if let Some(id) = adopted(state)? {
        part.origin = state.origin.as_ref().map(Origin::evidence);
        adopt::find(&*ports.instances, &id).await?;
        recovery_point(ports, state, part).await;
        choose_nearest(ports, state, part).await;
        state.instance_id = Some(id);
        state.available = false;
        return Ok(Progress::Done);
    }
    let made_of = match &state.origin {
        None => InstanceContent::Empty,
        Some(origin) => {
            let (made_of, evidence) = origin::content(origin, &ports.config, &*ports.instances).await?;
            part.origin = Some(evidence);
            choose_nearest(ports, state, part).await;
            made_of
        }
    };
    let mark = Mark { database: &state.database, drill: &state.drill_id, execution: &state.execution, begun };
    let wish = instance::wish(&ports.config, &ports.prefix, mark, state.needs, made_of)?;
    state.instance_id = Some(wish.id.clone());
    instance::provision(&*ports.instances, &wish).await?;
    // Whoever cleans up after an aborted execution may have looked just before the instance was there.
    if let Err(ended) = records.refuse_closed().await {
        instance::remove(&*ports.instances, &wish.id, &state.drill_id).await?;
        return Err(ended);
    }
    state.available = false;
    Ok(Progress::Done)
}

/// Finds out from when the data are that AWS Backup restored.
async fn recovery_point(ports: &ControlPorts, state: &DrillState, part: &mut Rehearsal) {
    let (Some(job), Some(evidence)) = (state.origin.as_ref().and_then(Origin::restore_job), &mut part.origin) else {
        return;
    };
    match ports.tests.recovery_point_at(job).await {
        Ok(taken_at) => evidence.taken_at = taken_at,
        Err(error) => part.deviations.push(format!("nobody knows from when the recovery point is: {error}")),
    }
}

/// From now on the backup is the one made nearest to what is drilled, where it is known from when that is. Where none can be
/// looked for, it stays the newest, and the report says so.
async fn choose_nearest(ports: &ControlPorts, state: &mut DrillState, part: &mut Rehearsal) {
    let Some(taken_at) = part.origin.as_ref().and_then(|origin| origin.taken_at) else { return };
    match origin::nearest(&*ports.store, &state.database, taken_at).await {
        Ok(Some(nearest)) => state.backup_id = nearest,
        Ok(None) => {}
        Err(error) => {
            part.deviations.push(format!("compared with the newest backup, perhaps not the nearest: {error}"));
        }
    }
    part.compared_with = Some(state.backup_id.clone());
}

/// The instance that AWS Backup made, if it did.
fn adopted(state: &DrillState) -> Result<Option<String>> {
    match &state.origin {
        Some(Origin::Adopt { instance, .. }) => Ok(Some(adopt::id_of(instance)?.to_owned())),
        _ => Ok(None),
    }
}

fn id_of(ports: &ControlPorts, state: &DrillState) -> String {
    // The step that would have noted it may have died.
    let derived = || instance::instance_id(&ports.prefix, &state.database, &state.drill_id);
    state.instance_id.clone().unwrap_or_else(derived)
}

async fn look(
    ports: &ControlPorts,
    state: &mut DrillState,
    part: &mut Rehearsal,
    context: &RunContext,
) -> Result<Progress> {
    let now = context.clock.now();
    let begun = *state.provisioning_since.get_or_insert(now);
    let within = ports.config.times.available_within;
    let id = id_of(ports, state);
    match instance::look(&*ports.instances, &id, state.adopted, begun, within, now).await? {
        Readiness::NotYet(status) => {
            tracing::info!(status, "the instance is not available yet");
            Ok(Progress::Waiting)
        }
        Readiness::Ready(instance, address) => {
            part.took(Step::Await.phase(), true, begun, now);
            part.scratch = Some(instance::facts(&instance));
            part.provisioned = true;
            part.deviations.extend(instance::unencrypted(&instance));
            state.address = Some(address);
            state.available = true;
            Ok(Progress::Done)
        }
    }
}

async fn tear_down(
    ports: &ControlPorts,
    state: &mut DrillState,
    part: &mut Rehearsal,
    context: &RunContext,
) -> Result<Progress> {
    let now = context.clock.now();
    state.removing_since.get_or_insert(now);
    state.gone = false;
    if state.adopted {
        // What it is does not matter here: it is not ours, and stays.
        let id = adopted(state).ok().flatten().unwrap_or_else(|| "that was named".to_owned());
        part.torn_down = true;
        part.tear_down_proof = Some(adopt::left(&id));
        state.gone = true;
        return Ok(Progress::Done);
    }
    let id = id_of(ports, state);
    let gone = instance::remove(&*ports.instances, &id, &state.drill_id).await?;
    // There should be no other.
    for other in ports.instances.tagged(EXECUTION_TAG, &state.execution).await? {
        if other.id != id {
            ports.instances.delete(&other.id).await?;
        }
    }
    Ok(if gone { is_gone(state, &id, part, context) } else { Progress::Waiting })
}

async fn gone(
    ports: &ControlPorts,
    state: &mut DrillState,
    part: &mut Rehearsal,
    context: &RunContext,
) -> Result<Progress> {
    let now = context.clock.now();
    let begun = *state.removing_since.get_or_insert(now);
    let id = id_of(ports, state);
    let gone =
        instance::gone(&*ports.instances, &id, &state.drill_id, begun, ports.config.times.gone_within, now).await?;
    Ok(if gone { is_gone(state, &id, part, context) } else { Progress::Waiting })
}

fn is_gone(state: &mut DrillState, id: &str, part: &mut Rehearsal, context: &RunContext) -> Progress {
    let now = context.clock.now();
    part.took(Step::Gone.phase(), false, state.removing_since.unwrap_or(now), now);
    part.provisioned = true;
    part.torn_down = true;
    part.tear_down_proof = Some(instance::proof(id));
    state.gone = true;
    Progress::Done
}
