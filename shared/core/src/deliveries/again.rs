//! Messages that have not reached every channel: which they are, another attempt, and the end of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    record::Undelivered,
    run::{CLAIM, FOLDER, LIMIT, Target, UNSENT, deliver_but, read},
    unreadable,
};
use crate::{
    Error, ErrorKind, Result, ResultExt,
    messages::Message,
    ports::{Listed, RunContext, Store},
};

/// What is older is not tried again.
pub(super) const TRIED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is older is forgotten.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What came of another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Again {
    /// Messages that every channel has now.
    pub delivered: u64,
    /// Messages that some channel still does not have.
    pub left: u64,
}

/// Tries again what did not reach every channel, oldest first, for a week. A channel that fails, and those in `but`, are
/// not tried any more by this run, and after `budget` no further message is begun: what is left is for the next run.
/// Failures are on record. Removes what is too old as well.
pub async fn deliver_again(
    control: &dyn Store,
    targets: &[Target],
    but: &BTreeSet<String>,
    budget: Duration,
    context: &RunContext,
) -> Result<Again> {
    let began = context.clock.monotonic_seconds();
    if let Err(error) = forget(control, context.clock.now()).await {
        tracing::warn!(%error, "records of old messages were not removed");
    }
    let mut unsent = control.list(UNSENT).await?;
    unsent.sort_by_key(|listed| listed.modified);
    let (mut failed, mut again) = (but.clone(), Again::default());
    for listed in &unsent {
        let spent = context.clock.monotonic_seconds() - began >= budget.as_secs_f64();
        let nobody = targets.iter().all(|target| failed.contains(target.channel.name()));
        if spent || nobody || context.cancel.check().is_err() {
            again.left += 1;
            continue;
        }
        let tried = async {
            let (bytes, _) = control.read(&listed.key, LIMIT).await?;
            let message: Message = serde_json::from_slice(&bytes).or_error(ErrorKind::Corrupt, "read a message")?;
            deliver_but(control, targets, &failed, &message, context).await
        };
        match tried.await {
            Ok(delivery) => {
                tracing::info!(key = listed.key, complete = delivery.is_complete(), "tried a message again");
                let arrived = u64::from(delivery.is_complete());
                (again.delivered, again.left) = (again.delivered + arrived, again.left + 1 - arrived);
                failed.extend(delivery.failed.into_keys());
            }
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyRunning | ErrorKind::NotFound) => {}
            Err(error) => {
                tracing::warn!(%error, key = listed.key, "a message could not be tried again");
                again.left += 1;
            }
        }
    }
    Ok(again)
}

fn id_of(key: &str) -> Option<&str> {
    key.strip_prefix(UNSENT)?.strip_suffix(".json")
}

/// Messages that have not reached every channel and are still tried, and what `alert` could not read, oldest first. Those that a run is about to deliver
/// are not among them, those of a run that died are.
pub async fn undelivered(control: &dyn Store, now: Timestamp) -> Result<Vec<Undelivered>> {
    let mut found = unreadable::unreadable(control, now).await?;
    for listed in control.list(UNSENT).await? {
        let age = now.duration_since(listed.modified);
        let Some(id) = id_of(&listed.key).filter(|_| age <= TRIED_FOR) else { continue };
        match read(control, id).await? {
            Some((Ok(record), _)) => {
                let failed = record.channels.iter().filter(|(_, d)| d.sent_at.is_none());
                let mut channels: BTreeMap<String, String> =
                    failed.map(|(name, d)| (name.clone(), d.last_error.clone().unwrap_or_default())).collect();
                let died = record.claim.as_ref().is_some_and(|claim| claim.until <= now);
                if channels.is_empty() && died {
                    channels.extend(all("the run that was to deliver it ended without a word"));
                }
                let (message_id, subject, at) = (record.message_id, record.subject, record.at);
                found.push(Undelivered { message_id, subject, at, databases: record.databases, channels });
            }
            Some((Err(error), _)) => found.push(unknown(control, &listed, id, &error.to_string()).await),
            None if age > CLAIM => {
                found.push(unknown(control, &listed, id, "the run that was to deliver it ended without a word").await);
            }
            None => {}
        }
    }
    found.retain(|message| !message.channels.is_empty());
    found.sort_by_key(|message| message.at);
    Ok(found)
}

fn all(why: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("all".to_owned(), why.to_owned())])
}

/// A message without a record that can be read: what it says itself, as far as that can be read.
async fn unknown(control: &dyn Store, listed: &Listed, id: &str, why: &str) -> Undelivered {
    let read = async {
        let (bytes, _) = control.read(&listed.key, LIMIT).await?;
        serde_json::from_slice::<Message>(&bytes).or_error(ErrorKind::Corrupt, "read a message")
    };
    let message = read.await.inspect_err(|error: &Error| tracing::warn!(%error, id, "a message cannot be read")).ok();
    Undelivered {
        message_id: id.to_owned(),
        subject: message.as_ref().map_or_else(|| format!("message {id}"), |message| message.subject.clone()),
        at: listed.modified,
        databases: message.iter().flat_map(|m| &m.entries).map(|entry| entry.database.clone()).collect(),
        channels: all(why),
    }
}

/// Forgets what is older than a month, what could not be read after a week, and gives up what did not arrive within one.
pub async fn forget(control: &dyn Store, now: Timestamp) -> Result<u64> {
    let mut forgotten = 0;
    for listed in control.list(FOLDER).await? {
        let age = now.duration_since(listed.modified);
        let unsent = listed.key.starts_with(UNSENT);
        let briefly = unsent || listed.key.starts_with(unreadable::FOLDER);
        if age > KEPT_FOR || (briefly && age > TRIED_FOR) {
            control.delete(&listed.key).await?;
            forgotten += 1;
            if unsent {
                tracing::error!(key = listed.key, "a message did not arrive within a week and is given up");
            }
        }
    }
    Ok(forgotten)
}
