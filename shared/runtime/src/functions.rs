//! What the functions do with a request that was decoded.

use std::sync::Arc;

use lifeboat_core::{Error, ErrorKind, Result, drill::Selection, ids::DatabaseSlug, ports::RunContext};

use crate::{
    requests::{Answer, DrillAnswer, DrillRequest, DumpAnswer, DumpRequest},
    runs::{self, DrillOptions, DumpOptions},
    scheduled::Scheduled,
    setup::{Selected, Setup},
};

/// The database of a request. A function works on configured databases only: an event cannot name a server.
fn selected(setup: &Setup, database: &DatabaseSlug) -> Result<Selected> {
    let selected = setup.one(Some(database), None)?;
    if selected.config.url.is_none() {
        let known: Vec<&str> = setup.config.databases.keys().map(DatabaseSlug::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Error::new(ErrorKind::Config, format!("database '{database}' is not configured (known: {known})")));
    }
    Ok(selected)
}

/// `dump`: one backup, verified.
pub async fn dump(setup: Arc<Setup>, request: DumpRequest, context: RunContext) -> Result<Answer<DumpAnswer>> {
    let selected = selected(&setup, &request.database)?;
    let options = DumpOptions::default();
    let mut unverified = None;
    // The backup counts for its scheduled time as soon as it exists: another delivery must not make a second one,
    // whatever becomes of the verify.
    let work = Box::pin(async {
        let dumped = runs::dump(&setup, &selected, &options, &context).await?;
        unverified = dumped.unverified;
        Ok(dumped.answer)
    });
    let Some(at) = request.scheduled_at else {
        let answer = work.await?;
        return unverified.map_or(Ok(Answer::Done(answer)), Err);
    };
    let control = setup.open_control().await?;
    // A store in a folder makes its folder first: the control store may lie below it.
    setup.open_store().await?.probe(&context.run_id).await?;
    let answer = Scheduled { control: &*control, operation: "dump", database: &request.database, at, leased: true }
        .once(&context, work)
        .await?;
    unverified.map_or(Ok(answer), Err)
}

/// `drill`: one drill, whatever its verdict: a failed drill is a result, and its report says why.
pub async fn drill(setup: Arc<Setup>, request: DrillRequest, context: RunContext) -> Result<Answer<DrillAnswer>> {
    let selected = setup.one(Some(&request.database), None)?;
    let options = DrillOptions {
        select: request.select.as_deref().map(str::parse::<Selection>).transpose()?,
        trigger: if request.scheduled_at.is_some() { "schedule" } else { "request" }.to_owned(),
        ..DrillOptions::default()
    };
    let work =
        Box::pin(async { runs::drill(&setup, &selected, &options, &context).await.map(|o| DrillAnswer::new(&o)) });
    let Some(at) = request.scheduled_at else { return Ok(Answer::Done(work.await?)) };
    let control = setup.open_control().await?;
    Scheduled { control: &*control, operation: "drill", database: &request.database, at, leased: false }
        .once(&context, work)
        .await
}
