//! `retention`: plans, applies, questions and takes back what is kept.

use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{Finding, Severity},
    report::words::{bytes, count},
    retention::{self, LintInput, Plan, Report},
};
use lifeboat_runtime::{Selected, runs};
use serde_json::json;

use super::list::age;
use crate::{
    answer::{Answer, err},
    app::App,
    arguments::{OneDatabase, Output, Retention, Undo},
    table::{Align, table},
    text::Append,
};

pub(crate) async fn run(app: &App, command: &Retention) -> Result<Answer> {
    match command {
        Retention::Plan(arguments) => plan(app, arguments).await,
        Retention::Apply(arguments) => apply(app, arguments).await,
        Retention::Lint(arguments) => lint(app, arguments),
        Retention::Undo(arguments) => undo(app, arguments).await,
    }
}

async fn plan(app: &App, arguments: &OneDatabase) -> Result<Answer> {
    let reports = planned(app, arguments).await?;
    let mut text: String = reports.iter().map(told).collect();
    text.push_str("This is a plan: nothing was changed. `lifeboat retention apply` does it.\n");
    Answer::new(&json!({ "databases": reports }), text)
}

/// The plan of every database asked for.
async fn planned(app: &App, arguments: &OneDatabase) -> Result<Vec<Report>> {
    let store = app.store().await?;
    let mut reports = Vec::new();
    for selected in app.readable(&*store, arguments.database.as_ref()).await? {
        reports.push(runs::retention_plan(&app.setup, &*store, &selected, &app.context).await?);
    }
    Ok(reports)
}

/// Executes the very plan that was shown.
async fn apply(app: &App, arguments: &OneDatabase) -> Result<Answer> {
    let store = app.store().await?;
    let control = app.setup.open_control().await?;
    let mut reports = planned(app, arguments).await?;
    let steps: usize = reports.iter().map(|r| steps(&r.plan)).sum();
    if steps > 0 {
        if app.output == Output::Text {
            app.clear_progress();
            err(&reports.iter().map(told).collect::<String>());
        }
        app.confirm(&format!("This will take {} of the steps planned for {}.", count(steps as u64), store.url()))
            .await?;
    }
    for report in &mut reports {
        runs::retention_apply(&app.setup, &*store, &*control, report, &app.context).await?;
    }
    let mut text = String::new();
    for report in &reports {
        for done in &report.done {
            text.add(format_args!("{}: {done}\n", report.plan.database));
        }
        text.add(format_args!(
            "{}: {} reclaimed, {} kept, {} expiring, {} unfinished uploads swept\n",
            report.plan.database,
            bytes(report.reclaimed_bytes),
            bytes(report.kept_bytes),
            bytes(report.expiring_bytes),
            count(report.swept_uploads)
        ));
    }
    Answer::new(&json!({ "databases": reports }), text)
}

fn steps(plan: &Plan) -> usize {
    plan.decisions.iter().map(|d| d.steps.len()).sum::<usize>() + plan.leftovers.iter().filter(|l| l.remove).count()
}

/// A plan with its figures, in words.
pub(crate) fn told(report: &Report) -> String {
    let plan = &report.plan;
    let mut text = format!("{}: {} good\n", plan.database, count(plan.good.into()));
    let backups = plan.decisions.iter().map(|d| {
        let mut next: Vec<String> = d.steps.iter().map(ToString::to_string).collect();
        if let Some(from) = d.removal_from.filter(|from| *from > plan.made_at) {
            next.push(format!("to be removed from {from:.0} on"));
        }
        vec![
            if d.keep { "keep" } else { "expire" }.to_owned(),
            d.backup_id.to_string(),
            age(plan.made_at, d.at),
            d.tier.name().to_owned(),
            if d.good { "yes" } else { "no" }.to_owned(),
            bytes(d.bytes),
            d.reason.to_string(),
            next.join("; "),
        ]
    });
    let leftovers = plan.leftovers.iter().map(|l| {
        let verdict = if l.remove { "remove" } else { "leave" };
        let dash = || "–".to_owned();
        vec![
            verdict.to_owned(),
            l.backup_id.to_string(),
            dash(),
            "leftover".to_owned(),
            dash(),
            bytes(l.bytes),
            l.reason.to_string(),
            String::new(),
        ]
    });
    if !plan.decisions.is_empty() || !plan.leftovers.is_empty() {
        text.push_str(&table(
            &[
                ("plan", Align::Left),
                ("backup", Align::Left),
                ("age", Align::Right),
                ("tier", Align::Left),
                ("good", Align::Left),
                ("size", Align::Right),
                ("reason", Align::Left),
                ("now", Align::Left),
            ],
            backups.chain(leftovers),
        ));
    }
    if let Some(sweep) = &plan.uploads {
        text.add(format_args!("uploads: {sweep}\n"));
    }
    for warning in &plan.warnings {
        text.add(format_args!("warning: {warning}\n"));
    }
    for row in &report.storage {
        text.add(format_args!(
            "stored: {} in {}: {} in {} objects, ${:.2} a month\n",
            row.tier,
            row.storage_class,
            bytes(row.bytes),
            count(row.objects),
            row.usd_per_month
        ));
    }
    text.add(format_args!(
        "cost: ${:.2} a month now, ${:.2} after this plan ({})\n\n",
        report.usd_per_month_now, report.usd_per_month_forecast, report.prices
    ));
    text
}

/// Needs no store.
fn lint(app: &App, arguments: &OneDatabase) -> Result<Answer> {
    let databases: Vec<Selected> = match app.named_or_by_url(arguments.database.as_ref())? {
        Some(selected) => vec![selected],
        None if app.setup.config.databases.is_empty() => vec![app.one(None)?],
        None => app.setup.all(None)?,
    };
    let (mut text, mut documents, mut wrong) = (String::new(), Vec::new(), false);
    for selected in &databases {
        let config = &selected.config;
        let input = LintInput { schedule_hours: schedule_hours(selected), lock_days: None };
        let findings = retention::lint(&config.retention.policy(), input);
        wrong |= findings.iter().any(|f| f.severity == Severity::Error);
        if findings.is_empty() {
            text.add(format_args!("{}: the retention makes sense\n", selected.slug));
        }
        for finding in &findings {
            text.add(format_args!("{}: {}\n", selected.slug, words(finding)));
        }
        documents.push(json!({ "database": selected.slug, "findings": findings }));
    }
    Ok(Answer::new(&json!({ "databases": documents }), text)?.with_exit(wrong.then_some(ErrorKind::Config)))
}

#[allow(clippy::cast_precision_loss, reason = "at most a year of seconds")]
fn schedule_hours(selected: &Selected) -> Option<f64> {
    selected.config.schedule.as_ref().map(|s| s.value.longest_pause_seconds() as f64 / 3600.0)
}

fn words(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    format!("{severity}: {}\n  remedy: {}", finding.message, finding.remedy)
}

async fn undo(app: &App, arguments: &Undo) -> Result<Answer> {
    if arguments.backup.which == lifeboat_core::catalog::Which::Latest {
        return Err(Error::new(ErrorKind::Usage, "the latest backup is never one that expires")
            .with_hint("name the backup by its id; `lifeboat list` shows which are expiring"));
    }
    let store = app.store().await?;
    let backup = app.find(&*store, &arguments.backup).await?;
    let attestation = retention::undo(&*store, &backup.state, &app.context).await?;
    let name = backup.state.qualified();
    Answer::new(&attestation, format!("{name} is not expiring any more; to keep it for good: lifeboat hold {name}\n"))
}
