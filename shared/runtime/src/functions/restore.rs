//! `restore`: a backup to a target of the configuration, asked for by a person.

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind, Result,
    catalog::{self, BackupReference, Which},
    events::{Body, Failure},
    forecast,
    lease::Occasion,
    ports::{RunContext, Store},
    restore::{self, TableName},
};

use crate::{
    handing_over::Handing,
    one_run::{Alive, OneRun, Standing},
    requests::{Answer, RestoreAnswer, RestoreRequest, shortened},
    runs::{Destination, How, RestoreOptions, prepare_restore},
    setup::Setup,
    telling::{Told, tell},
};

/// `restore`: what the request asks for, where the target's configuration allows it.
pub async fn restore(setup: Arc<Setup>, request: RestoreRequest, context: RunContext) -> Result<Answer<RestoreAnswer>> {
    let work = Box::pin(work(&setup, &request, &context));
    let which = request.backup.parse().ok();
    let failed = |failure: Failure| Body::RestoreFailed(Failure { backup_id: which, ..failure });
    tell(&setup, &context, &request.database, failed, work).await
}

async fn work(setup: &Setup, request: &RestoreRequest, context: &RunContext) -> Result<Told<Answer<RestoreAnswer>>> {
    let how = how(setup, request)?;
    let (control, store) = (setup.open_control().await?, setup.open_store().await?);
    let run = run_of(setup, request, &*control)?;
    if run.is_some() {
        // A store in a folder makes its folder first: the control store may lie below it.
        store.probe(&context.run_id).await?;
    }
    if let Some(answer) = as_it_stands(run.as_ref(), context).await? {
        return Ok(Told::nothing(answer));
    }
    let destination = Destination::named(setup, &request.target, Some(&request.database)).await?;
    let which = if request.backup == "latest" { Which::Latest } else { Which::Id(request.backup.parse()?) };
    let reference = BackupReference { database: Some(request.database.clone()), which };
    let backup = context.cancel.race(catalog::find(&*store, &reference, None)).await?;
    let manifest = Arc::new(backup.manifest);
    let answer = |plan, restored| RestoreAnswer {
        database: request.database.clone(),
        backup_id: manifest.backup_id.clone(),
        target: request.target.clone(),
        run_id: context.run_id.clone(),
        dry_run: request.dry_run,
        plan,
        restored,
    };
    let manifest_of = Arc::clone(&manifest);
    let options =
        RestoreOptions { manifest: manifest_of, destination, how, jobs: None, identity: None, fast_scratch: false };
    let prepared = match Box::pin(prepare_restore(setup, options, context)).await {
        // Another delivery may have begun meanwhile, and what refuses this one be its work.
        Err(error) => match as_it_stands(run.as_ref(), context).await? {
            Some(answer) => return Ok(Told::nothing(answer)),
            None => return Err(error),
        },
        Ok(prepared) => prepared,
    };
    if request.dry_run {
        let plan = prepared.predicted(context).await?;
        return Ok(Told::nothing(Answer::Done(answer(Some(plan), None))));
    }
    let runner = setup.database(&request.database).runner.value;
    if let Some(handing) = Handing::of(setup, "restore", &request.database, runner)? {
        let predicting = async {
            let restoring = prepared.predicted(context).await?.predicted.seconds;
            let before = if prepared.takes_safety() { forecast::dumped_in(&manifest) } else { 0.0 };
            Ok(restoring.map(|seconds| seconds + before))
        };
        if let Some(answer) = handing.before(run.as_ref(), predicting, context).await? {
            return Ok(Told::nothing(answer));
        }
    }
    let executing = Box::pin(async {
        let told = Box::pin(prepared.execute_untold(setup, context)).await?;
        Ok(told.map(|restored| answer(None, Some(shortened(restored)))))
    });
    match &run {
        Some(run) => run.once(context, executing).await,
        None => Ok(executing.await?.map(Answer::Done)),
    }
}

/// The answer, where another delivery of the request has carried it out or is about to.
async fn as_it_stands(run: Option<&OneRun<'_>>, context: &RunContext) -> Result<Option<Answer<RestoreAnswer>>> {
    let Some(run) = run else { return Ok(None) };
    Ok(match run.standing(context).await? {
        Standing::Done(earlier) => Some(Answer::AlreadyDone { earlier }),
        Standing::Running => Some(Answer::AlreadyRunning),
        Standing::Open(_) => None,
    })
}

/// Once, however often AWS delivers the request, and whoever carries it out: what was sent to be carried out later arrives
/// at least once. A plan changes nothing and may be asked for at any time, and a task that a person starts has no id.
fn run_of<'a>(setup: &Setup, request: &'a RestoreRequest, control: &'a dyn Store) -> Result<Option<OneRun<'a>>> {
    let named = setup.invoked().map(|invoked| invoked.request_id.as_str()).filter(|id| !id.is_empty());
    let Some(id) = named.filter(|_| !request.dry_run) else { return Ok(None) };
    let (database, occasion) = (&request.database, Occasion::request(id)?);
    let (alive, longest) = (Alive::Claimed, setup.longest());
    Ok(Some(OneRun { control, operation: "restore", database, occasion, alive, longest }))
}

/// What is asked for. What replaces something must be allowed in the configuration: whoever may invoke a function may not
/// therefore overwrite a database.
fn how(setup: &Setup, request: &RestoreRequest) -> Result<How> {
    let usage = |message: &str| Err(Error::new(ErrorKind::Usage, message));
    let tables = request.tables.iter().map(|name| name.parse()).collect::<Result<Vec<TableName>>>()?;
    // Whether the target exists is said later, in one place.
    let overwrite = setup.config.restore_targets.get(&request.target).is_none_or(|target| target.overwrite.value);
    if request.resume && (request.swap || request.into_schema.is_some()) {
        return usage("resume goes on with a restore into a target; swap and into_schema always begin anew");
    }
    match &request.into_schema {
        Some(_) if request.swap => return usage("swap and into_schema exclude each other"),
        Some(schema) => return Ok(How::IntoSchema { tables, schema: schema.clone() }),
        None => {}
    }
    if !request.swap {
        let resume = request.resume;
        let request =
            restore::RestoreRequest { tables, resume, keep_ledger: true, ..restore::RestoreRequest::default() };
        return Ok(How::Into { request, safety: true, replace: overwrite });
    }
    if !tables.is_empty() {
        return usage("swap replaces the whole database: it takes no tables");
    }
    if !overwrite && !request.dry_run {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("target '{}' may not be replaced by a request", request.target),
        )
        .with_hint(format!("set restore.targets.{}.overwrite = true, or swap from the command line", request.target)));
    }
    Ok(How::Swap)
}
