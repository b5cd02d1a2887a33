//! Maintenance: opens the ports, prepares a plan, and executes it where it is wanted.

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind, Result,
    events::Body,
    maintenance::{self, MaintenanceOutcome, MaintenancePorts, MaintenanceRequest, Operation, Prepared},
    ports::RunContext,
    restore::TableName,
};
use lifeboat_postgres::PgCaretaker;

use crate::{
    requests::MaintenanceAnswer,
    setup::{Selected, Setup},
    telling::{Told, tell},
};

/// What maintenance may be told beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct MaintenanceOptions {
    /// What to do, instead of what is configured.
    pub operations: Option<Vec<Operation>>,
    /// Only these tables.
    pub tables: Vec<TableName>,
    /// Measure all larger objects, where the server can.
    pub measure_all: bool,
    /// `schedule`, `command line`, `request`.
    pub trigger: String,
}

/// A plan, and what it would be executed with.
pub struct PreparedMaintenance {
    ports: MaintenancePorts,
    /// The plan.
    pub prepared: Prepared,
}

/// Reads the database and makes the plan; changes nothing. A control store is used where one is configured: dumps that
/// are under way are seen in it, and reports kept.
pub async fn prepare_maintenance(
    setup: &Setup,
    selected: &Selected,
    options: &MaintenanceOptions,
    context: &RunContext,
) -> Result<PreparedMaintenance> {
    let config = &selected.config.maintenance;
    let request = MaintenanceRequest {
        database: selected.slug.clone(),
        operations: options.operations.clone().unwrap_or_else(|| config.operations.value.clone()),
        tables: options.tables.clone(),
        measure_all: options.measure_all,
        thresholds: config.thresholds(),
        limits: config.limits(),
        trigger: options.trigger.clone(),
    };
    let opening = async { PgCaretaker::new(setup.connection(selected).await?).await };
    let caretaker = context.cancel.race(Box::pin(opening)).await?;
    let kept = setup.config.store.is_some() || setup.config.control_store.is_some();
    let control = if kept { Some(setup.open_control().await?) } else { None };
    let ports = MaintenancePorts { caretaker: Arc::new(caretaker), control };
    let prepared = maintenance::prepare(&ports, request, context).await?;
    Ok(PreparedMaintenance { ports, prepared })
}

impl PreparedMaintenance {
    /// What would be done, as a report.
    pub fn report(&self, context: &RunContext) -> maintenance::MaintenanceReport {
        self.prepared.report(&self.ports, context)
    }

    /// Does it, and tells the bus. What failed beside the report of what was done is in the outcome.
    pub async fn execute(self, setup: &Setup, context: &RunContext) -> Result<MaintenanceOutcome> {
        let database = self.prepared.request.database.clone();
        let mut outcome = None;
        let work = async {
            let mut done = self.execute_untold(setup, context).await?;
            let failure = done.failure.take();
            let events = completed(&done);
            outcome = Some(done);
            failure.map_or(Ok(Told::new((), events)), Err)
        };
        let told = tell(setup, context, &database, Body::MaintenanceFailed, work).await;
        match (outcome, told) {
            (Some(done), told) => Ok(MaintenanceOutcome { failure: told.err(), ..done }),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(Error::new(ErrorKind::Unexpected, "maintenance came to nothing")),
        }
    }

    async fn execute_untold(self, setup: &Setup, context: &RunContext) -> Result<MaintenanceOutcome> {
        // A store in a folder makes its folder first: the control store may lie below it.
        if setup.config.store.is_some() {
            setup.open_store().await?.probe(&context.run_id).await?;
        }
        maintenance::execute(&self.ports, self.prepared, context).await
    }
}

/// Whoever only looked has done nothing of which others should hear.
fn completed(outcome: &MaintenanceOutcome) -> Vec<Body> {
    let report = &outcome.report;
    if report.operations.is_empty() { Vec::new() } else { vec![Body::MaintenanceCompleted(report.completed())] }
}

/// Plans and, unless it is a dry run, executes; leaves it to the caller to tell of it.
pub(crate) async fn maintenance_untold(
    setup: &Setup,
    selected: &Selected,
    options: &MaintenanceOptions,
    dry_run: bool,
    context: &RunContext,
) -> Result<Told<MaintenanceAnswer>> {
    let prepared = prepare_maintenance(setup, selected, options, context).await?;
    if dry_run {
        return Ok(Told::nothing(MaintenanceAnswer::new(&prepared.report(context), None)));
    }
    let outcome = prepared.execute_untold(setup, context).await?;
    if let Some(failure) = outcome.failure {
        return Err(failure);
    }
    let events = completed(&outcome);
    Ok(Told::new(MaintenanceAnswer::new(&outcome.report, outcome.report_key), events))
}
