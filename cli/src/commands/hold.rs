//! `hold` and `release`: keeps a backup, whatever retention plans, until it is released.

use lifeboat_core::{
    Result,
    attestation::Statement,
    catalog,
};

use crate::{
    answer::Answer,
    app::App,
    arguments::{Hold, Release},
};

pub(crate) async fn hold(app: &App, arguments: &Hold) -> Result<Answer> {
    let store = app.store().await?;
    let backup = app.find(&*store, &arguments.backup).await?;
    let statement = Statement::Hold { reason: arguments.reason.clone() };
    let attestation = catalog::attest(&*store, &backup.state, statement, &app.context).await?;
    Answer::new(&attestation, format!("{} is held: {}\n", backup.state.qualified(), arguments.reason))
}

pub(crate) async fn release(app: &App, arguments: &Release) -> Result<Answer> {
    let store = app.store().await?;
    let backup = app.find(&*store, &arguments.backup).await?;
    let attestation = catalog::attest(&*store, &backup.state, Statement::Release, &app.context).await?;
    Answer::new(&attestation, format!("{} is released\n", backup.state.qualified()))
}
