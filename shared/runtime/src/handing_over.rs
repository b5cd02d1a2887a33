//! Hands a run that would outlast its function over to a task from the same image, with the same request.

use std::{sync::Arc, time::Duration};

use lifeboat_core::{
    Error, ErrorKind, Result,
    ids::DatabaseSlug,
    lease::Occasion,
    manifest::sha256_hex,
    ports::{RunContext, TaskPlace, TaskWish},
    report::words::duration,
    runner::{Runner, RunsOn},
};

use crate::{
    lambda::Host,
    one_run::{OneRun, Standing},
    requests::{Answer, HandedOver},
    setup::Setup,
};

/// The variable by which a function knows the task: JSON, as a deployment makes it.
const PLACE: &str = "LIFEBOAT_TASK";

/// The variable by which a task is given its request.
pub(crate) const REQUEST: &str = "LIFEBOAT_REQUEST";

/// The variable by which a task is given the id under which AWS delivered its request, where that names the run.
pub(crate) const REQUEST_ID: &str = "LIFEBOAT_REQUEST_ID";

/// What one invocation of a function gives, or a task's one request.
#[derive(Debug, Clone)]
pub(crate) struct Invoked {
    /// The request as it came.
    pub(crate) request: String,
    /// As AWS names it: the same when it is delivered again; empty in a task that was not given one.
    pub(crate) request_id: String,
    /// How much time there is for the work.
    pub(crate) time: Duration,
    /// How long the run may take, cleaning up included.
    pub(crate) longest: Duration,
    /// What runs it.
    pub(crate) host: Host,
}

/// A run that may be handed over.
pub(crate) struct Handing<'a> {
    setup: &'a Setup,
    operation: &'a str,
    database: &'a DatabaseSlug,
    runner: Runner,
    place: TaskPlace,
    invoked: Arc<Invoked>,
}

impl<'a> Handing<'a> {
    /// `None` where the run is to be done right here: the configuration wants it, no task is deployed, or this is one.
    pub(crate) fn of(
        setup: &'a Setup,
        operation: &'a str,
        database: &'a DatabaseSlug,
        runner: Runner,
    ) -> Result<Option<Self>> {
        let (Some(invoked), Some(place)) = (setup.invoked(), setup.environment().text(PLACE)?) else { return Ok(None) };
        if runner == Runner::Lambda || invoked.host == Host::Task {
            return Ok(None);
        }
        let place = serde_json::from_str(&place)
            .map_err(|e| Error::new(ErrorKind::Config, format!("{PLACE}: {e}")).with_hint("deploy again"))?;
        Ok(Some(Self { setup, operation, database, runner, place, invoked: Arc::clone(invoked) }))
    }

    /// Before the run is claimed, which the task does: its answer where it is not this function's to make. A prediction
    /// that fails keeps nothing from being done.
    pub(crate) async fn before<T>(
        &self,
        run: Option<&OneRun<'_>>,
        predicting: impl Future<Output = Result<Option<f64>>>,
        context: &RunContext,
    ) -> Result<Option<Answer<T>>> {
        let attempt = match standing(run, context).await? {
            Ok(attempt) => attempt,
            Err(answer) => return Ok(Some(answer)),
        };
        let predicted = match self.runner {
            Runner::Auto => context.cancel.race(predicting).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "how long the run will take could not be predicted; it is tried here");
                None
            }),
            Runner::Lambda | Runner::Fargate => None,
        };
        let has = self.invoked.time.as_secs_f64();
        // Of the attempt before, which may have been handed over a moment ago, it is only known that it did not succeed.
        let again = predicted.is_none() && attempt.as_ref().is_some_and(|attempt| attempt.again);
        if !again && RunsOn::of(self.runner, predicted, has) == RunsOn::Lambda {
            return Ok(None);
        }
        let why = match (predicted, self.runner) {
            (Some(seconds), _) => {
                format!("it is predicted to take {}, and the function has {}", duration(seconds), duration(has))
            }
            (None, Runner::Fargate) => "the configuration says that a task runs it".to_owned(),
            (None, _) => "the attempt before did not succeed".to_owned(),
        };
        Box::pin(self.start(run, attempt, why)).await.map(Some)
    }

    /// After a run that nothing had foretold has come to the end of the function's time, and has cleaned up behind it.
    pub(crate) async fn after<T>(&self, run: Option<&OneRun<'_>>, context: &RunContext) -> Result<Answer<T>> {
        match standing(run, context).await? {
            Ok(attempt) => Box::pin(self.start(run, attempt, "the function's time did not suffice".to_owned())).await,
            Err(answer) => Ok(answer),
        }
    }

    async fn start<T>(&self, run: Option<&OneRun<'_>>, attempt: Option<Attempt>, why: String) -> Result<Answer<T>> {
        let Invoked { request, request_id, .. } = &*self.invoked;
        // One task for one attempt at a run that happens once, else for one invocation, however often it is delivered.
        let attempt = attempt.map_or_else(|| format!("request {request_id}"), |attempt| attempt.name);
        let mut variables = vec![(REQUEST.to_owned(), request.clone())];
        // What is scheduled comes under several ids, and is one run.
        if !run.is_some_and(|run| matches!(run.occasion, Occasion::Scheduled(_))) {
            variables.push((REQUEST_ID.to_owned(), request_id.clone()));
        }
        let started_by = format!("{}/{}", self.operation, self.database);
        let place = self.place.clone();
        // Under one token a cluster takes one and the same call only: what asks in other words, or for another revision, is
        // another task, and by the claim only one of them does the run.
        let token = serde_json::to_vec(&(&place, &variables, &started_by, attempt))
            .map_err(|e| Error::new(ErrorKind::Unexpected, format!("name a task: {e}")))?;
        let wish = TaskWish { place, variables, token: sha256_hex(&token), started_by };
        let starting = async { self.setup.open_tasks().await?.start(&wish).await };
        let task = starting.await.map_err(|e| {
            let hint = e.hint().to_owned();
            e.context(format!("hand the {} of {} over, because {why}", self.operation, self.database)).with_hint(hint)
        })?;
        tracing::info!(task, why, "the run is handed over");
        Ok(Answer::HandedOver(HandedOver { database: self.database.clone(), task, why }))
    }
}

/// What tells one attempt at a run that happens once from others.
struct Attempt {
    name: String,
    /// Whether there was one before it.
    again: bool,
}

/// The attempt that would be made now; or the answer, where it was made or is being made.
async fn standing<T>(
    run: Option<&OneRun<'_>>,
    context: &RunContext,
) -> Result<std::result::Result<Option<Attempt>, Answer<T>>> {
    let Some(run) = run else { return Ok(Ok(None)) };
    Ok(match run.standing(context).await? {
        Standing::Done(earlier) => Err(Answer::AlreadyDone { earlier }),
        Standing::Running => Err(Answer::AlreadyRunning),
        Standing::Open(None) => Ok(Some(Attempt { name: run.occasion.to_string(), again: false })),
        Standing::Open(Some(since)) => {
            Ok(Some(Attempt { name: format!("{} after {since}", run.occasion), again: true }))
        }
    })
}

#[cfg(test)]
mod tests;
