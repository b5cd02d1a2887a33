//! `preflight`: what would go wrong with a dump.

use lifeboat_core::{
    ErrorKind, Result,
    ports::{Preflight as Findings, Severity, Source},
    report::words::{bytes, count},
};
use serde_json::json;

use crate::{answer::Answer, app::App, arguments::Preflight, table::facts, text::Append};

pub(crate) async fn run(app: &App, arguments: &Preflight) -> Result<Answer> {
    let selected = app.one(arguments.database.as_ref())?;
    let cancel = &app.context.cancel;
    let connection = cancel.race(app.setup.connection(&selected)).await?;
    let server = format!("database '{}' on {}", connection.database(), connection.server_label());
    let source = cancel.race(app.setup.open_source(connection)).await?;
    let found = cancel.race(source.preflight()).await?;
    // The store is part of what can go wrong, if one is named.
    let store = match &app.setup.config.store {
        Some(_) => {
            let store = app.store().await?;
            cancel.race(store.probe(&app.context.run_id)).await?;
            Some(store.url().to_owned())
        }
        None => None,
    };
    let mut rows = vec![
        ("source", server),
        ("server", format!("PostgreSQL {}, client tools {}", found.server_version, found.client_version)),
        ("size", format!("{} in {} tables", bytes(found.database_bytes), count(found.tables))),
    ];
    let checked = "can be written, and refuses to overwrite";
    rows.push(("store", store.as_ref().map_or_else(|| "none named".to_owned(), |s| format!("{s}: {checked}"))));
    let text = format!("{}{}", facts(rows), findings(&found));
    let worst = found.findings.iter().find(|f| f.severity == Severity::Error);
    let kind = worst.map(|f| if f.code == "client_tools" { ErrorKind::ClientTool } else { ErrorKind::Database });
    Ok(Answer::new(&json!({ "database": selected.slug, "store": store, "preflight": found }), text)?.with_exit(kind))
}

/// Findings and what would be omitted, in words.
pub(crate) fn findings(found: &Findings) -> String {
    let mut text = String::new();
    for finding in &found.findings {
        let severity = match finding.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "ERROR",
        };
        text.add(format_args!("{severity}: {}\n  remedy: {}\n", finding.message, finding.remedy));
    }
    for omitted in found.omitted.iter().filter(|o| o.kind != "role passwords") {
        text.add(format_args!("would be omitted: {} {}: {}\n", omitted.kind, omitted.object, omitted.reason));
    }
    if !found.findings.iter().any(|f| f.severity == Severity::Error) {
        text.push_str("Nothing stands in the way of a dump.\n");
    }
    text
}
