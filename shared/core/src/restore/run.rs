//! Runs a restore: refuse or plan, safety backup, pre-data, rows, post-data, ANALYZE, compare.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use lifeboat_archive::{encryption::Identities, toc::Toc};
use serde::Serialize;

use super::{
    Part, RestoreRequest, collisions,
    compare::{TableComparison, compare_tables},
    data,
    plan::{RestorePlan, plan},
    resume::{self, DATA, DATA_DEFINITIONS, Kept, POST_DATA, PRE_DATA, Resumed},
    steps::Steps,
};
use crate::{
    Error, ErrorKind, Result, catalog,
    dump::{self, DumpPorts, DumpRequest},
    ids::{BackupId, DatabaseSlug},
    manifest::{Manifest, ObjectRecord, PhaseDuration},
    phases::Phases,
    ports::{BlockSource, LedgerFound, RunContext, Store, Target, TargetFacts, ToolMessage},
    reading::BackupReader,
    verify, workers,
};

/// How the target itself is backed up before anything in it is changed.
pub struct SafetyBackup {
    /// The target as a source, and where its backup goes.
    pub ports: DumpPorts,
    /// Under which name and how.
    pub request: DumpRequest,
}

/// What a restore works with.
#[derive(Clone)]
pub struct RestorePorts {
    /// Where the backup lies.
    pub store: Arc<dyn Store>,
    /// What opens it, where it is encrypted.
    pub identities: Arc<Identities>,
    /// What is written to.
    pub target: Arc<dyn Target>,
}

impl RestorePorts {
    fn reader<'a>(&'a self, manifest: &'a Manifest) -> BackupReader<'a> {
        BackupReader::new(&*self.store, manifest, &self.identities)
    }
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestoreOutcome {
    /// The database that the backup is of.
    pub database: DatabaseSlug,
    /// The backup.
    pub backup_id: BackupId,
    /// Server and database that were written to.
    pub target: String,
    /// The backup of what the target held before, where one was taken.
    pub safety_backup: Option<String>,
    /// Rows loaded.
    pub rows: u64,
    /// Bytes of the data as stored.
    pub stored_bytes: u64,
    /// What an interrupted restore had done of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
    /// Tables and large objects compared with the manifest.
    pub compared: Vec<TableComparison>,
    /// Why some were not compared; empty where all were.
    pub not_compared: Option<String>,
    /// What client tools said, harmless messages aside, by step.
    pub messages: Vec<(String, ToolMessage)>,
    /// What was left out.
    pub left_out: Vec<String>,
    /// Durations.
    pub phases: Vec<PhaseDuration>,
}

/// Every object must be there with its length, and small ones whole, before the target is touched.
pub(super) async fn check_presence(backup: BackupReader<'_>) -> Result<()> {
    let (store, manifest) = (backup.store(), backup.manifest());
    let folder = manifest.folder();
    let sizes: HashMap<String, u64> =
        store.list(&folder).await?.into_iter().map(|listed| (listed.key, listed.size)).collect();
    for object in manifest.objects() {
        let found = sizes.get(&format!("{folder}{}", object.key));
        let what = match found {
            None => "is missing".to_owned(),
            Some(size) if *size != object.size => format!("has {size} bytes, the manifest says {}", object.size),
            Some(_) => continue,
        };
        return Err(Error::new(ErrorKind::Corrupt, format!("{}: {what}", object.key)));
    }
    for record in [&manifest.globals, &manifest.kit].into_iter().chain(&manifest.large_object_lists) {
        backup.whole(record).await?;
    }
    Ok(())
}

/// Reads every object that is to be loaded as it is stored, in `jobs` tasks: damage must be known before the target is touched.
async fn check_hashes(
    ports: &RestorePorts,
    manifest: &Arc<Manifest>,
    plan: &RestorePlan,
    jobs: u32,
    context: &RunContext,
) -> Result<()> {
    let mut objects: Vec<ObjectRecord> = plan.objects(manifest).cloned().collect();
    objects.sort_by_key(|object| Reverse(object.size));
    let (ports, manifest, progress) = (ports.clone(), Arc::clone(manifest), Arc::clone(&context.progress));
    let checking = workers::run(objects, jobs, &context.cancel, move |queue, cancel| {
        let (ports, manifest, progress) = (ports.clone(), Arc::clone(&manifest), Arc::clone(&progress));
        async move {
            while let Some(object) = queue.next().await {
                let reading = async {
                    let mut reader = ports.reader(&manifest).stored(&object).await?;
                    while let Some(block) = reader.next_block().await? {
                        progress.advance(block.len() as u64);
                    }
                    Ok(())
                };
                cancel.race(reading).await?;
            }
            Ok(Vec::<()>::new())
        }
    });
    checking.await.map(drop).map_err(|e| e.context("check the backup (nothing was changed)"))
}

/// Makes the plan and nothing else; changes nothing.
pub async fn dry_run(
    ports: &RestorePorts,
    manifest: &Manifest,
    request: &RestoreRequest,
    safety_backup: bool,
) -> Result<RestorePlan> {
    let toc = ports.reader(manifest).toc().await?;
    check_presence(ports.reader(manifest)).await?;
    planned(&*ports.target, manifest, &toc, request, safety_backup).await.map(|planned| planned.plan)
}

/// The plan, with what decided it.
struct Planned {
    plan: RestorePlan,
    facts: TargetFacts,
    found: Option<LedgerFound>,
}

/// Looks at the target, and makes the plan or refuses.
async fn planned(
    target: &dyn Target,
    manifest: &Manifest,
    toc: &Toc,
    request: &RestoreRequest,
    safety_backup: bool,
) -> Result<Planned> {
    let facts = target.facts().await?;
    if let Some(role) = &request.role {
        // Whether it may be acted as: nothing has been changed yet.
        drop(target.worker(Some(role)).await?);
    }
    let found = resume::earlier(target, &facts, manifest, request).await?;
    let mut plan = plan(manifest, toc, &facts, request, safety_backup)?;
    match &found {
        Some(found) => plan.resumed = Some(resume::told(manifest, &plan, found)),
        None => collisions::refuse(target, toc, &plan, request).await?,
    }
    Ok(Planned { plan, facts, found })
}

/// Restores. On any error the target must not be used: the error says so.
pub async fn run(
    ports: &RestorePorts,
    manifest: &Arc<Manifest>,
    request: &RestoreRequest,
    safety: Option<&SafetyBackup>,
    context: &RunContext,
) -> Result<RestoreOutcome> {
    let mut phases = Phases::begin(context, "check", None);
    let toc = ports.reader(manifest).toc().await?;
    context.cancel.race(check_presence(ports.reader(manifest))).await?;
    let planning = planned(&*ports.target, manifest, &toc, request, safety.is_some());
    let Planned { plan, facts, found } = context.cancel.race(planning).await?;
    let claiming = resume::claim(&*ports.target, &toc, request, &plan, found.is_some());
    let ledger = context.cancel.race(claiming).await?;
    if found.is_none() {
        phases.next("hashes", Some(plan.stored_bytes));
        check_hashes(ports, manifest, &plan, request.jobs, context).await?;
    }
    // A superuser sees every row; the role that owns a table may be kept from some by a policy of its own.
    let reads_as = request.role.as_deref().filter(|_| !facts.superuser);
    let disable_triggers =
        data_only_precautions(ports, manifest, &toc, &plan, request, facts.may_disable_triggers, reads_as).await?;
    let safety_backup = match safety {
        Some(safety) if plan.safety_backup => {
            phases.next("safety backup", None);
            let made = safety_backup(safety, context)
                .await
                .map_err(|e| e.context("take a safety backup of the target (nothing was changed)"))?;
            Some(format!("{}/{}", made.database, made.backup_id))
        }
        _ => None,
    };
    let mut steps = Steps { target: &ports.target, request, context, messages: Vec::new() };
    if request.clean && found.is_none() {
        phases.next("drop", None);
        steps.drop_what_is_restored(&toc, &plan, true).await?;
    }
    let beginning = Kept::begin(ledger, manifest, request, found, context);
    let kept = Arc::new(context.cancel.race(beginning).await?);
    let restoring = restore(ports, manifest, &toc, &plan, steps, disable_triggers, reads_as, &kept, &mut phases);
    let (messages, compared) = restoring.await.map_err(|e| {
        let saved = safety_backup.as_ref().map(|b| format!(" (what it held before is backup {b})")).unwrap_or_default();
        let incomplete =
            format!("restore of {}/{} is incomplete, do not use the target{saved}", plan.database, plan.backup_id);
        kept.explain(e).context(incomplete)
    })?;
    context.cancel.race(kept.end()).await?;
    phases.end();
    Ok(RestoreOutcome {
        database: plan.database,
        backup_id: plan.backup_id,
        target: plan.target,
        safety_backup,
        rows: plan.rows,
        stored_bytes: plan.stored_bytes,
        resumed: plan.resumed,
        not_compared: match (request.part, request.no_compare) {
            (Part::Schema, _) => Some("definitions only: there are no rows to compare".to_owned()),
            (_, true) => Some("left to the caller".to_owned()),
            _ => None,
        },
        compared,
        messages,
        left_out: plan.left_out,
        phases: phases.so_far(),
    })
}

/// Backs up the target and reads that backup back: what is about to be overwritten must be in a good one.
async fn safety_backup(safety: &SafetyBackup, context: &RunContext) -> Result<Manifest> {
    let made = dump::run(&safety.ports, &safety.request, context).await?.manifest;
    let store = &safety.ports.store;
    let backup = catalog::open(&**store, &made.database, &made.backup_id).await?;
    // Whoever restores need not have the keys to it: hashes tell that it is whole.
    verify::run(store, &backup, &Arc::default(), safety.request.jobs, context).await?.into_result()?;
    Ok(made)
}

/// Data into existing tables: they must be empty, and triggers and foreign keys must be out of the way.
async fn data_only_precautions(
    ports: &RestorePorts,
    manifest: &Manifest,
    toc: &Toc,
    plan: &RestorePlan,
    request: &RestoreRequest,
    may_disable_triggers: bool,
    reads_as: Option<&str>,
) -> Result<bool> {
    if request.part != Part::Data {
        return Ok(false);
    }
    if !may_disable_triggers {
        let inventory = ports.target.inventory().await?;
        if let Some(item) = inventory.items.iter().find(|i| matches!(i.kind.as_str(), "trigger" | "foreign key")) {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("{} {} would act on every row, and this role may not switch it off", item.kind, item.name),
            )
            .with_hint(
                "restore as a superuser (or GRANT SET ON PARAMETER session_replication_role), or drop it first",
            ));
        }
    }
    let statements = data::statements(manifest, toc, false)?;
    let mut worker = ports.target.worker(reads_as).await?;
    for &index in &plan.tables {
        let table = &manifest.tables[index];
        let Some(statement) = statements.get(&table.dump_id) else { continue };
        let found = worker.checksum(statement, false).await?;
        if found.rows > 0 {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("{} holds {} rows already; they would be there twice", table.qualified(), found.rows),
            )
            .with_hint("TRUNCATE it first, or restore into a new database"));
        }
    }
    Ok(may_disable_triggers)
}

type Done = (Vec<(String, ToolMessage)>, Vec<TableComparison>);

/// The steps before the data. What an interrupted restore has begun to define is dropped first: no row is in it.
async fn define(
    steps: &mut Steps<'_>,
    manifest: &Manifest,
    toc: &Toc,
    plan: &RestorePlan,
    kept: &Kept,
    phases: &mut Phases,
) -> Result<()> {
    let (context, request) = (steps.context, steps.request);
    if kept.is_done(PRE_DATA) {
        let there = context.cancel.race(steps.target.toc()).await.map_err(|e| e.context("look at the target"))?;
        resume::refuse_what_is_gone(toc, plan, &there)?;
    } else {
        if kept.resumes {
            phases.next("drop", None);
            steps.drop_what_is_restored(toc, plan, false).await?;
            steps.stage(manifest, toc).await?;
        }
        phases.next("pre-data", None);
        if !plan.schemas.is_empty() {
            steps.run("schemas", &plan.schemas, 1, false).await?;
        }
        let others: Vec<i32> = plan.pre_data.iter().copied().filter(|id| !plan.schemas.contains(id)).collect();
        steps.run("pre-data", &others, 1, false).await?;
        context.cancel.race(kept.note(PRE_DATA)).await?;
    }
    if !kept.is_done(DATA_DEFINITIONS) {
        phases.next("data definitions", None);
        // What can be dropped here are large objects, which one step drops and makes.
        steps.run("data definitions", &plan.data_definitions, 1, request.clean || kept.resumes).await?;
        context.cancel.race(kept.note(DATA_DEFINITIONS)).await?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the steps share everything that run() has prepared")]
async fn restore(
    ports: &RestorePorts,
    manifest: &Arc<Manifest>,
    toc: &Toc,
    plan: &RestorePlan,
    mut steps: Steps<'_>,
    disable_triggers: bool,
    reads_as: Option<&str>,
    kept: &Arc<Kept>,
    phases: &mut Phases,
) -> Result<Done> {
    let Steps { target, request, context, .. } = steps;
    steps.stage(manifest, toc).await?;
    define(&mut steps, manifest, toc, plan, kept, phases).await?;
    if !kept.is_done(DATA) {
        let left = plan.stored_bytes - plan.resumed.as_ref().map_or(0, |resumed| resumed.stored_bytes);
        phases.next("data", Some(left));
        let role = request.role.as_deref();
        data::load(ports, target, manifest, toc, plan, request.jobs, disable_triggers, role, kept, context).await?;
        context.cancel.race(kept.note(DATA)).await?;
    }
    if !kept.is_done(POST_DATA) {
        phases.next("post-data", None);
        // An interrupted restore has begun with these only where all of its data are in.
        if kept.is_done(DATA) {
            steps.run_what_is_left("post-data", toc, &plan.post_data, request.jobs).await?;
        } else {
            steps.run_in_parallel("post-data", toc, &plan.post_data, request.jobs).await?;
        }
        context.cancel.race(kept.note(POST_DATA)).await?;
    }
    let mut messages = steps.messages;
    if request.part != Part::Schema {
        phases.next("analyze", None);
        let refused = context.cancel.race(target.analyze(request.jobs, reads_as)).await?;
        messages.extend(refused.into_iter().map(|message| ("analyze".to_owned(), message)));
    }
    if request.part != Part::Schema && !request.no_compare {
        phases.next("compare", Some(plan.rows));
        let compared =
            compare_tables(target, manifest, toc, &plan.tables, &plan.large_objects, request.jobs, reads_as, context)
                .await?;
        let wrong: Vec<&TableComparison> = compared.iter().filter(|c| !c.matches()).collect();
        if let Some(first) = wrong.first() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{} tables differ from the manifest, {} among them", wrong.len(), first.name),
            ));
        }
        return Ok((messages, compared));
    }
    Ok((messages, Vec::new()))
}
