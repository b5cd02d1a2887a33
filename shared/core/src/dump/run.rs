//! Runs a dump: preflight, snapshot, data, catalog, and last the manifest.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::{Timestamp, tz::TimeZone};
use lifeboat_archive::{
    codec::Codec,
    encryption::{Recipients, Sealer},
};

use super::{
    DumpRequest,
    chunk_writer::{ChunkWriter, Landings},
    data::{self, Copied},
    large_objects,
    plan::plan,
    sealing::Sealing,
    squeezing::Encoders,
};
use crate::{
    Error, ErrorKind, Result, ResultExt,
    cancel::{self, Cancel},
    catalog,
    ids::BackupId,
    kit::{self, KIT_NAME, KitInput},
    lease::{self, LeaseGuard, LeaseOptions},
    manifest::{self, MANIFEST_NAME, Manifest, ObjectRecord, SourceFacts, Tier, Totals, backup_folder, sha256_hex},
    phases::Phases,
    ports::{Finding, Preflight, Removal, RunContext, Severity, Snapshot, Source, Store, in_brief},
};

/// How often a dump whose snapshot is lost in the middle starts again.
const ATTEMPTS: u32 = 3;

/// How long a database that went away in mid-dump is waited for, seconds without the time that connecting takes.
const AWAY_FOR: u64 = 30;

/// Seconds between two looks at it.
const AWAY_PAUSE: u64 = 2;

/// What a dump works with.
#[derive(Clone)]
pub struct DumpPorts {
    /// The database.
    pub source: Arc<dyn Source>,
    /// Where the backup goes.
    pub store: Arc<dyn Store>,
    /// Where the lease lies.
    pub control: Arc<dyn Store>,
}

/// What a dump made.
#[derive(Debug, Clone)]
pub struct DumpOutcome {
    /// The manifest as it was written.
    pub manifest: Manifest,
    /// Preflight's findings that did not stop it.
    pub findings: Vec<Finding>,
}

/// What every writer of this backup needs.
#[derive(Clone)]
pub(super) struct Writing {
    pub(super) store: Arc<dyn Store>,
    pub(super) folder: String,
    pub(super) codec: Codec,
    pub(super) encryption: Option<Arc<Recipients>>,
    pub(super) encoders: Encoders,
    pub(super) landings: Landings,
    pub(super) context: RunContext,
    pub(super) cancel: Cancel,
}

impl Writing {
    pub(super) async fn begin(&self, key: String, hash_content: bool) -> Result<ChunkWriter<'_>> {
        self.cancel.check()?;
        ChunkWriter::begin(self, key, hash_content).await
    }

    /// The key of an object that is encrypted if the backup is.
    pub(super) fn sealed_key(&self, key: String) -> String {
        match &self.encryption {
            Some(recipients) => key + recipients.kind().suffix(),
            None => key,
        }
    }

    /// Writes a small object, encrypted if the backup is.
    pub(super) async fn put(&self, key: String, content: Vec<u8>) -> Result<ObjectRecord> {
        let content = match &self.encryption {
            Some(recipients) => Sealer::seal(recipients, &content).or_error(ErrorKind::Unexpected, "encrypt")?,
            None => content,
        };
        self.put_as_is(self.sealed_key(key), content).await
    }

    /// Writes what everybody may read who reads the store.
    pub(super) async fn put_as_is(&self, key: String, content: Vec<u8>) -> Result<ObjectRecord> {
        self.cancel.check()?;
        let (size, sha256) = (content.len() as u64, sha256_hex(&content));
        let full = format!("{}{key}", self.folder);
        let stored = self.store.put_new(&full, Bytes::from(content), &self.context.run_id).await?;
        Ok(ObjectRecord { key, size, sha256, version_id: stored.version_id })
    }
}

/// Makes one backup. Holds the database's lease meanwhile; on any failure nothing is listed, and where the store lets us
/// delete, nothing remains.
pub async fn run(ports: &DumpPorts, request: &DumpRequest, context: &RunContext) -> Result<DumpOutcome> {
    let zone = TimeZone::get(&request.timezone)
        .map_err(|e| Error::new(ErrorKind::Config, format!("time zone '{}': {e}", request.timezone)))?;
    let mut phases = Phases::begin(context, "preflight", None);
    let (stopper, cancel, _relay) = cancel::child(&context.cancel);
    cancel.race(ports.store.probe(&context.run_id)).await?;
    let control = Arc::clone(&ports.control);
    let options = LeaseOptions::default();
    let lease = lease::acquire(control, &request.database, "dump", context, stopper.clone(), options).await?;
    let outcome = match made_before(ports, request, &cancel).await {
        Ok(Some(manifest)) => {
            context.progress.note(&format!("run {} made the backup of this time before", manifest.run_id));
            Ok(DumpOutcome { manifest, findings: Vec::new() })
        }
        Ok(None) => attempts(ports, request, context, &zone, &cancel, &lease, &mut phases).await,
        Err(error) => Err(error),
    };
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "the lease could not be given back; it lapses by itself");
    }
    outcome
}

/// The backup of this scheduled time that another run has committed: it was cut off before it could answer, or is only
/// slow to. Only with the lease held can no such backup come to be after this look.
async fn made_before(ports: &DumpPorts, request: &DumpRequest, cancel: &Cancel) -> Result<Option<Manifest>> {
    let Some(at) = request.scheduled_at else { return Ok(None) };
    let found = cancel.race(catalog::scheduled_for(&*ports.store, &request.database, at)).await;
    found.map_err(|e| e.context(format!("look for an earlier backup scheduled for {at}")))
}

/// Dumps until there is a backup, or no sense in another attempt.
async fn attempts(
    ports: &DumpPorts,
    request: &DumpRequest,
    context: &RunContext,
    zone: &TimeZone,
    cancel: &Cancel,
    lease: &LeaseGuard,
    phases: &mut Phases,
) -> Result<DumpOutcome> {
    let sealing = cancel.race(Sealing::begin(request)).await?;
    let mut result = preflight(ports, cancel).await;
    let mut attempt = 1;
    loop {
        let findings = match result {
            Ok(report) => report.findings,
            Err(error) => return Err(error),
        };
        let attempt_context = RunContext { cancel: cancel.clone(), ..context.clone() };
        let backup_id = BackupId::new(context.clock.now(), context.entropy.next());
        let writing = Writing {
            store: Arc::clone(&ports.store),
            folder: backup_folder(&request.database, &backup_id),
            codec: request.codec,
            encryption: sealing.recipients.clone(),
            encoders: Encoders::new(request.codec),
            landings: Landings::default(),
            context: attempt_context,
            cancel: cancel.clone(),
        };
        let started_at = context.clock.now();
        phases.next("snapshot", None);
        // The source has started again itself, as often as there is any sense in it.
        let snapshot = match ports.source.open_snapshot(&writing.context).await {
            Ok(snapshot) => snapshot,
            Err(error) => return Err(error),
        };
        let mut findings = findings;
        findings.extend(other_source(ports, request, snapshot.facts(), context).await);
        match one_attempt(ports, request, zone, backup_id, started_at, snapshot, &writing, &sealing, lease, phases)
            .await
        {
            Ok(manifest) => return Ok(DumpOutcome { manifest, findings }),
            Err(error) => {
                if let Err(late) = in_brief("remove what the failed dump left", clean_up(&writing)).await {
                    tracing::warn!(error = %late, "retention collects it");
                }
                if error.kind() != ErrorKind::SnapshotLost || attempt == ATTEMPTS {
                    return Err(error);
                }
                attempt += 1;
                context.progress.note(&format!("{error}; starting again"));
                result = preflight_when_back(ports, cancel).await;
            }
        }
    }
}

/// Preflight of a database that may be away for a moment: a failover or restart takes its time.
async fn preflight_when_back(ports: &DumpPorts, cancel: &Cancel) -> Result<Preflight> {
    let mut left = AWAY_FOR / AWAY_PAUSE;
    loop {
        match preflight(ports, cancel).await {
            Err(error) if error.kind() == ErrorKind::Database && left > 0 => {
                left -= 1;
                cancel.pause(Duration::from_secs(AWAY_PAUSE)).await?;
            }
            result => return result,
        }
    }
}

/// A warning where the newest backup under this name is of another database or server: a name given twice, or, as after a
/// failover, an upgrade or a rename, the same database elsewhere. Only a person can tell which.
async fn other_source(
    ports: &DumpPorts,
    request: &DumpRequest,
    facts: &SourceFacts,
    context: &RunContext,
) -> Option<Finding> {
    let folders = ports.store.folders(&format!("{}/", request.database)).await.unwrap_or_default();
    let newest = folders.iter().rev().filter_map(|name| name.parse::<BackupId>().ok());
    for id in newest.take(3) {
        let Ok(backup) = catalog::open(&*ports.store, &request.database, &id).await else { continue };
        let before = &backup.manifest.source;
        let other_server = before.system_identifier.is_some()
            && facts.system_identifier.is_some()
            && before.system_identifier != facts.system_identifier;
        if before.database_name == facts.database_name && !other_server {
            return None;
        }
        let finding = Finding {
            code: "other_source".to_owned(),
            severity: Severity::Warning,
            message: format!(
                "the newest backup of {} is of database '{}' on {}, this one is of '{}' on {}",
                request.database, before.database_name, before.server, facts.database_name, facts.server
            ),
            remedy: "fine after a failover, an upgrade or a rename; else give one of the two another name, because \
                     retention counts them as one history"
                .to_owned(),
        };
        context.progress.note(&format!("{}: {}", finding.message, finding.remedy));
        return Some(finding);
    }
    None
}

/// Fails where findings forbid the dump, and names all of them: nobody wants to learn of one remedy at a time.
async fn preflight(ports: &DumpPorts, cancel: &Cancel) -> Result<Preflight> {
    let report = cancel.race(ports.source.preflight()).await?;
    let forbidding: Vec<&Finding> = report.findings.iter().filter(|f| f.severity == Severity::Error).collect();
    let Some(first) = forbidding.first() else { return Ok(report) };
    let kind = match first.code.as_str() {
        "client_tools" => ErrorKind::ClientTool,
        _ => ErrorKind::Database,
    };
    let messages: Vec<&str> = forbidding.iter().map(|f| f.message.as_str()).collect();
    let mut remedies: Vec<&str> = forbidding.iter().map(|f| f.remedy.as_str()).collect();
    remedies.dedup();
    Err(Error::new(kind, format!("preflight: {}", messages.join("\npreflight: "))).with_hint(remedies.join("\n")))
}

#[allow(clippy::too_many_arguments, reason = "an attempt shares everything that run() has prepared")]
async fn one_attempt(
    ports: &DumpPorts,
    request: &DumpRequest,
    zone: &TimeZone,
    backup_id: BackupId,
    started_at: Timestamp,
    snapshot: Box<dyn Snapshot>,
    writing: &Writing,
    sealing: &Sealing,
    lease: &LeaseGuard,
    phases: &mut Phases,
) -> Result<Manifest> {
    let context = &writing.context;
    let snapshot = Arc::new(snapshot);
    let plan = plan(snapshot.tables(), request.chunk_bytes, request.jobs);
    phases.next("data", Some(plan.total_bytes));
    let listed = large_objects::list(&**snapshot, writing).await?;
    let Copied { tables, large_objects } =
        data::copy(&snapshot, plan.units, &listed.objects, request.jobs, writing).await?;
    phases.next("catalog", None);
    let large_object_lists = listed.put(writing).await?;
    let toc = snapshot.toc().to_directory(&request.codec).write();
    let toc = writing.put("archive/toc.dat".to_owned(), toc).await?;
    let globals = writing.cancel.race(ports.source.globals()).await?.to_vec();
    let globals = writing.put("globals.sql".to_owned(), globals).await?;
    let compression = request.codec.to_string();
    let encryption = sealing.write(writing).await?;
    let version = env!("CARGO_PKG_VERSION");
    let kit = kit::render(&KitInput {
        database: &request.database,
        backup_id: &backup_id,
        store_url: ports.store.url(),
        lifeboat_version: version,
        source: snapshot.facts(),
        tables: &tables,
        extension_data: &snapshot.toc().data_of_extensions(),
        large_objects: &large_objects,
        omitted: snapshot.omitted(),
        compression: &compression,
        encryption: encryption.as_ref(),
        globals: true,
    })?;
    let kit = writing.put_as_is(KIT_NAME.to_owned(), kit.into_bytes()).await?;
    let (source, inventory, omitted) =
        (snapshot.facts().clone(), snapshot.inventory().clone(), snapshot.omitted().to_vec());
    // The coordinator's COMMIT is the last proof that locks and snapshot held until now.
    let snapshot = Arc::into_inner(snapshot)
        .ok_or_else(|| Error::new(ErrorKind::Unexpected, "a worker still holds the snapshot at its end"))?;
    writing.cancel.race(snapshot.close()).await?;
    phases.next("manifest", None);
    let mut manifest = Manifest {
        format_version: manifest::format_version(encryption.as_ref()),
        backup_id,
        database: request.database.clone(),
        run_id: context.run_id.clone(),
        lifeboat_version: version.to_owned(),
        scheduled_at: request.scheduled_at,
        started_at,
        completed_at: context.clock.now(),
        tier: Tier::of(source.snapshot_at, zone),
        timezone: request.timezone.clone(),
        source,
        omitted,
        compression,
        encryption,
        toc,
        globals,
        kit,
        large_object_lists,
        large_objects,
        tables,
        inventory,
        totals: Totals::default(),
        phases: phases.so_far(),
        manifest_sha256: String::new(),
    };
    manifest.totals = totals(&manifest);
    let (bytes, _) = manifest.seal()?;
    writing.cancel.check()?;
    // Whoever was paused and lost the lease must not commit.
    writing.cancel.race(lease.still_held()).await?;
    let key = format!("{}{MANIFEST_NAME}", writing.folder);
    writing.store.put_new(&key, Bytes::from(bytes), &context.run_id).await?;
    phases.end();
    Ok(manifest)
}

fn totals(manifest: &Manifest) -> Totals {
    Totals {
        tables: manifest.tables.len() as u64,
        rows: manifest.tables.iter().map(|t| t.rows).sum(),
        large_objects: manifest.large_objects.len() as u64,
        raw_bytes: manifest.tables.iter().map(|t| t.raw_bytes).sum::<u64>()
            + manifest.large_objects.iter().map(|l| l.raw_bytes).sum::<u64>(),
        stored_bytes: manifest.objects().map(|o| o.size).sum(),
        objects: manifest.objects().count() as u64,
    }
}

/// Removes what a failed attempt left, where we may delete; elsewhere retention collects it.
async fn clean_up(writing: &Writing) -> Result<()> {
    if writing.store.removal() != Removal::Delete {
        return Ok(());
    }
    let listed = writing.store.list(&writing.folder).await?;
    // If the manifest is there, its put succeeded though its answer was lost: then the backup exists.
    if listed.iter().any(|object| object.key.ends_with(MANIFEST_NAME)) {
        return Ok(());
    }
    for object in listed {
        if let Err(error) = writing.store.delete(&object.key).await {
            tracing::warn!(key = %object.key, %error, "a leftover of the failed dump could not be deleted");
        }
    }
    Ok(())
}
