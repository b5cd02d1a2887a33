//! The runs that functions and command line share: open the ports, run the operation, shape the answer.

use std::sync::Arc;

use lifeboat_archive::codec::Codec;
use lifeboat_core::{
    Result, catalog,
    drill::{self, DrillOutcome, DrillPorts, Selection},
    dump::{self, DumpPorts},
    ports::RunContext,
    verify,
};
use lifeboat_postgres::ConnectionTarget;

use crate::{
    requests::{DumpAnswer, Verified},
    setup::{Selected, Setup},
};

/// What a dump may be told beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct DumpOptions {
    /// Parallel sessions.
    pub jobs: Option<u32>,
    /// Codec.
    pub compress: Option<Codec>,
    /// Leave out the verify that follows.
    pub no_verify: bool,
}

/// What a drill may be told beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct DrillOptions {
    /// Which backup.
    pub select: Option<Selection>,
    /// `local` or the URL of a server.
    pub scratch: Option<String>,
    /// Parallel sessions.
    pub jobs: Option<u32>,
    /// `schedule`, `command line`, `request`.
    pub trigger: String,
    /// Who started it.
    pub operator: Option<String>,
}

/// The core's request for a dump of a selected database.
pub fn dump_request(selected: &Selected, options: &DumpOptions) -> dump::DumpRequest {
    let config = &selected.config;
    dump::DumpRequest {
        jobs: options.jobs.unwrap_or(config.jobs.value),
        codec: options.compress.unwrap_or(config.compress.value),
        timezone: config.timezone.value.clone(),
        chunk_bytes: config.chunk_size.value.0,
        ..dump::DumpRequest::new(selected.slug.clone())
    }
}

/// Makes one backup and reads it back.
pub async fn dump(
    setup: &Setup,
    selected: &Selected,
    options: &DumpOptions,
    context: &RunContext,
) -> Result<DumpAnswer> {
    dump_of(setup, setup.connection(selected)?, selected, options, context).await
}

/// The same of a database whose connection is known already.
pub async fn dump_of(
    setup: &Setup,
    connection: ConnectionTarget,
    selected: &Selected,
    options: &DumpOptions,
    context: &RunContext,
) -> Result<DumpAnswer> {
    let store = setup.open_store().await?;
    let control = setup.open_control().await?;
    let source = context.cancel.race(setup.open_source(connection)).await?;
    let ports = DumpPorts { source: Arc::new(source), store: Arc::clone(&store), control };
    let request = dump_request(selected, options);
    let outcome = dump::run(&ports, &request, context).await?;
    drop(ports);
    let mut answer = DumpAnswer::new(&outcome, store.url());
    if !options.no_verify {
        let doing = format!("backup {}/{} was made, but not verified", answer.database, answer.backup_id);
        let backup =
            catalog::open(&*store, &answer.database, &answer.backup_id).await.map_err(|e| e.context(&doing))?;
        let verified = verify::run(&store, &backup, request.jobs, context).await.map_err(|e| e.context(&doing))?;
        answer.verified = Some(Verified::from(&verified.into_result()?));
    }
    Ok(answer)
}

/// Runs one drill to its end; a drill that fails is no error.
pub async fn drill(
    setup: &Setup,
    selected: &Selected,
    options: &DrillOptions,
    context: &RunContext,
) -> Result<DrillOutcome> {
    let config = &selected.config;
    let ports =
        DrillPorts { store: setup.open_store().await?, scratch: setup.scratch(selected, options.scratch.as_deref())? };
    let request = drill::DrillRequest {
        database: selected.slug.clone(),
        selection: options.select.clone().unwrap_or_else(|| config.drill.select.value.clone()),
        checks: config.drill.checks.value.clone(),
        rpo_seconds: config.rpo.as_ref().map(|s| seconds(s.value.0)),
        rto_seconds: config.rto.as_ref().map(|s| seconds(s.value.0)),
        jobs: options.jobs.unwrap_or(config.jobs.value),
        trigger: options.trigger.clone(),
        operator: options.operator.clone(),
    };
    drill::run(&ports, &request, context).await
}

#[allow(clippy::cast_precision_loss, reason = "objectives are far below 2^52 seconds")]
fn seconds(whole: u64) -> f64 {
    whole as f64
}
