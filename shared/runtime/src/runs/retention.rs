//! One retention run: the plan, and what came of it.

use lifeboat_core::{
    ErrorKind, Result,
    events::{Body, Failure, RetentionApplied},
    ports::{RunContext, Store},
    retention::{self, Report, Step},
};

use crate::{
    setup::{Selected, Setup},
    telling::{Told, tell},
};

/// The plan of one database; changes nothing and tells nothing.
pub async fn retention_plan(
    setup: &Setup,
    store: &dyn Store,
    selected: &Selected,
    context: &RunContext,
) -> Result<Report> {
    let control = setup.open_control().await?;
    let policy = selected.config.retention.policy();
    context.cancel.race(retention::run(store, &*control, &selected.slug, &policy, true, context)).await
}

/// Executes the plan of a report, takes down in it what came of that, and tells the bus.
pub async fn retention_apply(
    setup: &Setup,
    store: &dyn Store,
    control: &dyn Store,
    report: &mut Report,
    context: &RunContext,
) -> Result<()> {
    let database = report.plan.database.clone();
    let work = async {
        let executed = retention::execute(store, control, &report.plan, context).await?;
        report.executed(executed);
        Ok(Told::new((), vec![applied(report)]))
    };
    tell(setup, context, &database, retention_failed, work).await
}

/// Plans and, unless it is a dry run, executes; leaves it to the caller to tell of it.
pub(crate) async fn retention_untold(
    setup: &Setup,
    selected: &Selected,
    dry_run: bool,
    context: &RunContext,
) -> Result<Told<Report>> {
    let (store, control) = (setup.open_store().await?, setup.open_control().await?);
    let policy = selected.config.retention.policy();
    let report = retention::run(&*store, &*control, &selected.slug, &policy, dry_run, context).await?;
    let events = if dry_run { Vec::new() } else { vec![applied(&report)] };
    Ok(Told::new(report, events))
}

fn applied(report: &Report) -> Body {
    let did = |wanted: fn(&Step) -> bool| {
        report.done.iter().filter(|done| done.skipped.is_none() && wanted(&done.step)).count() as u64
    };
    Body::RetentionApplied(RetentionApplied {
        kept: report.plan.decisions.iter().filter(|d| d.keep).count() as u64,
        expiring: did(|step| matches!(step, Step::Announce)),
        removed: did(|step| matches!(step, Step::Remove)),
        removed_bytes: report.reclaimed_bytes,
    })
}

/// What was refused changed nothing and asks for another configuration; all else may have ended half way.
pub(crate) fn retention_failed(failure: Failure) -> Body {
    let refused = [ErrorKind::Refused, ErrorKind::Config, ErrorKind::Usage];
    if refused.iter().any(|kind| kind.name() == failure.kind) {
        Body::RetentionRefused(failure)
    } else {
        Body::RetentionFailed(failure)
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_core::Error;

    use super::*;

    #[test]
    fn what_changed_nothing_was_refused_and_all_else_has_failed() {
        let told = |kind| retention_failed(Failure::of(&Error::new(kind, "retention"))).name();
        for kind in [ErrorKind::Config, ErrorKind::Refused, ErrorKind::Usage] {
            assert_eq!(told(kind), "RetentionRefused");
        }
        for kind in [ErrorKind::Store, ErrorKind::Deadline] {
            assert_eq!(told(kind), "RetentionFailed");
        }
    }
}
