//! The last step: adds up what the others found out, judges, writes the report.

use super::{
    data::DataPorts,
    records::Records,
    state::{DrillState, Step},
};
use crate::{
    ErrorKind, Result, catalog,
    drill::{
        DrillRequest, Origin,
        evidence::{DrillOutcome, Drilled},
        rehearsal::Rehearsal,
    },
    ports::RunContext,
};

/// The phases without which nothing is proven.
const NEEDED: [Step; 5] = [Step::Await, Step::Restore, Step::Compare, Step::Checks, Step::NegativeControl];

/// Writes the report of a drill, however it went.
pub async fn report(
    ports: &DataPorts,
    request: &DrillRequest,
    state: &DrillState,
    context: &RunContext,
) -> Result<DrillOutcome> {
    let records = Records::of(&*ports.control, state);
    records.begin(Step::Report, context).await?;
    let writing = async {
        let found = add_up(records, state, context).await?;
        let backup = catalog::open(&*ports.store, &state.database, &state.backup_id).await?;
        let states = catalog::list(&*ports.store, Some(&state.database)).await?;
        let seconds = state.provisioning_since.map(|since| {
            let ended = found.phases.iter().filter(|p| p.phase == Step::Gone.phase()).filter_map(|p| p.ended_at).max();
            ended.unwrap_or_else(|| context.clock.now()).duration_since(since).as_secs_f64().max(0.0)
        });
        let drilled = Drilled {
            store: &ports.store,
            identities: &ports.identities,
            request,
            backup: &backup,
            states: &states,
            drill_id: state.drill_id.clone(),
            started_at: state.started_at,
            scratch: "RDS instance".to_owned(),
            instance_seconds: seconds,
        };
        Box::pin(drilled.close(found, context)).await
    };
    let outcome = context.cancel.race(writing).await?;
    records.done(Step::Report, &Rehearsal::default(), context).await?;
    Ok(outcome)
}

/// Everything on record, in the order of the steps.
async fn add_up(records: Records<'_>, state: &DrillState, context: &RunContext) -> Result<Rehearsal> {
    let there = records.there().await?;
    let mut found = Rehearsal::default();
    for step in Step::ALL {
        let part = if there.done(step) {
            records.part(step).await?
        } else if there.failed(step) && state.caught_in(step).is_some() {
            // Without the machine's note, it was tried again: what became of that is what counts.
            records.failed_part(step).await?
        } else {
            None
        };
        found.absorb(part.unwrap_or_default());
        // It died without a word, or with its answer: killed, out of memory, past its time.
        if let Some(caught) = state.caught_in(step)
            && !there.failed(step)
        {
            let since = records.begun_at(step).await?;
            found.failed(step.phase(), since, context.clock.now(), caught.words());
            found.cause.get_or_insert(ErrorKind::Unexpected);
        }
    }
    found.provisioned |= there.begun(Step::Provision);
    // The step that says more of it may have failed; what was drilled is no backup all the same.
    found.origin = found.origin.or_else(|| state.origin.as_ref().map(Origin::evidence));
    let broke_off = state.failed_in.is_some() || state.removal_failed_in.is_some() || found.cause.is_some();
    let missing = NEEDED.into_iter().filter(|step| !broke_off && !found.did(step.phase()));
    let missing: Vec<String> = missing.map(|step| format!("phase {} did not take place", step.phase())).collect();
    found.reasons.extend(missing);
    Ok(found)
}
