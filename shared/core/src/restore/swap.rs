//! A swap: restored into a database beside the live one, compared, checked, and put in its place; and the way back.

use std::sync::Arc;

use lifeboat_archive::{encryption::Identities, toc::Toc};
use serde::Serialize;

use super::{
    RestoreOutcome, RestorePlan, RestorePorts, RestoreRequest,
    beside::{self, Purpose},
    hooked::hooked,
    plan, run,
};
use crate::{
    Error, ErrorKind, Result,
    cancel::Cancel,
    drill::Assertion,
    manifest::Manifest,
    phases::Phases,
    ports::{Exchange, Exchanged, Hooks, LiveDatabase, LiveFacts, RunContext, Store, Target},
    reading::BackupReader,
    report::CheckResult,
};

/// What a swap works with.
#[derive(Clone)]
pub struct SwapPorts {
    /// Where the backup lies.
    pub store: Arc<dyn Store>,
    /// What opens it, where it is encrypted.
    pub identities: Arc<Identities>,
    /// The live database.
    pub live: Arc<dyn LiveDatabase>,
    /// The same as a target: only its facts are read.
    pub target: Arc<dyn Target>,
    /// What is done right before and after the exchange.
    pub hooks: Arc<dyn Hooks>,
}

/// What a swap is asked for.
#[derive(Debug, Clone)]
pub struct SwapRequest {
    /// Parallel sessions, at least 1.
    pub jobs: u32,
    /// What must be true of the restored database before it goes live.
    pub checks: Vec<Assertion>,
}

/// What a swap will do; a dry run prints exactly this.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SwapPlan {
    /// What is restored beside.
    #[serde(flatten)]
    pub restore: RestorePlan,
    /// What is there now.
    pub live: LiveFacts,
    /// The database that is restored into.
    pub restored_as: String,
    /// How the live database is called afterwards.
    pub kept_as: String,
    /// Whether an earlier run left something under the first of these names, which is dropped.
    pub drops_left_over: bool,
    /// Checks that must be true.
    pub checks: usize,
}

/// What a swap did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SwapOutcome {
    /// The restore.
    #[serde(flatten)]
    pub restored: RestoreOutcome,
    /// The name that now leads to what was restored.
    pub live: String,
    /// The database that had it before: the way back.
    pub kept_as: String,
    /// The exchange.
    pub exchange: Exchanged,
    /// The checks, all true.
    pub checks: Vec<CheckResult>,
    /// What went wrong afterwards, such as a service that did not start.
    pub trouble: Vec<String>,
}

/// What taking a swap back did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SwapBackOutcome {
    /// The name that leads to the old database again.
    pub live: String,
    /// Where the server is.
    pub server: String,
    /// What had been swapped in, kept under this name.
    pub kept_as: String,
    /// The exchange.
    pub exchange: Exchanged,
    /// What went wrong afterwards.
    pub trouble: Vec<String>,
}

/// Makes the plan, or refuses; changes nothing.
pub async fn plan_swap(ports: &SwapPorts, manifest: &Manifest, request: &SwapRequest) -> Result<SwapPlan> {
    planned(ports, manifest, request).await.map(|(plan, _)| plan)
}

async fn planned(ports: &SwapPorts, manifest: &Manifest, request: &SwapRequest) -> Result<(SwapPlan, Toc)> {
    let target = ports.target.facts().await?;
    let name = |purpose| beside::name(&target.database, purpose);
    let (restored_as, kept_as) = (name(Purpose::New), name(Purpose::Old));
    let live = ports.live.facts(&[restored_as.clone(), kept_as.clone()]).await?;
    beside::refuse_forbidden(&live, &[&live.cannot_create, &live.cannot_rename])?;
    refuse_obstacles(&live)?;
    if live.beside.iter().any(|beside| beside.name == kept_as) {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("'{kept_as}' on {} is what an earlier swap has put aside; there is one way back only", live.server),
        )
        .with_hint(format!(
            "if the earlier swap shall stay: DROP DATABASE \"{kept_as}\"; if not: lifeboat restore --swap-back --to URL"
        )));
    }
    let drops_left_over = beside::left_over(&live, &restored_as)?;
    let backup = BackupReader::new(&*ports.store, manifest, &ports.identities);
    let toc = backup.toc().await?;
    super::run::check_presence(backup).await?;
    // Said now: what cannot be set later must not end the exchange.
    beside::entries(&toc)?;
    let empty = crate::ports::TargetFacts { database: restored_as.clone(), contents: Vec::new(), ..target };
    let restore = plan(manifest, &toc, &empty, &request_of(request), false)?;
    let checks = request.checks.len();
    Ok((SwapPlan { restore, live, restored_as, kept_as, drops_left_over, checks }, toc))
}

fn request_of(request: &SwapRequest) -> RestoreRequest {
    RestoreRequest { jobs: request.jobs, ..RestoreRequest::default() }
}

fn refuse_obstacles(live: &LiveFacts) -> Result<()> {
    if live.obstacles.is_empty() {
        return Ok(());
    }
    let what = live.obstacles.join("; ");
    Err(Error::new(ErrorKind::Refused, format!("database '{}' cannot change places: {what}", live.database))
        .with_hint("end or drop what is named, or restore into a new database and point the application at it"))
}

/// Restores beside, compares, checks, and exchanges the two. On any error before the exchange the live database is as it was,
/// and what was made beside it is gone.
pub async fn swap(
    ports: &SwapPorts,
    manifest: &Arc<Manifest>,
    request: &SwapRequest,
    context: &RunContext,
) -> Result<SwapOutcome> {
    context.cancel.race(ports.live.claim()).await?;
    let (plan, toc) = context.cancel.race(planned(ports, manifest, request)).await?;
    if plan.drops_left_over {
        context.progress.note(&format!("'{}' was left by a run that did not end; dropping it", plan.restored_as));
        ports.live.drop_beside(&plan.restored_as).await?;
    }
    let result = Box::pin(beside_and_exchanged(ports, manifest, request, &plan, &toc, context)).await;
    let Err(error) = result else { return result };
    // Where the exchange has taken place after all, no database has this name any more.
    match ports.live.drop_beside(&plan.restored_as).await {
        Ok(()) => Err(error),
        Err(again) => {
            let hint =
                format!("{}; then DROP DATABASE \"{}\", or run the command again", error.hint(), plan.restored_as);
            Err(Error::new(error.kind(), format!("{error}; '{}' stays: {again}", plan.restored_as)).with_hint(hint))
        }
    }
}

async fn beside_and_exchanged(
    ports: &SwapPorts,
    manifest: &Arc<Manifest>,
    request: &SwapRequest,
    plan: &SwapPlan,
    toc: &Toc,
    context: &RunContext,
) -> Result<SwapOutcome> {
    let (cancel, live) = (&context.cancel, &plan.live.database);
    let mut phases = Phases::begin(context, "make the side database", None);
    let remark = beside::remark(manifest);
    let making = ports.live.make_beside(&plan.restored_as, &manifest.source, &remark, context);
    let target = cancel.race(making).await?;
    phases.end();
    let restore = RestorePorts {
        store: Arc::clone(&ports.store),
        identities: Arc::clone(&ports.identities),
        target: Arc::clone(&target),
    };
    let untouched = |e: Error| {
        let hint = e.hint().to_owned();
        e.context(format!("swap of '{live}' (it was not touched)")).with_hint(hint)
    };
    let request_beside = request_of(request);
    let running = Box::pin(run(&restore, manifest, &request_beside, None, context));
    let mut restored = running.await.map_err(untouched)?;
    phases.next("checks", None);
    let checks = cancel.race(checked(&*target, &request.checks)).await.map_err(untouched)?;
    drop((restore, target));
    phases.next("exchange", None);
    let exchange = Exchange {
        live: live.clone(),
        kept_as: plan.kept_as.clone(),
        from: plan.restored_as.clone(),
        entries: beside::entries(toc)?,
    };
    let exchanging = async {
        // A long restore lies between the plan and this.
        refuse_obstacles(&ports.live.facts(&[]).await?)?;
        ports.live.exchange(&exchange).await
    };
    let (exchanged, trouble) = hooked(&*ports.hooks, context, exchanging).await.map_err(untouched)?;
    phases.end();
    restored.phases.extend(phases.so_far());
    restored.target = format!("database '{live}' on {}", plan.live.server);
    Ok(SwapOutcome {
        restored,
        live: live.clone(),
        kept_as: plan.kept_as.clone(),
        exchange: exchanged,
        checks,
        trouble,
    })
}

/// Runs the checks; one that is not true, or cannot be run, is an error.
async fn checked(target: &dyn Target, checks: &[Assertion]) -> Result<Vec<CheckResult>> {
    let mut results = Vec::new();
    for check in checks {
        let failed = |why: String| {
            Error::new(ErrorKind::Corrupt, format!("check '{}' {why}", check.name))
                .with_hint("take an older backup, or correct the check in databases.NAME.drill.checks")
        };
        match target.assert(&check.sql).await {
            Ok(true) => {}
            Ok(false) => return Err(failed("is not true of what was restored".to_owned())),
            Err(error) => return Err(failed(format!("could not be run: {error}"))),
        }
        results.push(CheckResult { name: check.name.clone(), sql: check.sql.clone(), passed: true, error: None });
    }
    Ok(results)
}

/// What a way back would do, or why there is none; changes nothing.
pub async fn plan_swap_back(live: &dyn LiveDatabase) -> Result<(LiveFacts, Exchange)> {
    let database = live.facts(&[]).await?.database;
    let name = |purpose| beside::name(&database, purpose);
    let (old, undone) = (name(Purpose::Old), name(Purpose::Undone));
    let facts = live.facts(&[old.clone(), undone.clone()]).await?;
    let is_there = |name: &str| facts.beside.iter().any(|beside| beside.name == name);
    let refused = |what: String, hint: String| Err(Error::new(ErrorKind::Refused, what).with_hint(hint));
    if !is_there(&old) {
        let left = if facts.exists { "nothing was swapped, or it was taken back already" } else { "it is gone" };
        return refused(
            format!("there is no database '{old}' on {}: {left}", facts.server),
            "`psql -l` lists the databases; lifeboat restore BACKUP --swap makes a swap".to_owned(),
        );
    }
    if !facts.exists {
        return refused(
            format!("there is no database '{database}' on {}, only '{old}'", facts.server),
            format!("ALTER DATABASE \"{old}\" RENAME TO \"{database}\""),
        );
    }
    if is_there(&undone) {
        return refused(
            format!("'{undone}' on {} was kept by an earlier way back", facts.server),
            format!("DROP DATABASE \"{undone}\" when nothing in it is needed, then run the command again"),
        );
    }
    beside::refuse_forbidden(&facts, &[&facts.cannot_create, &facts.cannot_rename])?;
    refuse_obstacles(&facts)?;
    Ok((facts, Exchange { live: database, kept_as: undone, from: old, entries: None }))
}

/// Takes the last swap back: the old database has its name again, and what had been swapped in is kept.
pub async fn swap_back(live: &dyn LiveDatabase, hooks: &dyn Hooks, context: &RunContext) -> Result<SwapBackOutcome> {
    context.cancel.race(live.claim()).await?;
    let (facts, exchange) = context.cancel.race(plan_swap_back(live)).await?;
    let unstoppable = RunContext { cancel: Cancel::never(), ..context.clone() };
    let (exchanged, trouble) = hooked(hooks, &unstoppable, live.exchange(&exchange)).await?;
    Ok(SwapBackOutcome {
        live: exchange.live,
        server: facts.server,
        kept_as: exchange.kept_as,
        exchange: exchanged,
        trouble,
    })
}
