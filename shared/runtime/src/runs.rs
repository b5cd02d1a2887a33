//! The runs that functions and command line share: open the ports, run the operation, shape the answer.

use std::sync::Arc;

use lifeboat_archive::codec::Codec;
use lifeboat_core::{
    Error, ErrorKind, Result, catalog,
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

/// A backup that exists, and what kept it from being verified, if anything did.
#[derive(Debug)]
pub struct Dumped {
    /// The backup.
    pub answer: DumpAnswer,
    /// Why it is not verified although it should be.
    pub unverified: Option<Error>,
}

impl Dumped {
    /// The answer, or the verify's error.
    pub fn into_result(self) -> Result<DumpAnswer> {
        self.unverified.map_or(Ok(self.answer), Err)
    }
}

/// Makes one backup and reads it back. An `Err` means that there is no backup.
pub async fn dump(setup: &Setup, selected: &Selected, options: &DumpOptions, context: &RunContext) -> Result<Dumped> {
    dump_of(setup, setup.connection(selected)?, selected, options, context).await
}

/// The same of a database whose connection is known already.
pub async fn dump_of(
    setup: &Setup,
    connection: ConnectionTarget,
    selected: &Selected,
    options: &DumpOptions,
    context: &RunContext,
) -> Result<Dumped> {
    if selected.slug.is_safety() {
        return Err(Error::new(
            ErrorKind::Usage,
            format!(
                "'{}' cannot name a source: safety backups of restore targets are kept under such names",
                selected.slug
            ),
        )
        .with_hint("give the database another name"));
    }
    let store = setup.open_store().await?;
    let control = setup.open_control().await?;
    let source = context.cancel.race(setup.open_source(connection)).await?;
    let ports = DumpPorts { source: Arc::new(source), store: Arc::clone(&store), control };
    let request = dump_request(selected, options);
    let outcome = dump::run(&ports, &request, context).await?;
    drop(ports);
    let mut answer = DumpAnswer::new(&outcome, store.url());
    if options.no_verify {
        return Ok(Dumped { answer, unverified: None });
    }
    let verifying = async {
        let backup = catalog::open(&*store, &answer.database, &answer.backup_id).await?;
        verify::run(&store, &backup, request.jobs, context).await?.into_result()
    };
    let unverified = match verifying.await {
        Ok(verified) => {
            answer.verified = Some(Verified::from(&verified));
            None
        }
        Err(error) => {
            let doing = format!("backup {}/{} was made, but not verified", answer.database, answer.backup_id);
            Some(error.context(doing))
        }
    };
    Ok(Dumped { answer, unverified })
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
