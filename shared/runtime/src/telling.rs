//! How a run tells the bus what happened, and what becomes of events that cannot be told.

use std::time::Duration;

use lifeboat_core::{
    Error, ErrorKind, Result,
    events::{Body, Event, FORMAT_VERSION, Failure},
    ids::DatabaseSlug,
    ports::RunContext,
    undelivered::{self, Undelivered},
};

use crate::{
    metrics::{self, Metric},
    setup::Setup,
};

/// How long the bus, and then the control store, have to take events: a run that tells of its deadline has a minute.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a run came to, and what there is to tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told<A> {
    /// The answer.
    pub answer: A,
    /// What happened, in order; empty where nothing did.
    pub events: Vec<Body>,
    /// Figures beside those that the events hold.
    pub metrics: Vec<Metric>,
}

impl<A> Told<A> {
    /// An answer and what happened.
    pub fn new(answer: A, events: Vec<Body>) -> Self {
        Self { answer, events, metrics: Vec::new() }
    }

    /// An answer of which nobody need hear: nothing happened.
    pub fn nothing(answer: A) -> Self {
        Self::new(answer, Vec::new())
    }

    /// With further figures.
    #[must_use]
    pub fn with_metrics(mut self, metrics: impl IntoIterator<Item = Metric>) -> Self {
        self.metrics.extend(metrics);
        self
    }

    /// Another answer made of this one.
    pub fn map<B>(self, change: impl FnOnce(A) -> B) -> Told<B> {
        Told { answer: change(self.answer), events: self.events, metrics: self.metrics }
    }
}

/// Whether an error of this kind is nobody's business but the caller's: another run does the work, or a person stopped
/// this one. Nobody sits before a task: it is stopped by the platform, or from afar.
pub(crate) fn silent(setup: &Setup, kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::AlreadyRunning => true,
        ErrorKind::Interrupted => !setup.in_a_task(),
        _ => false,
    }
}

/// Does the work, tells the bus what happened, and writes the run's line of metrics. An error is told as `failed` makes
/// an event of it, unless another run does the work or a person stopped it. Telling never fails the run: see [`publish`].
pub async fn tell<A>(
    setup: &Setup,
    context: &RunContext,
    database: &DatabaseSlug,
    failed: impl FnOnce(Failure) -> Body,
    work: impl Future<Output = Result<Told<A>>>,
) -> Result<A> {
    let began = context.clock.monotonic_seconds();
    let result = work.await;
    let duration = Metric::seconds("Duration", context.clock.monotonic_seconds() - began);
    let (bodies, further, success) = match &result {
        Ok(told) => (told.events.clone(), told.metrics.clone(), 1),
        Err(e) if silent(setup, e.kind()) || misspelt(setup, e.kind()) => (Vec::new(), Vec::new(), 0),
        Err(e) => (vec![failed(Failure::of(e))], Vec::new(), 0),
    };
    if !bodies.is_empty() || !further.is_empty() {
        let mut figures = vec![duration, Metric::count("Success", success)];
        figures.extend(bodies.iter().flat_map(metrics::of));
        figures.extend(further);
        metrics::emit(setup, context, database, &figures);
    }
    Box::pin(publish(setup, context, bodies.into_iter().map(|body| event(context, database, body)).collect())).await;
    result.map(|told| told.answer)
}

/// Tells of a run that failed, of which nobody has told yet, and writes its line of metrics.
pub async fn tell_failure(
    setup: &Setup,
    context: &RunContext,
    database: &DatabaseSlug,
    error: &Error,
    failed: impl FnOnce(Failure) -> Body,
) {
    if silent(setup, error.kind()) || misspelt(setup, error.kind()) {
        return;
    }
    metrics::emit(setup, context, database, &[Metric::count("Success", 0)]);
    let body = failed(Failure::of(error));
    Box::pin(publish(setup, context, vec![event(context, database, body)])).await;
}

/// At the command line, whoever misspelt something sees it; in a function's request, somebody must be told.
fn misspelt(setup: &Setup, kind: ErrorKind) -> bool {
    kind == ErrorKind::Usage && setup.operation().is_none()
}

/// An event of this run, as of now.
pub fn event(context: &RunContext, database: &DatabaseSlug, body: Body) -> Event {
    Event {
        format_version: FORMAT_VERSION,
        run_id: context.run_id.clone(),
        database: database.clone(),
        at: context.clock.now(),
        body,
    }
}

/// Publishes events. What the bus does not take is kept in the control store, and what that does not take either stands
/// in the log: the run itself does not fail for it.
pub async fn publish(setup: &Setup, context: &RunContext, events: Vec<Event>) {
    if events.is_empty() {
        return;
    }
    let names: Vec<&str> = events.iter().map(|e| e.body.name()).collect();
    let Err(error) = Box::pin(send(setup, &events)).await else {
        tracing::debug!(events = names.join(", "), "told");
        return;
    };
    tracing::error!(kind = error.kind().name(), hint = error.hint(), "{error}");
    let undelivered = Undelivered { reason: error.to_string(), events };
    let keeping = async {
        let control = setup.open_control().await?;
        undelivered::keep(&*control, &undelivered, context).await
    };
    match within("keep events that were not delivered", keeping).await {
        Ok(key) => tracing::warn!(key, "events were not delivered; health sends them again"),
        Err(error) => {
            let events = serde_json::to_string(&undelivered.events).unwrap_or_default();
            tracing::error!(%error, events, "events were neither delivered nor kept");
        }
    }
}

async fn send(setup: &Setup, events: &[Event]) -> Result<()> {
    let sending = async {
        match setup.open_bus().await? {
            Some(bus) => bus.publish(events).await,
            None => Ok(()),
        }
    };
    Box::pin(within("publish events", sending)).await
}

async fn within<T>(doing: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Store, format!("{doing}: no answer within {} s", PATIENCE.as_secs())))
    })
}

/// Sends everything again that could not be delivered, oldest first, and gives the number of events. Ends at the first
/// failure of the bus: what is not delivered stays kept. What cannot be read stays too, and is named in the log. An event
/// that the bus will never take holds up no other: it stays, and is the error at the end.
pub async fn send_undelivered(setup: &Setup, context: &RunContext) -> Result<u64> {
    let control = context.cancel.race(setup.open_control()).await?;
    let (mut sent, mut refused) = (0, None);
    for key in context.cancel.race(undelivered::list(&*control)).await? {
        let mut kept = match context.cancel.race(undelivered::read(&*control, &key)).await {
            Ok(kept) => kept,
            // Another run was faster.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) if e.kind() == ErrorKind::Corrupt => {
                tracing::error!(key, "events that were not delivered cannot be read: {e}");
                continue;
            }
            Err(e) => return Err(e),
        };
        let events = kept.events.len();
        let again = |e: Error| e.context(format!("send {key} again"));
        match context.cancel.race(Box::pin(send(setup, &kept.events))).await {
            Ok(()) => kept.events.clear(),
            Err(e) if e.kind() == ErrorKind::Refused => {
                tracing::error!(key, hint = e.hint(), "{e}");
                let sending = Box::pin(one_by_one(setup, std::mem::take(&mut kept.events)));
                kept.events = context.cancel.race(sending).await.map_err(again)?;
                let hint = format!("the bus will never take it: read {key} in the control store, then delete it there");
                refused.get_or_insert(again(e).with_hint(hint));
            }
            Err(e) => return Err(again(e)),
        }
        let left = kept.events.len();
        if left == events {
            continue;
        }
        if left > 0 {
            undelivered::keep(&*control, &kept, context).await?;
        }
        undelivered::forget(&*control, &key).await?;
        sent += (events - left) as u64;
        tracing::info!(key, reason = kept.reason, left, "events were delivered after all");
    }
    refused.map_or(Ok(sent), Err)
}

/// Sends each event by itself, and gives those that the bus refuses. The only one was refused already.
async fn one_by_one(setup: &Setup, events: Vec<Event>) -> Result<Vec<Event>> {
    if events.len() < 2 {
        return Ok(events);
    }
    let mut refused = Vec::new();
    for event in events {
        match send(setup, std::slice::from_ref(&event)).await {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Refused => refused.push(event),
            Err(e) => return Err(e),
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests;
