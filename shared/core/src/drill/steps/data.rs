//! The steps that read the store and work in the scratch instance: thaw, restore, compare, checks, negative control.

use std::sync::Arc;

use lifeboat_archive::encryption::Identities;

use super::{
    records::Records,
    state::{DrillState, Step},
};
use crate::{
    Error, ErrorKind, Result, catalog,
    config::Span,
    drill::{
        DrillRequest,
        instance::expiry,
        origin, phases,
        rehearsal::{Rehearsal, explained},
        rehearse::thaw_too_long,
        rented::DATABASE,
        thaw,
    },
    manifest::Manifest,
    ports::{InstanceAddress, InstanceDatabases, RunContext, Store, Target},
    reading::BackupReader,
    report::PhaseOutcome,
};

/// How often a thaw is looked after: it takes hours.
const THAW_LOOK_SECONDS: u64 = 900;

/// What the steps in the scratch network work with.
#[derive(Clone)]
pub struct DataPorts {
    /// Where the backups lie and the report goes.
    pub store: Arc<dyn Store>,
    /// What opens the backups, where they are encrypted.
    pub identities: Arc<Identities>,
    /// Where the records of the drill lie.
    pub control: Arc<dyn Store>,
    /// The databases of an instance.
    pub databases: Arc<dyn InstanceDatabases>,
}

impl DataPorts {
    pub(super) fn reader<'a>(&'a self, manifest: &'a Manifest) -> BackupReader<'a> {
        BackupReader::new(&*self.store, manifest, &self.identities)
    }
}

/// One of them. Delivered again, it does nothing if it was done, and begins anew if not.
pub async fn data(
    step: Step,
    ports: &DataPorts,
    request: &DrillRequest,
    mut state: DrillState,
    context: &RunContext,
) -> Result<DrillState> {
    if step == Step::Thaw {
        thaw_step(ports, request, &mut state, context).await?;
        return Ok(state);
    }
    let records = Records::of(&*ports.control, &state);
    records.refuse_closed().await?;
    if !records.begin(step, context).await? {
        return Ok(state);
    }
    let mut part = Rehearsal::default();
    let began = context.clock.now();
    let result = Box::pin(in_instance(step, ports, request, &state, &mut part, context)).await;
    if let Err(error) = &result
        && part.phases.iter().all(|phase| phase.outcome != PhaseOutcome::Failed)
    {
        // It did not come as far as its phase: the instance is out of reach, or the manifest.
        part.cause.get_or_insert(error.kind());
        part.failed(step.phase(), Some(began), context.clock.now(), explained(error));
    }
    records.end(step, &part, result, context).await?;
    Ok(state)
}

async fn in_instance(
    step: Step,
    ports: &DataPorts,
    request: &DrillRequest,
    state: &DrillState,
    part: &mut Rehearsal,
    context: &RunContext,
) -> Result<()> {
    let opening = catalog::open(&*ports.store, &state.database, &state.backup_id);
    let manifest = Arc::new(context.cancel.race(opening).await?.manifest);
    let address = state.address.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("step {step}: the state names no instance that is available"))
    })?;
    let database = if state.origin.is_some() { manifest.source.database_name.as_str() } else { DATABASE };
    let open = || async { context.cancel.race(ports.databases.open(address, database)).await };
    match (step, &state.origin) {
        (Step::Restore, Some(_)) => origin::arrive(&open().await?, context, part).await,
        (Step::Compare, Some(_)) => origin::comparison(&manifest, &open().await?, context, part).await,
        (Step::NegativeControl, Some(_)) => origin::negative_control(&manifest, context, part).await,
        (Step::Restore, None) => restore(ports, request, address, &manifest, part, context).await,
        (Step::Compare, None) => {
            let target = open().await?;
            phases::comparison(&ports.store, &ports.identities, &manifest, &target, request.jobs, context, part).await
        }
        (Step::Checks, _) => {
            let target = open().await?;
            phases::checks(&request.checks, &target, context, part).await
        }
        (Step::NegativeControl, None) => {
            phases::negative_control(&ports.store, &ports.identities, &manifest, context, part).await
        }
        (other, _) => Err(Error::new(ErrorKind::Usage, format!("step {other} is none of this function's"))),
    }
}

/// Makes the database anew, and restores into it.
async fn restore(
    ports: &DataPorts,
    request: &DrillRequest,
    address: &InstanceAddress,
    manifest: &Arc<Manifest>,
    part: &mut Rehearsal,
    context: &RunContext,
) -> Result<()> {
    let mut roles_missing = Vec::new();
    let making = async {
        let globals = ports.reader(manifest).whole(&manifest.globals).await?;
        let messages = ports.databases.prepare(address, DATABASE, &manifest.source, &globals, context).await?;
        roles_missing.extend(messages.into_iter().filter(|m| m.classification.is_fatal()).map(|m| m.text));
        let target: Arc<dyn Target> = ports.databases.open(address, DATABASE).await?;
        Ok(target)
    };
    let restored =
        phases::restore(&ports.store, &ports.identities, manifest, making, request.jobs, context, part).await;
    part.roles_missing = roles_missing;
    restored.map(drop)
}

/// Asks for what is frozen, and says whether it can be read by now.
async fn thaw_step(
    ports: &DataPorts,
    request: &DrillRequest,
    state: &mut DrillState,
    context: &RunContext,
) -> Result<()> {
    let known = state.clone();
    let records = Records::of(&*ports.control, &known);
    records.refuse_closed().await?;
    if !records.begin(Step::Thaw, context).await? {
        state.thawed = true;
        return Ok(());
    }
    let now = context.clock.now();
    let since = *state.thawing_since.get_or_insert(now);
    let mut part = Rehearsal::default();
    let asking = async {
        let backup = catalog::open(&*ports.store, &known.database, &known.backup_id).await?;
        let (_, frozen) = thaw::classes(&*ports.store, &backup.state).await?;
        thaw::ask(&ports.store, &frozen).await
    };
    let result = match context.cancel.race(asking).await {
        Ok((true, thawed)) => {
            part.took(Step::Thaw.phase(), false, since, now);
            part.thawed = Some(thawed);
            state.thawed = true;
            return records.done(Step::Thaw, &part, context).await;
        }
        Ok((false, _)) => match request.thaw_within {
            Some(within) if expiry(since, Span(within)) <= now => Err(thaw_too_long(within)),
            _ => Ok(()),
        },
        Err(error) => Err(error),
    };
    state.wait_seconds = THAW_LOOK_SECONDS;
    if let Err(error) = &result {
        part.cause = Some(error.kind());
        part.failed(Step::Thaw.phase(), Some(since), now, explained(error));
        records.failed(Step::Thaw, &part, context).await;
    }
    result
}
