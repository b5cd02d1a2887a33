//! Delivers messages to channels, once each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::record::{Delivered, FORMAT_VERSION, Record};
use crate::{
    Error, ErrorKind, Result, ResultExt,
    ids::RunId,
    incidents::Claim,
    messages::{Audience, Message},
    ports::{Channel, RunContext, Store, Swap},
};

pub(super) const FOLDER: &str = "messages/";
pub(super) const UNSENT: &str = "messages/unsent/";
/// The most bytes that a message or its record may have.
pub(super) const LIMIT: u64 = 16 << 20;
/// How long a delivery may take before another may take it over.
pub(super) const CLAIM: SignedDuration = SignedDuration::from_mins(5);
/// Attempts to save a record.
const ATTEMPTS: u32 = 8;
const PAUSE_MS: u64 = 100;

/// A channel, and what it is told.
#[derive(Clone)]
pub struct Target {
    /// The channel.
    pub channel: Arc<dyn Channel>,
    /// What it is told.
    pub audience: Audience,
}

/// How a delivery went.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Channels that have the message now.
    pub sent: Vec<String>,
    /// Channels that had it before.
    pub had: Vec<String>,
    /// Channels for which nothing in it is meant.
    pub skipped: Vec<String>,
    /// Channels that do not have it, and why.
    pub failed: BTreeMap<String, String>,
    /// Channels that do not have it, and were not to be tried now.
    pub left: Vec<String>,
    /// Why that is not on record: what was sent may be sent once more.
    pub unrecorded: Option<Error>,
}

impl Delivery {
    /// Whether every channel has it for which something in it is meant.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.left.is_empty()
    }
}

fn record_key(id: &str) -> String {
    format!("{FOLDER}{id}.json")
}

fn unsent_key(id: &str) -> String {
    format!("{UNSENT}{id}.json")
}

/// Delivers a message to every channel that does not have it. `AlreadyRunning` while another run delivers it. Channels
/// that fail are in the answer and on record; an error means that nothing was sent.
pub async fn deliver(
    control: &dyn Store,
    targets: &[Target],
    message: &Message,
    context: &RunContext,
) -> Result<Delivery> {
    deliver_but(control, targets, &BTreeSet::new(), message, context).await
}

/// The same, but without trying these channels now.
pub(super) async fn deliver_but(
    control: &dyn Store,
    targets: &[Target],
    but: &BTreeSet<String>,
    message: &Message,
    context: &RunContext,
) -> Result<Delivery> {
    // First, so that a run that dies in between leaves something to be found.
    let body = serde_json::to_vec(message).or_error(ErrorKind::Unexpected, "write a message")?;
    match control.put_new(&unsent_key(&message.id), Bytes::from(body), &context.run_id).await {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e.context("put a message on record")),
    }
    let mut record = claimed(control, message, context).await?;
    // Nobody waits on a channel that is not configured any more.
    record.channels.retain(|name, d| d.sent_at.is_some() || targets.iter().any(|t| t.channel.name() == name));
    let mut delivery = Delivery::default();
    let now = context.clock.now();
    let mut sending = Vec::new();
    for target in targets {
        let name = target.channel.name();
        if record.channels.get(name).is_some_and(|d| d.sent_at.is_some()) {
            delivery.had.push(name.to_owned());
            continue;
        }
        match target.audience.of(message) {
            None => {
                record.channels.remove(name);
                delivery.skipped.push(name.to_owned());
            }
            Some(_) if but.contains(name) => delivery.left.push(name.to_owned()),
            Some(theirs) => sending.push(async move { (name, target.channel.send(&theirs).await) }),
        }
    }
    for (name, result) in join_all(sending).await {
        let entry = record.channels.entry(name.to_owned()).or_insert(Delivered {
            sent_at: None,
            attempts: 0,
            last_error: None,
        });
        match result {
            Ok(()) => {
                (entry.sent_at, entry.last_error) = (Some(now), None);
                delivery.sent.push(name.to_owned());
            }
            Err(error) => {
                entry.attempts += 1;
                entry.last_error = Some(error.to_string());
                delivery.failed.insert(name.to_owned(), error.to_string());
            }
        }
    }
    if let Err(error) = save(control, &record, context).await {
        tracing::warn!(%error, message = message.id, "what was sent is not on record");
        delivery.unrecorded = Some(error);
    }
    if delivery.is_complete()
        && let Err(error) = control.delete(&unsent_key(&message.id)).await
    {
        tracing::warn!(%error, message = message.id, "a message that was delivered is still listed as unsent");
    }
    Ok(delivery)
}

fn free(claim: Option<&Claim>, run_id: &RunId, now: Timestamp) -> bool {
    claim.is_none_or(|claim| claim.run_id == *run_id || claim.until <= now)
}

/// A message's record, or why it cannot be understood (`Corrupt`), and its etag; none where there is no record.
pub(super) async fn read(control: &dyn Store, id: &str) -> Result<Option<(Result<Record>, Option<String>)>> {
    match control.read(&record_key(id), LIMIT).await {
        Ok((bytes, stored)) => {
            let record = serde_json::from_slice(&bytes).or_error(ErrorKind::Corrupt, "read a message's record");
            Ok(Some((record, stored.etag)))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.context("read a message's record")),
    }
}

fn begun(message: &Message) -> Record {
    Record {
        format_version: FORMAT_VERSION,
        message_id: message.id.clone(),
        subject: message.subject.clone(),
        at: message.at,
        databases: message.entries.iter().map(|entry| entry.database.clone()).collect(),
        claim: None,
        channels: BTreeMap::new(),
    }
}

/// The record with our claim on it. One that cannot be read is begun anew: silence would be worse than saying twice.
async fn claimed(control: &dyn Store, message: &Message, context: &RunContext) -> Result<Record> {
    let now = context.clock.now();
    for _ in 0..ATTEMPTS {
        let (mut record, etag) = match read(control, &message.id).await? {
            Some((Ok(record), etag)) => (record, etag),
            Some((Err(error), etag)) => {
                tracing::error!(%error, message = message.id, "a message's record is unreadable and is begun anew");
                (begun(message), etag)
            }
            None => (begun(message), None),
        };
        if !free(record.claim.as_ref(), &context.run_id, now) {
            return Err(Error::new(
                ErrorKind::AlreadyRunning,
                format!("message {} is being delivered by another run", message.id),
            )
            .with_hint("deliver it again in a minute: what was sent by then is not sent again"));
        }
        let until = now.saturating_add(CLAIM).unwrap_or(now);
        record.claim = Some(Claim { run_id: context.run_id.clone(), until });
        let body = serde_json::to_vec_pretty(&record).or_error(ErrorKind::Unexpected, "write a message's record")?;
        match control.swap(&record_key(&message.id), etag.as_deref(), body.into()).await {
            Ok(Swap::Done(_)) => return Ok(record),
            Ok(Swap::Lost) => {}
            Err(error) => match read(control, &message.id).await? {
                Some((Ok(there), _)) if there == record => return Ok(record),
                _ => return Err(error.context("claim a message")),
            },
        }
        context.cancel.pause(Duration::from_millis(5 + context.entropy.next() % PAUSE_MS)).await?;
    }
    Err(Error::new(ErrorKind::AlreadyRunning, format!("message {} is wanted by many runs", message.id)))
}

/// Writes down what was delivered, and ends our claim.
async fn save(control: &dyn Store, record: &Record, context: &RunContext) -> Result<()> {
    let mut done = record.clone();
    done.claim = None;
    let body: Bytes =
        serde_json::to_vec_pretty(&done).or_error(ErrorKind::Unexpected, "write a message's record")?.into();
    let mut last = Error::new(ErrorKind::Store, "another run took the message over");
    for _ in 0..ATTEMPTS {
        match read(control, &record.message_id).await {
            Ok(Some((Ok(there), _))) if there == done => return Ok(()),
            Ok(Some((Ok(there), etag))) if there.claim == record.claim => {
                match control.swap(&record_key(&record.message_id), etag.as_deref(), body.clone()).await {
                    Ok(Swap::Done(_)) => return Ok(()),
                    Ok(Swap::Lost) => {}
                    Err(error) => last = error,
                }
            }
            Ok(_) => break,
            Err(error) => last = error,
        }
        context.cancel.pause(Duration::from_millis(5 + context.entropy.next() % PAUSE_MS)).await?;
    }
    Err(last.context(format!("write down that message {} was delivered", record.message_id)))
}
