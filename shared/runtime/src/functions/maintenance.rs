//! `maintenance`: VACUUM, ANALYZE and REINDEX of one database once per scheduled time, and what a person should do.

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind, Result, events::Body, lease::Occasion, maintenance::Operation, ports::RunContext,
    restore::TableName,
};

use super::selected;
use crate::{
    one_run::{Alive, OneRun},
    requests::{Answer, MaintenanceAnswer, MaintenanceRequest},
    runs::{self, MaintenanceOptions},
    setup::Setup,
    telling::tell,
};

/// `maintenance`: what is due, within its time. A statement that the server refuses fails the run, after all others.
pub async fn maintenance(
    setup: Arc<Setup>,
    request: MaintenanceRequest,
    context: RunContext,
) -> Result<Answer<MaintenanceAnswer>> {
    let work = Box::pin(async {
        let selected = selected(&setup, &request.database)?;
        let options = options(&request)?;
        let work = Box::pin(runs::maintenance_untold(&setup, &selected, &options, request.dry_run, &context));
        // A plan changes nothing and may be asked for at any time.
        let Some(at) = request.scheduled_at.filter(|_| !request.dry_run) else {
            return Ok(work.await?.map(Answer::Done));
        };
        let control = setup.open_control().await?;
        // A store in a folder makes its folder first: the control store may lie below it.
        setup.open_store().await?.probe(&context.run_id).await?;
        let database = &request.database;
        let (occasion, alive) = (Occasion::Scheduled(at), Alive::Claimed);
        let run = OneRun {
            control: &*control,
            operation: "maintenance",
            database,
            occasion,
            alive,
            longest: setup.longest(),
        };
        run.once(&context, work).await
    });
    tell(&setup, &context, &request.database, Body::MaintenanceFailed, work).await
}

fn options(request: &MaintenanceRequest) -> Result<MaintenanceOptions> {
    if request.operations.as_ref().is_some_and(|o| o.contains(&Operation::Full)) {
        return Err(Error::new(
            ErrorKind::Usage,
            "VACUUM FULL shuts the application out of a table: no event can ask for it",
        )
        .with_hint("lifeboat maintenance DATABASE --full --table schema.table does it, and asks first"));
    }
    Ok(MaintenanceOptions {
        operations: request.operations.clone(),
        tables: request.tables.iter().map(|name| name.parse()).collect::<Result<Vec<TableName>>>()?,
        measure_all: false,
        trigger: if request.scheduled_at.is_some() { "schedule" } else { "request" }.to_owned(),
    })
}
