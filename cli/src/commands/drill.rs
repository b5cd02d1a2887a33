//! `drill`: a timed rehearsal of a restore.

use std::path::{Path, PathBuf};

use lifeboat_core::{
    ErrorKind, Result,
    drill::DrillOutcome,
    report::{
        DrillReport, Objective, PhaseOutcome, Verdict,
        words::{count, duration},
    },
};
use lifeboat_runtime::{
    requests::DrillAnswer,
    runs::{self, DrillOptions},
};
use lifeboat_store::Location;

use crate::{answer::Answer, app::App, arguments::Drill, table::facts, text::Append};

pub(crate) async fn run(app: &App, arguments: &Drill) -> Result<Answer> {
    if arguments.keys {
        return Box::pin(super::keys::drill(app, arguments)).await;
    }
    let selected = app.one(arguments.database.as_ref())?;
    let options = DrillOptions {
        select: arguments.select.clone(),
        scratch: arguments.scratch.clone(),
        jobs: arguments.jobs,
        identities: arguments.identity.clone(),
        thaw: arguments.thaw,
        origin: None,
        trigger: "command line".to_owned(),
        operator: app.setup.environment().text("USER")?,
    };
    let outcome = runs::drill(&app.setup, &selected, &options, &app.context).await?;
    let store = app.setup.config.store.as_ref().map(|s| s.value.as_str()).unwrap_or_default();
    let text = format!("{}report    {}\n", verdict(&outcome.report), html_of(store, &outcome));
    Ok(Answer::new(&DrillAnswer::new(&outcome), text)?.with_exit(exit(&outcome)))
}

/// The kind of error whose exit code a drill has: that of what ended it early, or of its verdict.
pub(crate) fn exit(outcome: &DrillOutcome) -> Option<ErrorKind> {
    match outcome.report.verdict {
        Verdict::Passed => None,
        Verdict::Failed => Some(outcome.cause.unwrap_or(ErrorKind::Corrupt)),
        Verdict::ObjectiveMissed => Some(ErrorKind::ObjectiveMissed),
    }
}

/// Where a person finds the HTML report: a path where the store is a folder.
fn html_of(store: &str, outcome: &DrillOutcome) -> String {
    let key = format!("{}report.html", outcome.folder);
    match report_folder(store, outcome) {
        Some(folder) => folder.join("report.html").display().to_string(),
        None => format!("{}/{key}", store.trim_end_matches('/')),
    }
}

/// The report's folder on disk, where the store is a folder.
pub(crate) fn report_folder(store: &str, outcome: &DrillOutcome) -> Option<PathBuf> {
    match store.parse() {
        Ok(Location::File { root }) => Some(root.join(Path::new(&outcome.folder))),
        _ => None,
    }
}

/// The verdict, and what it rests on, in one block.
pub(crate) fn verdict(report: &DrillReport) -> String {
    let coverage = &report.data.coverage;
    let controls = &report.proof.negative_controls;
    let checks = &report.proof.checks;
    let phases: Vec<String> = report
        .phases
        .iter()
        .filter(|p| p.outcome != PhaseOutcome::Skipped)
        .map(|p| format!("{} {}", p.phase, duration(p.seconds)))
        .collect();
    let mut rows = vec![
        ("drill", format!("{}/{}", report.database, report.drill_id)),
        ("verdict", report.verdict.words().to_uppercase()),
        (
            "backup",
            format!(
                "{} ({}, selected by {})",
                report.backup.backup_id,
                report.backup.tier.name(),
                report.identity.selection
            ),
        ),
        ("target", report.environment.target.clone()),
        (
            "tables",
            format!(
                "{} of {} compared, {} equal",
                count(coverage.tables_compared),
                count(coverage.tables_expected),
                count(coverage.tables_equal)
            ),
        ),
        ("rows", format!("{} of {} compared", count(coverage.rows_compared), count(coverage.rows_expected))),
        (
            "controls",
            format!("{} of {} damaged copies rejected", controls.iter().filter(|c| c.rejected).count(), controls.len()),
        ),
        ("RTO", objective(&report.rto)),
        ("RPO", objective(&report.rpo)),
        ("phases", phases.join(", ")),
        ("torn down", torn_down(report)),
    ];
    if !checks.is_empty() {
        let passed = checks.iter().filter(|c| c.passed).count();
        rows.insert(7, ("checks", format!("{passed} of {} passed", checks.len())));
    }
    let mut text = facts(rows);
    for reason in &report.reasons {
        text.add(format_args!("reason: {reason}\n"));
    }
    text
}

fn objective(objective: &Objective) -> String {
    let actual = objective
        .actual_seconds
        .value
        .map_or_else(|| objective.actual_seconds.reason.clone().unwrap_or_default(), duration);
    match (objective.objective_seconds.value, objective.met) {
        (Some(wanted), Some(true)) => format!("{actual}, within the {} wanted", duration(wanted)),
        (Some(wanted), _) => format!("{actual}, MISSED the {} wanted", duration(wanted)),
        _ => format!("{actual}, no objective set"),
    }
}

fn torn_down(report: &DrillReport) -> String {
    let proof = &report.closure.tear_down_proof;
    let reason = || proof.reason.as_deref().unwrap_or("no proof");
    match &proof.value {
        Some(proof) => proof.clone(),
        None if report.closure.torn_down => reason().to_owned(),
        None => format!("NO: {}", reason()),
    }
}
