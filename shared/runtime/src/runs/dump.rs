//! One backup, read back right after it.

use std::sync::Arc;

use jiff::Timestamp;
use lifeboat_archive::{codec::Codec, encryption::Identities};
use lifeboat_core::{
    Error, ErrorKind, Result, catalog,
    dump::{self, DumpPorts},
    events::{BackupCompleted, Body},
    ids::DatabaseSlug,
    ports::RunContext,
    verify,
};
use lifeboat_postgres::ConnectionTarget;

use super::verify::{could_not, outcome_of};
use crate::{
    config::check_codec,
    requests::{DumpAnswer, Verified},
    setup::{Selected, Setup},
    telling::{Told, tell},
};

/// What a dump may be told beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct DumpOptions {
    /// Parallel sessions.
    pub jobs: Option<u32>,
    /// Codec.
    pub compress: Option<Codec>,
    /// Public keys to encrypt to, instead of those that are configured.
    pub encrypt_to: Vec<String>,
    /// Leave out the verify that follows.
    pub no_verify: bool,
    /// The time it was scheduled for.
    pub scheduled_at: Option<Timestamp>,
}

/// The core's request for a dump of a selected database. `Refused` where it must be encrypted and would not be.
async fn dump_request(setup: &Setup, selected: &Selected, options: &DumpOptions) -> Result<dump::DumpRequest> {
    let config = &selected.config;
    let codec = options.compress.unwrap_or(config.compress.value);
    check_codec(codec, setup.config.restorer.as_ref().map(|restorer| restorer.value))?;
    let sealing = setup.sealing(&selected.slug, config, &options.encrypt_to).await?;
    Ok(dump::DumpRequest {
        jobs: options.jobs.unwrap_or(config.jobs.value),
        codec,
        timezone: config.timezone.value.clone(),
        chunk_bytes: config.chunk_size.value.0,
        scheduled_at: options.scheduled_at,
        encryption: sealing.recipients,
        passphrase: sealing.passphrase,
        ..dump::DumpRequest::new(selected.slug.clone())
    })
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

/// Makes one backup, reads it back, and tells the bus of both. An `Err` means that there is no backup.
pub async fn dump(setup: &Setup, selected: &Selected, options: &DumpOptions, context: &RunContext) -> Result<Dumped> {
    let work = Box::pin(dump_untold(setup, selected, options, context));
    tell(setup, context, &selected.slug, Body::BackupFailed, work).await
}

/// The same of a database whose connection is known already.
pub async fn dump_of(
    setup: &Setup,
    connection: ConnectionTarget,
    selected: &Selected,
    options: &DumpOptions,
    context: &RunContext,
) -> Result<Dumped> {
    let work = Box::pin(run(setup, connection, selected, options, context));
    tell(setup, context, &selected.slug, Body::BackupFailed, work).await
}

/// The same, leaving it to the caller to tell of it.
pub(crate) async fn dump_untold(
    setup: &Setup,
    selected: &Selected,
    options: &DumpOptions,
    context: &RunContext,
) -> Result<Told<Dumped>> {
    run(setup, setup.connection(selected).await?, selected, options, context).await
}

async fn run(
    setup: &Setup,
    connection: ConnectionTarget,
    selected: &Selected,
    options: &DumpOptions,
    context: &RunContext,
) -> Result<Told<Dumped>> {
    refuse_safety(&selected.slug)?;
    let request = dump_request(setup, selected, options).await?;
    let store = setup.open_store().await?;
    let control = setup.open_control().await?;
    let source = context.cancel.race(setup.open_source(connection)).await?;
    let ports = DumpPorts { source: Arc::new(source), store: Arc::clone(&store), control };
    let outcome = dump::run(&ports, &request, context).await?;
    drop(ports);
    let mut answer = DumpAnswer::new(&outcome, store.url());
    if options.no_verify {
        let events = vec![completed(&answer)];
        return Ok(Told::new(Dumped { answer, unverified: None }, events));
    }
    let verifying = async {
        let backup = catalog::open(&*store, &answer.database, &answer.backup_id).await?;
        // What makes backups cannot read them: of an encrypted one the hashes are checked, unless it knows the passphrase.
        let identities = request.passphrase.clone().map(Identities::of_passphrase).unwrap_or_default();
        verify::run(&store, &backup, &Arc::new(identities), request.jobs, context).await
    };
    let (told, result) = match verifying.await {
        Ok(outcome) => (Some(outcome_of(&outcome)), outcome.into_result()),
        Err(error) => (could_not(setup, &error, &answer.backup_id), Err(error)),
    };
    let unverified = match result {
        Ok(verified) => {
            answer.verified = Some(Verified::from(&verified));
            None
        }
        Err(error) => {
            let doing = format!("backup {}/{} was made, but not verified", answer.database, answer.backup_id);
            Some(error.context(doing))
        }
    };
    let events = std::iter::once(completed(&answer)).chain(told).collect();
    Ok(Told::new(Dumped { answer, unverified }, events))
}

fn refuse_safety(slug: &DatabaseSlug) -> Result<()> {
    if !slug.is_safety() {
        return Ok(());
    }
    let message = format!("'{slug}' cannot name a source: safety backups of restore targets are kept under such names");
    Err(Error::new(ErrorKind::Usage, message).with_hint("give the database another name"))
}

fn completed(answer: &DumpAnswer) -> Body {
    Body::BackupCompleted(BackupCompleted {
        backup_id: answer.backup_id.clone(),
        tier: answer.tier,
        snapshot_at: answer.snapshot_at,
        tables: answer.tables,
        rows: answer.rows,
        raw_bytes: answer.raw_bytes,
        stored_bytes: answer.stored_bytes,
        seconds: answer.seconds,
        omitted: answer.omitted.iter().filter(|o| o.kind != "role passwords").count() as u64,
        verified: answer.verified.is_some(),
    })
}
