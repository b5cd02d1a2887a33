//! `hold` and `release`: keeps a backup, whatever retention plans, until it is released.

use lifeboat_core::{Result, hold};
use serde_json::json;

use crate::{
    answer::Answer,
    app::App,
    arguments::{Hold, Release},
};

pub(crate) async fn hold(app: &App, arguments: &Hold) -> Result<Answer> {
    let store = app.store().await?;
    let backup = app.find(&*store, &arguments.backup).await?;
    // Whoever holds it once more without a word means what was said before.
    let reason = arguments.reason.as_deref().or(backup.state.held.as_deref()).unwrap_or("held by hand");
    let attestation = hold::hold(&*store, &backup.state, reason, &app.context).await?;
    let already = if attestation.is_some() { "" } else { " already" };
    let name = backup.state.qualified();
    let document = json!({ "backup": name, "held": reason, "attestation": attestation });
    Answer::new(&document, format!("{name} is held{already}: {reason}\n"))
}

pub(crate) async fn release(app: &App, arguments: &Release) -> Result<Answer> {
    let store = app.store().await?;
    let backup = app.find(&*store, &arguments.backup).await?;
    let attestation = hold::release(&*store, &backup.state, &app.context).await?;
    let name = backup.state.qualified();
    let words = if attestation.is_some() { "is released" } else { "was not held" };
    Answer::new(&json!({ "backup": name, "held": null, "attestation": attestation }), format!("{name} {words}\n"))
}
