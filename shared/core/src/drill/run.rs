//! Runs a drill in one go: select, thaw, provision, restore, compare, checks, negative control, tear down, report.

use std::sync::Arc;

use lifeboat_archive::encryption::Identities;

use super::{
    DrillRequest,
    evidence::{DrillOutcome, Drilled},
    rehearsal::Rehearsal,
    rehearse::rehearse,
    select::{Selection, choose},
    thaw,
};
use crate::{
    Error, ErrorKind, Result,
    catalog::{self, BackupState},
    ids::{BackupId, DrillId},
    ports::{RunContext, ScratchProvider, Store},
};

/// What a drill works with.
#[derive(Clone)]
pub struct DrillPorts {
    /// Where the backups lie and the report goes.
    pub store: Arc<dyn Store>,
    /// What opens them, where they are encrypted.
    pub identities: Arc<Identities>,
    /// Makes the scratch target.
    pub scratch: Arc<dyn ScratchProvider>,
}

/// Rehearses a restore. The scratch target is removed in every ending. An `Err` means that there was no drill to report
/// on: no backup, or the report could not be written, or the run was stopped.
pub async fn run(ports: &DrillPorts, request: &DrillRequest, context: &RunContext) -> Result<DrillOutcome> {
    let started_at = context.clock.now();
    let drill_id = DrillId::new(started_at, context.entropy.next());
    let mut found = Rehearsal::default();
    let selecting = async {
        let states = catalog::list(&*ports.store, Some(&request.database)).await?;
        let (chosen, passed_over) = choose_readable(&ports.store, request, &states, context).await?;
        let backup = catalog::open(&*ports.store, &request.database, &chosen).await?;
        Ok((states, backup, passed_over))
    };
    let (states, backup, passed_over) = found.phase("select", false, None, context, selecting).await?;
    Box::pin(rehearse(ports, request, &backup, &drill_id, &mut found, context)).await;
    found.deviations.extend(passed_over);
    if let Some(kind) = found.stopped {
        // A drill that was stopped proves nothing, neither good nor bad.
        let gone = if found.torn_down || !found.provisioned {
            "its scratch target is gone"
        } else {
            "its scratch target REMAINS"
        };
        return Err(Error::new(kind, format!("the drill was stopped; {gone}, and there is no report")));
    }
    let instance = found.scratch.as_ref().is_some_and(|s| s.class.is_some());
    let seconds = |name: &str| found.phases.iter().filter(|p| p.phase == name).filter_map(|p| p.started_at).min();
    let instance_seconds = instance.then(|| seconds("provision")).flatten().map(|at| since(context, at));
    let drilled = Drilled {
        store: &ports.store,
        identities: &ports.identities,
        request,
        backup: &backup,
        states: &states,
        drill_id,
        started_at,
        scratch: ports.scratch.describe(),
        instance_seconds,
    };
    Box::pin(drilled.close(found, context)).await
}

fn since(context: &RunContext, at: jiff::Timestamp) -> f64 {
    context.clock.now().duration_since(at).as_secs_f64().max(0.0)
}

/// The backup to drill, and what was passed over: unless there is time for a thaw, a frozen one can only be drilled by
/// name, and must not keep the others from being drilled.
pub(super) async fn choose_readable(
    store: &Arc<dyn Store>,
    request: &DrillRequest,
    states: &[BackupState],
    context: &RunContext,
) -> Result<(BackupId, Vec<String>)> {
    let random = context.entropy.next();
    let mut states = states.to_vec();
    let mut passed_over = Vec::new();
    loop {
        let chosen = match choose(&states, &request.database, &request.selection, random) {
            Ok(chosen) => chosen,
            Err(error) if passed_over.is_empty() => return Err(error),
            Err(error) => {
                return Err(error.with_hint("every backup is in an archive storage class: thaw one, then name it"));
            }
        };
        let id = chosen.backup_id.clone();
        if matches!(request.selection, Selection::Exactly(_)) || request.thaw_within.is_some() {
            return Ok((id, passed_over));
        }
        let (_, frozen) = context.cancel.race(thaw::classes(&**store, chosen)).await?;
        let Some(object) = context.cancel.race(thaw::unreadable(&**store, &frozen)).await? else {
            return Ok((id, passed_over));
        };
        let class = &object.storage_class;
        passed_over.push(format!("backup {id} was due but is in {class}: not drilled, because it is not thawed"));
        states.retain(|s| s.backup_id != id);
    }
}

/// The kind under which a stopped rehearsal ends; none where it was not the run that was stopped, but a wait that took too
/// long.
pub(super) fn stop_kind(error: &Error, context: &RunContext) -> Option<ErrorKind> {
    let stopped = matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Deadline);
    (stopped && context.cancel.check().is_err()).then(|| error.kind())
}
