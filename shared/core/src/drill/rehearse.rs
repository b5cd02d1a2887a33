//! The rehearsal in one go: every phase timed, every error kept as evidence, the scratch target removed in every ending.

use std::{sync::Arc, time::Duration};

use super::{DrillPorts, DrillRequest, phases, rehearsal::Rehearsal, run::stop_kind, thaw};
use crate::{
    Error, ErrorKind, Result,
    cancel::Cancel,
    catalog::Backup,
    config::Span,
    ids::DrillId,
    manifest::Manifest,
    ports::{Listed, RunContext, Scratch, ScratchWish, Target},
    reading::BackupReader,
    report::PhaseTiming,
};

/// How often a thaw is looked after.
const LOOK_EVERY: Duration = Duration::from_mins(5);

/// Rehearses; never fails, because what fails is evidence.
pub(super) async fn rehearse(
    ports: &DrillPorts,
    request: &DrillRequest,
    backup: &Backup,
    drill: &DrillId,
    found: &mut Rehearsal,
    context: &RunContext,
) {
    let manifest = Arc::new(backup.manifest.clone());
    if let Err(error) = readable(ports, request, backup, found, context).await {
        found.stopped = stop_kind(&error, context);
        if !found.phases.iter().any(|p| p.phase == "thaw") {
            found.reasons.push(error.to_string());
        }
        found.cause = Some(error.kind());
        return;
    }
    let reader = BackupReader::new(&*ports.store, &manifest, &ports.identities);
    let provisioning = async {
        let globals = context.cancel.race(reader.whole(&manifest.globals)).await?;
        ports.scratch.provision(&ScratchWish::of_backup(drill, &manifest, &globals), context).await
    };
    // Who provisions looks at the switch, and takes away what is half made: it must not be cut off in doing so.
    let scratch = match found.phase("provision", true, None, &unstoppable(context), provisioning).await {
        Ok(scratch) => scratch,
        Err(error) => {
            found.stopped = stop_kind(&error, context);
            return;
        }
    };
    found.provisioned = true;
    found.scratch = Some(scratch.facts());
    found.roles_missing =
        scratch.messages().iter().filter(|m| m.classification.is_fatal()).map(|m| m.text.clone()).collect();
    let target = scratch.target();
    if let Err(error) = in_scratch(ports, request, &manifest, target, context, found).await {
        found.stopped = stop_kind(&error, context);
    }
    tear_down(scratch, context, found).await;
}

/// Sees that every object can be read: thaws those that are frozen, where there is time for it.
async fn readable(
    ports: &DrillPorts,
    request: &DrillRequest,
    backup: &Backup,
    found: &mut Rehearsal,
    context: &RunContext,
) -> Result<()> {
    let (classes, frozen) = context.cancel.race(thaw::classes(&*ports.store, &backup.state)).await?;
    found.storage_class = Some(classes.join(", "));
    if frozen.is_empty() {
        found.phases.push(PhaseTiming::skipped("thaw", "no object of the backup is in an archive storage class"));
        return Ok(());
    }
    let Some(object) = context.cancel.race(thaw::unreadable(&*ports.store, &frozen)).await? else {
        found
            .phases
            .push(PhaseTiming::skipped("thaw", "the backup's objects in archive storage classes were thawed before"));
        return Ok(());
    };
    let Some(within) = request.thaw_within else {
        let message =
            format!("objects of the backup are in {} and must be thawed before they can be read", object.storage_class);
        return Err(Error::new(ErrorKind::Store, message).with_hint("lifeboat drill --thaw asks for it and waits"));
    };
    let thawed = found.phase("thaw", false, None, context, thawing(ports, &frozen, within, context)).await?;
    found.thawed = Some(thawed);
    Ok(())
}

async fn thawing(
    ports: &DrillPorts,
    frozen: &[Listed],
    within: u64,
    context: &RunContext,
) -> Result<super::rehearsal::Thawed> {
    let began = context.clock.monotonic_seconds();
    loop {
        let (readable, thawed) = thaw::ask(&ports.store, frozen).await?;
        if readable {
            return Ok(thawed);
        }
        #[allow(clippy::cast_precision_loss, reason = "a limit is far below 2^52 seconds")]
        if context.clock.monotonic_seconds() - began >= within as f64 {
            return Err(thaw_too_long(within));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The backup was not thawed in time.
pub(super) fn thaw_too_long(within: u64) -> Error {
    let message = format!("the backup was not thawed within {}", Span(within));
    Error::new(ErrorKind::Deadline, message)
        .with_hint("it is thawing still: drill it by its id later, or raise drill.thaw_within")
}

/// A run that is not stopped from outside: what is done in it sees to its end itself.
pub(super) fn unstoppable(context: &RunContext) -> RunContext {
    RunContext { cancel: Cancel::never(), ..context.clone() }
}

/// Tear-down happens even when the run was stopped: it does not look at the switch.
async fn tear_down(scratch: Box<dyn Scratch>, context: &RunContext, found: &mut Rehearsal) {
    match found.phase("tear-down", false, None, &unstoppable(context), scratch.tear_down()).await {
        Ok(proof) => {
            found.torn_down = true;
            found.tear_down_proof = Some(proof);
        }
        Err(error) => found.tear_down_trouble = Some(error.to_string()),
    }
}

/// Everything in the scratch target; its last handle on the target is gone afterwards.
async fn in_scratch(
    ports: &DrillPorts,
    request: &DrillRequest,
    manifest: &Arc<Manifest>,
    target: Arc<dyn Target>,
    context: &RunContext,
    found: &mut Rehearsal,
) -> Result<()> {
    let ready = async { Ok(target) };
    let target =
        phases::restore(&ports.store, &ports.identities, manifest, ready, request.jobs, context, found).await?;
    phases::comparison(&ports.store, &ports.identities, manifest, &target, request.jobs, context, found).await?;
    phases::checks(&request.checks, &target, context, found).await?;
    phases::negative_control(&ports.store, &ports.identities, manifest, context, found).await
}
