//! One drill, to its report.

use std::path::PathBuf;

use lifeboat_core::{
    Result,
    drill::{self, DrillOutcome, DrillPorts, Origin, Selection},
    events::{Body, DrillEnded, Failure, MOST_NAMED, brief},
    ports::RunContext,
    report::Verdict,
};

use crate::{
    setup::{Selected, Setup},
    telling::{Told, tell},
};

/// What a drill may be told beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct DrillOptions {
    /// Which backup.
    pub select: Option<Selection>,
    /// Another origin than a backup.
    pub origin: Option<Origin>,
    /// Thaw the backup first, if need be, and wait for it.
    pub thaw: bool,
    /// `local`, `rds` or the URL of a server.
    pub scratch: Option<String>,
    /// Parallel sessions.
    pub jobs: Option<u32>,
    /// The files of keys that open the backup, instead of what is configured.
    pub identities: Vec<PathBuf>,
    /// `schedule`, `command line`, `request`.
    pub trigger: String,
    /// Who started it.
    pub operator: Option<String>,
}

/// Runs one drill to its end and tells the bus of it; a drill that fails is no error.
pub async fn drill(
    setup: &Setup,
    selected: &Selected,
    options: &DrillOptions,
    context: &RunContext,
) -> Result<DrillOutcome> {
    let work = Box::pin(drill_untold(setup, selected, options, context));
    let origin = options.origin.as_ref().map(ToString::to_string);
    tell(setup, context, &selected.slug, |failure| failed_with(failure, origin), work).await
}

/// The same, leaving it to the caller to tell of it.
pub(crate) async fn drill_untold(
    setup: &Setup,
    selected: &Selected,
    options: &DrillOptions,
    context: &RunContext,
) -> Result<Told<DrillOutcome>> {
    let config = &selected.config;
    let scratch = setup.scratch(selected, options.scratch.as_deref()).await?;
    let identities = setup.identities_of(config, &options.identities).await?;
    let ports = DrillPorts { store: setup.open_store().await?, identities, scratch };
    let request = request(selected, options);
    let outcome = drill::run(&ports, &request, context).await?;
    let events = vec![ended(&outcome, config.rto.as_ref().map(|s| s.value.0))];
    Ok(Told::new(outcome, events))
}

/// What a drill is asked for: the options, else what is configured.
pub(crate) fn request(selected: &Selected, options: &DrillOptions) -> drill::DrillRequest {
    let config = &selected.config;
    drill::DrillRequest {
        database: selected.slug.clone(),
        selection: options.select.clone().unwrap_or_else(|| config.drill.select.value.clone()),
        checks: config.drill.checks.value.clone(),
        rpo_seconds: config.rpo.as_ref().map(|s| seconds(s.value.0)),
        rto_seconds: config.rto.as_ref().map(|s| seconds(s.value.0)),
        jobs: options.jobs.unwrap_or(config.jobs.value),
        trigger: options.trigger.clone(),
        operator: options.operator.clone(),
        origin: options.origin.clone(),
        thaw_within: options.thaw.then_some(config.drill.thaw_within.value.0),
    }
}

#[allow(clippy::cast_precision_loss, reason = "objectives are far below 2^52 seconds")]
fn seconds(whole: u64) -> f64 {
    whole as f64
}

pub(crate) fn ended(outcome: &DrillOutcome, objective: Option<u64>) -> Body {
    let report = &outcome.report;
    let ended = DrillEnded {
        verdict: Some(report.verdict),
        phase: report.failed_in().map(str::to_owned),
        drill_id: Some(report.drill_id.clone()),
        backup_id: Some(report.backup.backup_id.clone()),
        origin: report.origin.as_ref().map(|origin| format!("{} {}", origin.kind, origin.id)),
        report: Some(format!("{}report.html", outcome.folder)),
        reasons: report.reasons.iter().take(MOST_NAMED).map(|reason| brief(reason)).collect(),
        rto_seconds: report.rto.actual_seconds.value,
        rto_objective_seconds: objective,
        failure: None,
    };
    if report.verdict == Verdict::Passed { Body::DrillPassed(ended) } else { Body::DrillFailed(ended) }
}

/// A drill that failed before there was anything to report on.
pub(crate) fn failed(failure: Failure) -> Body {
    failed_with(failure, None)
}

/// The same of a drill of something else than a backup, which says nothing about backups.
pub(crate) fn failed_with(failure: Failure, origin: Option<String>) -> Body {
    Body::DrillFailed(DrillEnded {
        drill_id: None,
        backup_id: failure.backup_id.clone(),
        origin,
        report: None,
        verdict: None,
        phase: None,
        reasons: vec![failure.message.clone()],
        rto_seconds: None,
        rto_objective_seconds: None,
        failure: Some(failure),
    })
}
