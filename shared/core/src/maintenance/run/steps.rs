//! One statement after the other: tried a bounded number of times, then skipped with its reason, and cleaned up after.

use std::{collections::BTreeSet, time::Duration};

use super::{dump_under_way, seconds};
use crate::{
    ErrorKind, Result,
    cancel::Cancel,
    events::Severity,
    maintenance::{Action, Advice, MaintenanceRequest, Outcome, Remedy, StatementLine, Step},
    ports::{CareEnd, CareSession, Caretaker, InvalidIndex, RunContext, Store},
    report::words::duration,
};

/// Seconds that a statement must have left of the budget to be begun.
const LEAST_SECONDS: f64 = 1.0;

/// How long it may take, beyond the budget, to drop what a REINDEX left: a function has a minute to end.
const SWEEP_SECONDS: f64 = 20.0;

pub(super) struct Steps<'a> {
    pub(super) session: Box<dyn CareSession>,
    pub(super) caretaker: &'a dyn Caretaker,
    pub(super) control: Option<&'a dyn Store>,
    pub(super) request: &'a MaintenanceRequest,
    pub(super) context: &'a RunContext,
    /// When the budget ends, by the monotonic clock.
    pub(super) until: f64,
    /// What could not be cleaned up.
    pub(super) left_behind: Vec<Advice>,
    /// Why no further statement is begun.
    pub(super) stopped: Option<String>,
}

impl Steps<'_> {
    fn seconds_left(&self) -> f64 {
        self.until - self.context.clock.monotonic_seconds()
    }

    /// Why nothing more may be begun, if so.
    fn end(&mut self) -> Option<String> {
        if self.stopped.is_none() {
            self.stopped = match self.context.cancel.check() {
                Err(error) if error.kind() == ErrorKind::Deadline => Some("the deadline was reached".to_owned()),
                Err(error) => Some(error.to_string()),
                Ok(()) if self.seconds_left() < LEAST_SECONDS => {
                    let budget = seconds(self.request.limits.time_budget_seconds);
                    Some(format!("the time budget of {} ended", duration(budget)))
                }
                Ok(()) => None,
            };
        }
        self.stopped.clone()
    }

    /// Runs a step and writes into its line what came of it.
    pub(super) async fn run(&mut self, step: &Step, line: &mut StatementLine) -> Result<()> {
        let began = self.context.clock.monotonic_seconds();
        let ended = self.tried(step, line).await?;
        line.seconds = self.context.clock.monotonic_seconds() - began;
        (line.outcome, line.detail) = ended;
        if line.outcome != Outcome::Done {
            let detail = line.detail.as_deref().unwrap_or_default();
            self.context.progress.note(&format!("{} was not done: {detail}", step.action.doing()));
            tracing::info!(statement = line.statement, outcome = ?line.outcome, detail, "not done");
        }
        Ok(())
    }

    async fn tried(&mut self, step: &Step, line: &mut StatementLine) -> Result<(Outcome, Option<String>)> {
        let skipped = |why: String| Ok((Outcome::Skipped, Some(why)));
        let mut last = String::new();
        let limits = &self.request.limits;
        for attempt in 1..=limits.attempts.max(1) {
            if attempt > 1 {
                let pause = Duration::from_secs(limits.lock_timeout_seconds);
                // Whether the pause was cut short is seen below.
                drop(self.context.cancel.pause(pause).await);
            }
            if let Some(why) = self.end() {
                return skipped(if last.is_empty() { why } else { format!("{last}; then {why}") });
            }
            if step.action.waits_for_transactions() {
                if let Some(dump) = dump_under_way(self.control, self.request, self.context).await {
                    return skipped(format!("{dump}: its snapshot and its locks would keep this waiting to its end"));
                }
                if let Some(who) = self.session.in_the_way(&step.action, step.table_oid).await? {
                    return skipped(who);
                }
            }
            if line.before.is_none() {
                line.before = self.session.size(step.action.object()).await?;
            }
            line.attempts = attempt;
            let ended = self.executed(step).await?;
            line.after = self.size_after(step).await?;
            match ended {
                CareEnd::Done { warnings } => {
                    return Ok((Outcome::Done, (!warnings.is_empty()).then(|| warnings.join("; "))));
                }
                CareEnd::Locked(who) => last = format!("{who}; tried {}", times(attempt)),
                CareEnd::GaveWay(who) => last = format!("gave way to {who}; tried {}", times(attempt)),
                CareEnd::OutOfTime | CareEnd::Stopped => {
                    let why = self.end().unwrap_or_else(|| "its time was over".to_owned());
                    return skipped(format!("cancelled after its begin: {why}"));
                }
                CareEnd::Gone => return skipped("it is not there any more".to_owned()),
                CareEnd::Failed(why) => return Ok((Outcome::Failed, Some(why))),
            }
        }
        skipped(last)
    }

    /// Executes, and cleans up where it left something.
    async fn executed(&mut self, step: &Step) -> Result<CareEnd> {
        let Action::Reindex { index } = &step.action else { return self.execute(&step.action).await };
        let before: BTreeSet<u32> = self.session.invalid_indexes(step.table_oid).await?.iter().map(|i| i.oid).collect();
        let ended = self.execute(&step.action).await?;
        if !matches!(ended, CareEnd::Done { .. }) {
            for left in self.session.invalid_indexes(step.table_oid).await? {
                // Of the index itself, which was invalid before, nothing is dropped.
                if !before.contains(&left.oid) && left.name != *index {
                    self.sweep(&left).await?;
                }
            }
        }
        Ok(ended)
    }

    async fn execute(&mut self, action: &Action) -> Result<CareEnd> {
        let time = Duration::from_secs_f64(self.seconds_left().max(0.001));
        self.session.execute(action, time, &self.context.cancel).await
    }

    /// The size after; an index built anew keeps its name, not its OID.
    async fn size_after(&mut self, step: &Step) -> Result<Option<crate::maintenance::Size>> {
        match step.action {
            Action::DropLeftover { .. } => {
                let none = crate::maintenance::Size { bytes: 0, dead_tuples: 0 };
                Ok(Some(self.session.size(step.action.object()).await?.unwrap_or(none)))
            }
            _ => self.session.size(step.action.object()).await,
        }
    }

    /// Drops what a REINDEX CONCURRENTLY left, whoever has asked the run to stop.
    async fn sweep(&mut self, left: &InvalidIndex) -> Result<()> {
        let action = Action::DropLeftover { index: left.name.clone() };
        let give_up = self.context.clock.monotonic_seconds() + SWEEP_SECONDS;
        let never = Cancel::never();
        loop {
            let time = give_up - self.context.clock.monotonic_seconds();
            if time < LEAST_SECONDS {
                break;
            }
            match self.session.execute(&action, Duration::from_secs_f64(time), &never).await? {
                CareEnd::Done { .. } | CareEnd::Gone => return Ok(()),
                CareEnd::Locked(_) | CareEnd::GaveWay(_) => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                CareEnd::OutOfTime | CareEnd::Stopped | CareEnd::Failed(_) => break,
            }
        }
        self.left_behind.push(Advice {
            code: "invalid_index".to_owned(),
            severity: Severity::Warning,
            object: Some(left.name.to_string()),
            message: format!(
                "{} was left by a REINDEX CONCURRENTLY of this run and could not be dropped yet: other transactions are \
                 open. The next run with reindex drops it too",
                left.name
            ),
            statements: self.caretaker.remedy(&Remedy::Run { action }),
        });
        Ok(())
    }
}

fn times(attempts: u32) -> String {
    if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") }
}
