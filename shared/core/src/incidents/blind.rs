//! Tells people without the control store, as far as events alone say: each piece of news once on each way.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{
    ledger::{Ledger, Notice},
    plan::plan,
    policy::Policy,
    run::{AlertPorts, Received},
    send::{Outlet, entries},
};
use crate::{
    Result,
    deliveries::Target,
    events::Event,
    ids::DatabaseSlug,
    messages::{Change, Message, of_entries},
    ports::{RunContext, Topic},
};

/// What a process has told while the control store could not be reached, and when. It holds one entry for each incident
/// and way, however long that lasts.
#[derive(Debug, Default)]
pub struct Blind(Mutex<BTreeMap<String, Timestamp>>);

impl Blind {
    /// The control store is back: what happens next is news.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Those that were not told on this way since `from`.
    fn news(&self, way: &str, notices: &[Notice], from: Timestamp) -> Vec<Notice> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| *at > from);
        notices.iter().filter(|notice| !told.contains_key(&key(way, notice))).cloned().collect()
    }

    fn told(&self, way: &str, news: &[Notice], at: Timestamp) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.extend(news.iter().map(|notice| (key(way, notice), at)));
    }
}

/// An incident that lasts makes events again and again: without a ledger each of them seems to open it.
fn key(way: &str, notice: &Notice) -> String {
    let entry = &notice.entry;
    if entry.change == Change::Succeeded {
        return format!("{way}/{}", notice.id);
    }
    let state = if entry.change.is_open() { entry.severity.name() } else { "over" };
    format!("{way}/{}/{}/{state}", entry.database, entry.kind)
}

/// Tells what these events say without any ledger. This process tells the same news once, and once more after the time of
/// a reminder; what a way did not take is told by the next delivery. When the store is back, the queue delivers the events
/// again, and they may be told once more.
pub(super) async fn tell_blindly(ports: &AlertPorts, policy: &Policy, batch: &[Received], context: &RunContext) {
    let now = context.clock.now();
    let mut events: BTreeMap<&DatabaseSlug, Vec<&Event>> = BTreeMap::new();
    for received in batch {
        events.entry(&received.event.database).or_default().push(&received.event);
    }
    let planned = events.into_iter().flat_map(|(database, events)| {
        plan(&Ledger::new(database), &events, policy.of(database), None, now).ledger.notices
    });
    let notices: Vec<Notice> = planned.collect();
    let ways: Vec<Way<'_>> = match &ports.outlet {
        Outlet::Topic(topic) => vec![Way::Topic(&**topic)],
        Outlet::Channels(targets) => targets.iter().map(Way::Channel).collect(),
    };
    // All at once: one that hangs must not keep the others waiting.
    join_all(ways.into_iter().map(|way| tell_one(ports, policy, way, &notices, now))).await;
}

/// One way to people.
enum Way<'a> {
    Topic(&'a dyn Topic),
    Channel(&'a Target),
}

impl Way<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Topic(topic) => topic.name(),
            Self::Channel(target) => target.channel.name(),
        }
    }

    /// None where nothing in the message is for this way.
    async fn send(&self, message: &Message) -> Option<Result<()>> {
        match self {
            Self::Topic(topic) => Some(topic.publish(message).await),
            Self::Channel(target) => Some(target.channel.send(&target.audience.of(message)?).await),
        }
    }
}

async fn tell_one(ports: &AlertPorts, policy: &Policy, way: Way<'_>, notices: &[Notice], now: Timestamp) {
    let reminder = SignedDuration::from_secs(i64::try_from(policy.terms.reminder.0).unwrap_or(i64::MAX));
    let news = ports.blind.news(way.name(), notices, now.saturating_sub(reminder).unwrap_or(Timestamp::MIN));
    let ids: Vec<String> = news.iter().map(|notice| notice.id.clone()).collect();
    let Some(message) = of_entries(entries(&news), &ids, &policy.signature, now) else { return };
    match way.send(&message).await {
        Some(Ok(())) => {
            ports.blind.told(way.name(), &news, now);
            tracing::warn!(message = message.id, way = way.name(), "told without the control store");
        }
        Some(Err(error)) => {
            tracing::error!(%error, way = way.name(), "neither the control store nor this way can be reached");
        }
        None => {}
    }
}
