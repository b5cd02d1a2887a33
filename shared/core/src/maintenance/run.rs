//! Executes the plan and nothing else: within its time, never in the application's way, leaving nothing half-built.

mod steps;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    Advice, Facts, LeftOutLine, MaintenanceReport, MaintenanceRequest, Outcome, Overview, Plan, REPORT_FORMAT_VERSION,
    StatementLine, Totals, plan, report, report_key,
};
use crate::{
    Error, ErrorKind, Result, ResultExt, lease,
    phases::Phases,
    ports::{Caretaker, RunContext, Store},
};
use steps::Steps;

/// What maintenance works with.
pub struct MaintenancePorts {
    /// The database.
    pub caretaker: Arc<dyn Caretaker>,
    /// Where reports are kept, and where it is seen whether a dump is under way; without it neither happens.
    pub control: Option<Arc<dyn Store>>,
}

/// A plan that can be shown, and executed or not.
pub struct Prepared {
    /// What was asked for.
    pub request: MaintenanceRequest,
    /// What the plan rests on.
    pub facts: Facts,
    /// The plan.
    pub plan: Plan,
    started_at: Timestamp,
    began: f64,
    phases: Phases,
}

/// How a run ended.
#[derive(Debug)]
pub struct MaintenanceOutcome {
    /// What was done.
    pub report: MaintenanceReport,
    /// The report's key in the control store, where it was kept.
    pub report_key: Option<String>,
    /// What went wrong, although everything else was done: a statement that the server refused, a report that could not
    /// be kept, or that the run was to stop.
    pub failure: Option<Error>,
}

/// Reads the facts and makes the plan; changes nothing.
pub async fn prepare(ports: &MaintenancePorts, request: MaintenanceRequest, context: &RunContext) -> Result<Prepared> {
    let (started_at, began) = (context.clock.now(), context.clock.monotonic_seconds());
    let mut phases = Phases::begin(context, "look", None);
    let reading = ports.caretaker.facts(&request.thresholds, request.measure_all);
    let facts = context.cancel.race(reading).await?;
    phases.end();
    let plan = plan(&facts, &request, started_at)?;
    Ok(Prepared { request, facts, plan, started_at, began, phases })
}

impl Prepared {
    /// The report of a dry run: what would be run.
    pub fn report(&self, ports: &MaintenancePorts, context: &RunContext) -> MaintenanceReport {
        let statements = self.lines(&*ports.caretaker);
        self.finish(&*ports.caretaker, context, statements, None, true)
    }

    /// The plan's statements, not run yet.
    fn lines(&self, caretaker: &dyn Caretaker) -> Vec<StatementLine> {
        let lines = self.plan.steps.iter().map(|step| StatementLine {
            statement: caretaker.statement(&step.action),
            object: step.action.object().clone(),
            reason: step.reason.clone(),
            blocks: step.blocks.clone(),
            disk_bytes: step.disk_bytes,
            outcome: Outcome::Planned,
            detail: None,
            attempts: 0,
            seconds: 0.0,
            before: None,
            after: None,
        });
        lines.collect()
    }

    fn finish(
        &self,
        caretaker: &dyn Caretaker,
        context: &RunContext,
        statements: Vec<StatementLine>,
        after: Option<&Facts>,
        dry_run: bool,
    ) -> MaintenanceReport {
        let facts = &self.facts;
        let worked_on: std::collections::BTreeSet<_> = statements.iter().map(|s| s.object.clone()).collect();
        let (tables, indexes) = report::lines(facts, after, |name| worked_on.contains(name));
        let left_out = self.plan.left_out.iter().map(|left| LeftOutLine {
            statement: caretaker.statement(&left.action),
            object: left.action.object().clone(),
            reason: left.reason.clone(),
            statements: left.remedy.as_ref().map(|r| caretaker.remedy(r)).unwrap_or_default(),
        });
        let recommendations = self.plan.recommendations.iter().map(|found| Advice {
            code: found.code.clone(),
            severity: found.severity,
            object: found.object.clone(),
            message: found.message.clone(),
            statements: caretaker.remedy(&found.remedy),
        });
        MaintenanceReport {
            format_version: REPORT_FORMAT_VERSION,
            run_id: context.run_id.clone(),
            database: self.request.database.clone(),
            started_at: self.started_at,
            seconds: context.clock.monotonic_seconds() - self.began,
            phases: self.phases.so_far(),
            trigger: self.request.trigger.clone(),
            dry_run,
            server_version_num: facts.server_version_num,
            operations: self.request.operations.clone(),
            tables_asked: self.request.tables.iter().map(ToString::to_string).collect(),
            thresholds: self.request.thresholds.clone(),
            limits: self.request.limits.clone(),
            ended_by: None,
            statements,
            left_out: left_out.collect(),
            recommendations: recommendations.collect(),
            overview: Overview {
                before: Totals::of(facts),
                after: after.map(Totals::of),
                cache_hit_percent: facts.cache_hit_percent,
                transaction_age: facts.transaction_age,
                statistics_since: facts.statistics_since,
                can_measure: facts.can_measure,
            },
            tables,
            indexes,
            sequences: facts.sequences.clone(),
            sessions: facts.sessions.clone(),
        }
    }
}

/// Executes a plan. An `Err` means that the server was lost, or that another maintenance run is at work; everything else
/// that went wrong is in the outcome, beside the report of what was done.
pub async fn execute(
    ports: &MaintenancePorts,
    mut prepared: Prepared,
    context: &RunContext,
) -> Result<MaintenanceOutcome> {
    let caretaker = &*ports.caretaker;
    let mut statements = prepared.lines(caretaker);
    let (mut after, mut failure, mut ended_by, mut left_behind) = (None, None, None, Vec::new());
    if !statements.is_empty() {
        let limits = &prepared.request.limits;
        prepared.phases.next("begin", None);
        let session = context.cancel.race(caretaker.begin(limits)).await?;
        let mut steps = Steps {
            session,
            caretaker,
            control: ports.control.as_deref(),
            request: &prepared.request,
            context,
            until: prepared.began + seconds(limits.time_budget_seconds),
            left_behind: Vec::new(),
            stopped: None,
        };
        for (step, line) in prepared.plan.steps.iter().zip(&mut statements) {
            prepared.phases.next(&step.action.doing(), None);
            steps.run(step, line).await?;
        }
        (ended_by, left_behind) = (steps.stopped.take(), std::mem::take(&mut steps.left_behind));
        drop(steps);
        prepared.phases.next("look again", None);
        after = match look_again(ports, &prepared.request, context).await {
            Ok(facts) => Some(facts),
            Err(error) => {
                tracing::warn!(%error, "what came of it could not be read");
                None
            }
        };
        prepared.phases.end();
    }
    let refused = statements.iter().filter(|line| line.outcome == Outcome::Failed);
    if let Some(first) = refused.clone().next() {
        let detail = first.detail.as_deref().unwrap_or_default();
        let message = format!(
            "{} of {} statements failed, first: {}: {detail}",
            refused.count(),
            statements.len(),
            first.statement
        );
        failure = Some(
            Error::new(ErrorKind::Database, message)
                .with_hint("everything else was done; the run's report says what each statement came to"),
        );
    }
    if let Err(stop) = context.cancel.check()
        && stop.kind() != ErrorKind::Deadline
    {
        failure = Some(stop);
    }
    let mut report = prepared.finish(caretaker, context, statements, after.as_ref(), false);
    report.ended_by = ended_by;
    report.recommendations.splice(0..0, left_behind);
    let key = match keep(ports, &report, context).await {
        Ok(key) => key,
        Err(error) => {
            failure = failure.or(Some(error.context("maintenance was done, but its report could not be kept")));
            None
        }
    };
    Ok(MaintenanceOutcome { report, report_key: key, failure })
}

/// The facts after the statements. Whoever pressed the switch does not wait for them long.
async fn look_again(ports: &MaintenancePorts, request: &MaintenanceRequest, context: &RunContext) -> Result<Facts> {
    let reading = ports.caretaker.facts(&request.thresholds, request.measure_all);
    if context.cancel.check().is_ok() {
        return context.cancel.race(reading).await;
    }
    let limit = std::time::Duration::from_secs(5);
    tokio::time::timeout(limit, reading).await.or_error(ErrorKind::Database, "read the facts after maintenance")?
}

async fn keep(ports: &MaintenancePorts, report: &MaintenanceReport, context: &RunContext) -> Result<Option<String>> {
    let Some(control) = &ports.control else { return Ok(None) };
    let key = report_key(&report.database, report.started_at, &report.run_id);
    let json = serde_json::to_vec_pretty(report).or_error(ErrorKind::Unexpected, "write the report")?;
    control.put_new(&key, Bytes::from(json), &context.run_id).await?;
    Ok(Some(key))
}

/// The dump that is under way, in words.
async fn dump_under_way(
    control: Option<&dyn Store>,
    request: &MaintenanceRequest,
    context: &RunContext,
) -> Option<String> {
    // Whoever cannot ask goes on: open transactions are seen in the database itself too.
    let lease = lease::holder(control?, &request.database, context.clock.now()).await.ok()??;
    (lease.operation == "dump").then(|| format!("the dump of run {} is under way", lease.run_id))
}

#[allow(clippy::cast_precision_loss, reason = "budgets are far below 2^52 seconds")]
fn seconds(whole: u64) -> f64 {
    whole as f64
}
