//! `maintenance`: cares for a database, or says what that would be.

mod told;

use lifeboat_core::{
    Result,
    maintenance::{MaintenanceReport, Operation},
    report::words::bytes,
};
use lifeboat_runtime::runs::{MaintenanceOptions, PreparedMaintenance, prepare_maintenance};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, err},
    app::App,
    arguments::{Maintenance, Output},
    text::Append,
};

pub(crate) async fn run(app: &App, arguments: &Maintenance) -> Result<Answer> {
    let selected = app.one(arguments.database.as_ref())?;
    let options = MaintenanceOptions {
        operations: arguments.operations(),
        tables: arguments.tables.clone(),
        measure_all: arguments.check_bloat,
        trigger: "command line".to_owned(),
    };
    let prepared = prepare_maintenance(&app.setup, &selected, &options, &app.context).await?;
    let shown = told::Shown { bloat: arguments.check_bloat, queries: arguments.check_queries };
    if arguments.dry_run {
        let report = prepared.report(&app.context);
        return Answer::new(&document(&report, None), told::report(&report, shown));
    }
    confirm(app, &prepared).await?;
    let outcome = prepared.execute(&app.setup, &app.context).await?;
    app.clear_progress();
    let mut text = told::report(&outcome.report, shown);
    if let Some(key) = &outcome.report_key {
        text.add(format_args!("report    {key} in the control store\n"));
    }
    let mut document = document(&outcome.report, outcome.report_key.as_deref());
    let mut remarks = String::new();
    if let Some(failure) = &outcome.failure {
        remarks = format!("error: {failure}\nhint: {}\n", failure.hint());
        document["error"] = lifeboat_runtime::error_document(failure)["error"].clone();
    }
    let kind = outcome.failure.as_ref().map(lifeboat_core::Error::kind);
    Ok(Answer::new(&document, text)?.with_remarks(remarks).with_exit(kind))
}

fn document(report: &MaintenanceReport, key: Option<&str>) -> Value {
    let mut document = serde_json::to_value(report).unwrap_or(Value::Null);
    document["report_key"] = json!(key);
    document["reclaimed_bytes"] = json!(report.reclaimed_bytes());
    document
}

/// VACUUM FULL shuts the application out: a person says yes to it, having seen what it blocks and needs.
async fn confirm(app: &App, prepared: &PreparedMaintenance) -> Result<()> {
    if !prepared.prepared.request.wants(Operation::Full) {
        return Ok(());
    }
    let report = prepared.report(&app.context);
    let full: Vec<_> = report.statements.iter().filter(|s| s.statement.starts_with("VACUUM (FULL)")).collect();
    if full.is_empty() {
        return Ok(());
    }
    if app.output == Output::Text {
        app.clear_progress();
        err(&told::statements(&report));
    }
    let names: Vec<String> = full.iter().map(|s| s.object.to_string()).collect();
    let needed = full.iter().map(|s| s.disk_bytes).max().unwrap_or(0);
    app.confirm(&format!(
        "This shuts everybody out of {} while it is written anew, and needs up to {} of free disk on the server.",
        names.join(", "),
        bytes(needed)
    ))
    .await
}
