//! Executes a retention plan and nothing else.

use std::fmt;

use serde::Serialize;

use crate::{
    ErrorKind, Result,
    attestation::Statement,
    catalog::{self, BackupState},
    ids::{BackupId, DatabaseSlug},
    lease,
    manifest::{MANIFEST_NAME, backup_folder},
    ports::{Listed, Removal, RunContext, Store},
    retention::{Decision, EXPIRE_TAG, MOVE_TAG, Plan, Policy, Report, Step, gather, gather::movable, plan},
};

/// One thing that was done, or that was found not to be right any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The backup or leftover.
    pub backup_id: BackupId,
    /// What was to be done.
    pub step: Step,
    /// Why it was left undone: the backup changed since the plan was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Objects tagged or deleted.
    pub objects: u64,
    /// Bytes removed, or tagged for removal.
    pub removed_bytes: u64,
}

/// What came of executing a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Executed {
    /// What was done about backups and leftovers.
    pub done: Vec<Done>,
    /// Unfinished uploads that were ended.
    pub swept_uploads: u64,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.skipped {
            None => write!(f, "done    {}  {}", self.backup_id, self.step),
            Some(why) => write!(f, "skipped {}  {}: {why}", self.backup_id, self.step),
        }
    }
}

/// Plans and, unless it is a dry run, executes. The plan in the report is the one that was executed.
pub async fn run(
    store: &dyn Store,
    control: &dyn Store,
    database: &DatabaseSlug,
    policy: &Policy,
    dry_run: bool,
    context: &RunContext,
) -> Result<Report> {
    policy.check()?;
    let now = context.clock.now();
    let gathered = gather(store, control, database, policy, now).await?;
    let plan = plan(&gathered.facts, policy, now);
    let mut report = Report::new(plan, gathered.storage, policy);
    if !dry_run {
        report.executed(execute(store, control, &report.plan, context).await?);
    }
    Ok(report)
}

/// Executes a plan: attestations first, then removals, unfinished uploads last. Stops at the first error; what was done stays right, and the
/// next plan goes on from there. What changed since the plan was made (a hold, an undo, new damage) is left alone.
pub async fn execute(store: &dyn Store, control: &dyn Store, plan: &Plan, context: &RunContext) -> Result<Executed> {
    let mut steps: Vec<(&Step, &Decision)> =
        plan.decisions.iter().flat_map(|decision| decision.steps.iter().map(move |step| (step, decision))).collect();
    steps.sort_by(|a, b| a.0.cmp(b.0));
    let mut done = Vec::with_capacity(steps.len());
    for (step, decision) in steps {
        context.cancel.check()?;
        done.push(
            perform(store, &plan.database, decision, step, context)
                .await
                .map_err(|e| e.context(format!("{step} {}/{}", plan.database, decision.backup_id)))?,
        );
    }
    for leftover in plan.leftovers.iter().filter(|l| l.remove) {
        context.cancel.check()?;
        let folder = backup_folder(&plan.database, &leftover.backup_id);
        done.push(
            remove_leftover(store, control, &plan.database, &leftover.backup_id, context)
                .await
                .map_err(|e| e.context(format!("remove {folder}")))?,
        );
    }
    let swept_uploads = sweep_uploads(store, control, plan, context)
        .await
        .map_err(|e| e.context(format!("sweep unfinished uploads of {}", plan.database)))?;
    Ok(Executed { done, swept_uploads })
}

async fn sweep_uploads(store: &dyn Store, control: &dyn Store, plan: &Plan, context: &RunContext) -> Result<u64> {
    context.cancel.check()?;
    let Some(sweep) = &plan.uploads else { return Ok(0) };
    // Looked at again, as for leftovers.
    if lease::holder(control, &plan.database, context.clock.now()).await?.is_some() {
        return Ok(0);
    }
    store.sweep_uploads(&format!("{}/", plan.database), sweep.before).await
}

fn nothing(backup_id: &BackupId, step: &Step, skipped: Option<&str>) -> Done {
    Done {
        backup_id: backup_id.clone(),
        step: step.clone(),
        skipped: skipped.map(str::to_owned),
        objects: 0,
        removed_bytes: 0,
    }
}

async fn perform(
    store: &dyn Store,
    database: &DatabaseSlug,
    decision: &Decision,
    step: &Step,
    context: &RunContext,
) -> Result<Done> {
    let id = &decision.backup_id;
    let skipped = |why| Ok(nothing(id, step, Some(why)));
    let state = match catalog::open(store, database, id).await {
        Ok(backup) => backup.state,
        Err(e) if e.kind() == ErrorKind::NotFound => return skipped("it is gone"),
        Err(e) if e.kind() == ErrorKind::Corrupt => return skipped("it cannot be read any more"),
        Err(e) => return Err(e),
    };
    let statement = match step {
        Step::Promote { tier } if state.good => Statement::Promoted { tier: *tier },
        Step::Promote { .. } => return skipped("it is not good any more"),
        Step::TakeBack if state.expiring.is_some() => Statement::Undo,
        Step::TakeBack => return skipped("it is not expiring any more"),
        Step::Announce | Step::Remove if state.problem.is_some() => return skipped("it cannot be read any more"),
        Step::Announce | Step::Remove if state.held.is_some() => return skipped("it has been held since"),
        Step::Announce if state.expiring.is_some() => return skipped("it is expiring already"),
        Step::Announce => Statement::Expiring { reason: decision.reason.to_string() },
        Step::Move { .. } if !state.good => return skipped("it is not good any more"),
        Step::Move { class } => {
            let objects = store.list(&state.folder()).await?;
            let movable = movable(&state.folder(), &objects);
            for object in &movable {
                add_tag(store, &object.key, MOVE_TAG, class.name()).await?;
            }
            return Ok(Done { objects: movable.len() as u64, ..nothing(id, step, None) });
        }
        Step::Remove if state.expiring.is_none() => return skipped("it is not expiring any more"),
        Step::Remove => return remove_backup(store, &state, step).await,
    };
    catalog::attest(store, &state, statement, context).await?;
    Ok(nothing(id, step, None))
}

/// Where the store has lifecycle rules: tags everything but the attestations, the manifest last, so that it tells
/// whether all are tagged. The attestations follow once the manifest is gone, as a leftover: they must not vanish
/// before it, else the backup would count as good again. Other stores: manifest first, so that it is no backup any
/// more, attestations last.
async fn remove_backup(store: &dyn Store, state: &BackupState, step: &Step) -> Result<Done> {
    let folder = state.folder();
    let manifest = format!("{folder}{MANIFEST_NAME}");
    let attestations = format!("{folder}attestations/");
    let objects = store.list(&folder).await?;
    let is_attestation = |o: &&Listed| o.key.starts_with(&attestations);
    let content = || objects.iter().filter(|o| o.key != manifest && !is_attestation(o));
    match store.removal() {
        Removal::TagForLifecycle => {
            for object in content() {
                add_tag(store, &object.key, EXPIRE_TAG, "true").await?;
            }
            add_tag(store, &manifest, EXPIRE_TAG, "true").await?;
        }
        Removal::Delete => {
            store.delete(&manifest).await?;
            for object in content().chain(objects.iter().filter(is_attestation)) {
                store.delete(&object.key).await?;
            }
        }
    }
    Ok(Done {
        objects: objects.len() as u64,
        removed_bytes: objects.iter().map(|o| o.size).sum(),
        ..nothing(&state.backup_id, step, None)
    })
}

async fn remove_leftover(
    store: &dyn Store,
    control: &dyn Store,
    database: &DatabaseSlug,
    id: &BackupId,
    context: &RunContext,
) -> Result<Done> {
    let folder = backup_folder(database, id);
    // Looked at again: a dump may have begun, or have come to its end, since the plan was made.
    if lease::holder(control, database, context.clock.now()).await?.is_some() {
        return Ok(nothing(id, &Step::Remove, Some("a run holds the database's lease")));
    }
    let objects = store.list(&folder).await?;
    if objects.iter().any(|o| o.key == format!("{folder}{MANIFEST_NAME}")) {
        return Ok(nothing(id, &Step::Remove, Some("it has a manifest now")));
    }
    for object in &objects {
        match store.removal() {
            Removal::TagForLifecycle => add_tag(store, &object.key, EXPIRE_TAG, "true").await?,
            Removal::Delete => store.delete(&object.key).await?,
        }
    }
    Ok(Done {
        objects: objects.len() as u64,
        removed_bytes: objects.iter().map(|o| o.size).sum(),
        ..nothing(id, &Step::Remove, None)
    })
}

/// Adds a tag and keeps the others: a write replaces the whole set.
async fn add_tag(store: &dyn Store, key: &str, name: &str, value: &str) -> Result<()> {
    let mut tags = match store.tags(key).await {
        Ok(tags) => tags,
        // The lifecycle rule was faster.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if tags.insert(name.to_owned(), value.to_owned()).as_deref() == Some(value) {
        return Ok(());
    }
    store.set_tags(key, &tags).await
}
