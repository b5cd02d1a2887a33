//! `restore`: a backup to a target of the configuration, asked for by a person.

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind, Result,
    catalog::{self, BackupReference, Which},
    events::{Body, Failure},
    lease::Occasion,
    ports::RunContext,
    restore::{self, TableName},
};

use crate::{
    requests::{Answer, RestoreAnswer, RestoreRequest, shortened},
    runs::{Destination, How, RestoreOptions, prepare_restore},
    scheduled::Scheduled,
    setup::Setup,
    telling::{Told, tell},
};

/// `restore`: what the request asks for, where the target's configuration allows it.
pub async fn restore(setup: Arc<Setup>, request: RestoreRequest, context: RunContext) -> Result<Answer<RestoreAnswer>> {
    let work = Box::pin(once(&setup, &request, &context));
    let which = request.backup.parse().ok();
    let failed = |failure: Failure| Body::RestoreFailed(Failure { backup_id: which, ..failure });
    tell(&setup, &context, &request.database, failed, work).await
}

/// Once, however often AWS delivers the request: it does so at least once where it was sent to be carried out later. A plan
/// changes nothing and may be asked for at any time.
async fn once(setup: &Setup, request: &RestoreRequest, context: &RunContext) -> Result<Told<Answer<RestoreAnswer>>> {
    let work = Box::pin(work(setup, request, context));
    let Some(id) = setup.request_id().filter(|_| !request.dry_run) else { return Ok(work.await?.map(Answer::Done)) };
    let control = setup.open_control().await?;
    // A store in a folder makes its folder first: the control store may lie below it.
    setup.open_store().await?.probe(&context.run_id).await?;
    let (database, occasion) = (&request.database, Occasion::request(id)?);
    Scheduled { control: &*control, operation: "restore", database, occasion, leased: false }.once(context, work).await
}

async fn work(setup: &Setup, request: &RestoreRequest, context: &RunContext) -> Result<Told<RestoreAnswer>> {
    let how = how(setup, request)?;
    let destination = Destination::named(setup, &request.target, Some(&request.database)).await?;
    let which = if request.backup == "latest" { Which::Latest } else { Which::Id(request.backup.parse()?) };
    let reference = BackupReference { database: Some(request.database.clone()), which };
    let store = setup.open_store().await?;
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
    let options = RestoreOptions { manifest: Arc::clone(&manifest), destination, how, jobs: None };
    let prepared = prepare_restore(setup, options, context).await?;
    if request.dry_run {
        let plan = prepared.predicted(context).await?;
        return Ok(Told::nothing(answer(Some(plan), None)));
    }
    let told = prepared.execute_untold(setup, context).await?;
    Ok(told.map(|restored| answer(None, Some(shortened(restored)))))
}

/// What is asked for. What replaces something must be allowed in the configuration: whoever may invoke a function may not
/// therefore overwrite a database.
fn how(setup: &Setup, request: &RestoreRequest) -> Result<How> {
    let usage = |message: &str| Err(Error::new(ErrorKind::Usage, message));
    let tables = request.tables.iter().map(|name| name.parse()).collect::<Result<Vec<TableName>>>()?;
    // Whether the target exists is said later, in one place.
    let overwrite = setup.config.restore_targets.get(&request.target).is_none_or(|target| target.overwrite.value);
    match &request.into_schema {
        Some(_) if request.swap => return usage("swap and into_schema exclude each other"),
        Some(schema) => return Ok(How::IntoSchema { tables, schema: schema.clone() }),
        None => {}
    }
    if !request.swap {
        let request = restore::RestoreRequest { tables, ..restore::RestoreRequest::default() };
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
