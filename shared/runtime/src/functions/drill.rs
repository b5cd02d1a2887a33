//! `drill`: one drill per scheduled time, in one go or step by step.

mod ended;
mod step;
mod validation;

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind, Result,
    drill::{Origin, Selection},
    forecast,
    lease::Occasion,
    ports::RunContext,
};

use crate::{
    handing_over::Handing,
    one_run::{Alive, OneRun},
    requests::{Answer, DrillAnswer, DrillReply, DrillRequest, DrillTrigger},
    runs::{self, DrillOptions},
    setup::Setup,
    telling::{Told, tell},
};

/// `drill`: a whole drill, one step of it, or the end of an execution that did not come to its end.
pub async fn drill(setup: Arc<Setup>, trigger: DrillTrigger, context: RunContext) -> Result<DrillReply> {
    match trigger {
        DrillTrigger::Whole(request) => Box::pin(whole(&setup, request, &context)).await.map(DrillReply::Whole),
        DrillTrigger::Step(step) => Box::pin(step::step(&setup, &step, &context)).await.map(DrillReply::State),
        DrillTrigger::Ended(ended) => Box::pin(ended::ended(&setup, &ended, &context)).await.map(DrillReply::Ending),
    }
}

fn trigger(request: &DrillRequest) -> String {
    let tested = request.origin.as_ref().and_then(Origin::restore_job).is_some();
    match request.scheduled_at {
        _ if tested => "restore test of AWS Backup",
        Some(_) => "schedule",
        None => "request",
    }
    .to_owned()
}

/// One drill, whatever its verdict: a failed drill is a result, and its report says why.
async fn whole(setup: &Setup, request: DrillRequest, context: &RunContext) -> Result<Answer<DrillAnswer>> {
    let database = request.database.clone();
    let origin = request.origin.as_ref().map(ToString::to_string);
    let work = Box::pin(async {
        let selected = setup.one(Some(&request.database), None)?;
        if let Some(origin) = &request.origin {
            let message = format!("a {origin} cannot be drilled in one go");
            return Err(Error::new(ErrorKind::Usage, message).with_hint("start the state machine with this request"));
        }
        let options = DrillOptions {
            select: request.select.as_deref().map(str::parse::<Selection>).transpose()?,
            trigger: trigger(&request),
            ..DrillOptions::default()
        };
        let (control, store, database) = (setup.open_control().await?, setup.open_store().await?, &request.database);
        let run = request.scheduled_at.map(|at| OneRun {
            control: &*control,
            operation: "drill",
            database,
            occasion: Occasion::Scheduled(at),
            alive: Alive::Claimed,
            longest: setup.longest(),
        });
        if let Some(handing) = Handing::of(setup, "drill", database, selected.config.runner.value)?
            && let Some(answer) =
                handing.before(run.as_ref(), forecast::predict_drill(&*store, database), context).await?
        {
            return Ok(Told::nothing(answer));
        }
        let work = Box::pin(async {
            let told = runs::drill_untold(setup, &selected, &options, context).await?;
            Ok(told.map(|outcome| DrillAnswer::new(&outcome)))
        });
        match &run {
            Some(run) => run.once(context, work).await,
            None => Ok(work.await?.map(Answer::Done)),
        }
    });
    tell(setup, context, &database, |failure| runs::drill_failed_with(failure, origin), work).await
}

#[cfg(test)]
mod tests;
