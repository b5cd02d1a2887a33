//! Takes a batch of events: saves what becomes of incidents, then tells people in one message.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    blind::{Blind, tell_blindly},
    claims::{claim, release, settle},
    close::{forsaken, gone},
    known,
    ledger::{FOLDER, LIMIT, Ledger, Notice, ledger_key},
    plan::{Planned, plan},
    policy::Policy,
    send::{Outlet, entries},
};
use crate::{
    Error, ErrorKind, Result,
    events::{Body, Event},
    ids::DatabaseSlug,
    messages::of_entries,
    ports::{RunContext, Store, Swap},
};

/// Databases that are worked on at the same time.
const AT_ONCE: usize = 16;
/// Attempts to change a ledger that others change too.
const ATTEMPTS: u32 = 20;
/// The longest pause between two of them.
const PAUSE_MS: u64 = 200;
/// The longest pause before what was sent is tried to be written down again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Databases of one batch for which the store is asked what protects them.
const ASKED: usize = 20;
/// How often all databases are looked at, for reminders and for what could not be sent.
const LOOK_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// Where the last look is written down.
const LOOK_KEY: &str = "looks/alerts.json";

/// What alerts need.
#[derive(Clone)]
pub struct AlertPorts {
    /// Where ledgers lie.
    pub control: Arc<dyn Store>,
    /// Where backups lie, to tell what still protects a database; none: only events tell.
    pub store: Option<Arc<dyn Store>>,
    /// Where messages go.
    pub outlet: Outlet,
    /// What this process has told while the control store could not be reached.
    pub blind: Arc<Blind>,
    /// How long the control store may take for one answer before people are told without it; none: as long as it takes.
    pub patience: Option<Duration>,
}

/// One event as it was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// By which the queue knows it.
    pub id: String,
    /// The event.
    pub event: Event,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// Events that must be delivered again.
    pub failed: Vec<String>,
    /// Incidents that began.
    pub opened: u64,
    /// Incidents that ended.
    pub resolved: u64,
    /// Incidents and successes that the message tells of.
    pub told: u64,
    /// The message, if one was handed on.
    pub message_id: Option<String>,
    /// Channels that did not take it: it is on record for them.
    pub failed_channels: BTreeSet<String>,
    /// The first thing that went wrong.
    pub error: Option<Error>,
}

#[derive(Serialize, Deserialize)]
struct Look {
    at: Timestamp,
}

/// Takes a batch. Events whose incidents could not be saved, or could not be told, are among the failed: to deliver them
/// again does no harm, and has it tried again.
pub async fn run(ports: &AlertPorts, policy: &Policy, batch: &[Received], context: &RunContext) -> BatchOutcome {
    let mut of: BTreeMap<&DatabaseSlug, Vec<&Received>> = BTreeMap::new();
    for received in batch {
        of.entry(&received.event.database).or_default().push(received);
    }
    let asked = AtomicUsize::new(0);
    let mut work = Vec::new();
    for (database, received) in &of {
        let events: Vec<&Event> = received.iter().map(|r| &r.event).collect();
        let (asked, database) = (&asked, *database);
        work.push(async move { (database, fold(ports, policy, (database, false), &events, asked, context).await) });
    }
    let folded: Vec<_> = stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
    let mut outcome = BatchOutcome::default();
    let mut claimed: Vec<Notice> = Vec::new();
    for (database, result) in folded {
        match result {
            Ok((planned, notices)) => {
                outcome.opened += planned.opened;
                outcome.resolved += planned.resolved;
                claimed.extend(notices);
            }
            Err(error) => {
                outcome.failed.extend(of[database].iter().map(|r| r.id.clone()));
                outcome.error.get_or_insert(error);
            }
        }
    }
    let lost =
        outcome.error.as_ref().is_some_and(|e| e.kind() == ErrorKind::Store) && outcome.failed.len() == batch.len();
    if lost && !batch.is_empty() {
        tell_blindly(ports, policy, batch, context).await;
        return outcome;
    }
    if !batch.is_empty() {
        ports.blind.forget();
    }
    claimed.extend(look_around(ports, policy, &of.keys().copied().collect(), false, context).await);
    tell(ports, policy, claimed, &of, &mut outcome, context).await;
    outcome
}

/// Looks at all databases now: reminders that are due, and what could not be sent before.
pub async fn remind(ports: &AlertPorts, policy: &Policy, context: &RunContext) -> BatchOutcome {
    let mut outcome = BatchOutcome::default();
    let claimed = look_around(ports, policy, &BTreeSet::new(), true, context).await;
    tell(ports, policy, claimed, &BTreeMap::new(), &mut outcome, context).await;
    outcome
}

async fn tell(
    ports: &AlertPorts,
    policy: &Policy,
    claimed: Vec<Notice>,
    of: &BTreeMap<&DatabaseSlug, Vec<&Received>>,
    outcome: &mut BatchOutcome,
    context: &RunContext,
) {
    let ids: Vec<String> = claimed.iter().map(|n| n.id.clone()).collect();
    let Some(message) = of_entries(entries(&claimed), &ids, &policy.signature, context.clock.now()) else { return };
    let databases: BTreeSet<&DatabaseSlug> = claimed.iter().map(|n| &n.entry.database).collect();
    let result = ports.outlet.hand_on(&*ports.control, &message, context).await;
    let error = result.as_ref().err().map(ToString::to_string);
    let mut afterwards = Vec::new();
    for database in &databases {
        afterwards.push(after(ports, database, error.as_deref(), context));
    }
    stream::iter(afterwards).buffer_unordered(AT_ONCE).collect::<()>().await;
    match result {
        Ok(failed) => {
            outcome.told = message.entries.len() as u64;
            outcome.message_id = Some(message.id);
            outcome.failed_channels = failed;
        }
        Err(error) => {
            tracing::error!(%error, hint = error.hint(), "people could not be told; it stays to be sent");
            let received = databases.iter().filter_map(|database| of.get(*database)).flatten();
            outcome.failed.extend(received.map(|r| r.id.clone()));
            outcome.error = Some(error);
        }
    }
}

/// Takes the notices that were sent out of a ledger, or gives them back. Tried for a while: what is not on record as sent
/// is sent once more when its claim has lapsed.
async fn after(ports: &AlertPorts, database: &DatabaseSlug, error: Option<&str>, context: &RunContext) {
    let mut pause = Duration::from_millis(100);
    loop {
        let changed = change(&*ports.control, database, context, |ledger| {
            match error {
                Some(error) => release(ledger, &context.run_id, error),
                None => settle(ledger, &context.run_id),
            }
            Ok(())
        });
        let Err(error) = changed.await else { return };
        if pause > LONGEST_PAUSE || context.cancel.pause(pause).await.is_err() {
            tracing::error!(%error, %database, "the ledger does not say what was sent; it may be sent once more");
            return;
        }
        pause *= 4;
    }
}

/// An answer of the control store, or an error if it takes longer than people can wait.
async fn patiently<T>(ports: &AlertPorts, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(patience) = ports.patience else { return work.await };
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        let waited = patience.as_secs();
        Err(Error::new(ErrorKind::Store, format!("the control store gave no answer within {waited} s")))
    })
}

/// Saves what becomes of a database, with a claim on all that is to be told.
async fn fold(
    ports: &AlertPorts,
    policy: &Policy,
    (database, gone): (&DatabaseSlug, bool),
    events: &[&Event],
    asked: &AtomicUsize,
    context: &RunContext,
) -> Result<(Planned, Vec<Notice>)> {
    let mut known = None;
    let asks = |body: &Body| {
        matches!(body, Body::BackupFailed(_) | Body::BackupCorrupt(_) | Body::VerifyFailed(_) | Body::DrillFailed(_))
    };
    let grave = events.iter().any(|e| asks(&e.body));
    if let (true, Some(store)) = (grave, &ports.store)
        && patiently(ports, read(&*ports.control, database)).await?.0.protection().is_none()
        && asked.fetch_add(1, Ordering::Relaxed) < ASKED
    {
        known = known::newest_good(&**store, database, ports.patience).await;
    }
    let now = context.clock.now();
    let changing = change(&*ports.control, database, context, |ledger| {
        if gone {
            *ledger = forsaken(ledger, policy, now);
        }
        let mut planned = plan(ledger, events, policy.of(database), known.as_ref(), now);
        let notices = claim(&mut planned.ledger, &context.run_id, now);
        ledger.clone_from(&planned.ledger);
        Ok((planned, notices))
    });
    patiently(ports, changing).await
}

/// Looks at the databases that are not in the batch, if that is due, and claims what is to be told of them.
async fn look_around(
    ports: &AlertPorts,
    policy: &Policy,
    but: &BTreeSet<&DatabaseSlug>,
    now: bool,
    context: &RunContext,
) -> Vec<Notice> {
    let looked = async {
        if !now && !is_due(ports, policy, context).await? {
            return Ok(Vec::new());
        }
        databases(&*ports.control).await
    };
    let databases: Vec<DatabaseSlug> = patiently(ports, looked).await.unwrap_or_else(|error: Error| {
        tracing::warn!(%error, "reminders may be late: the incidents could not be listed");
        Vec::new()
    });
    let gone = gone(ports, policy, &databases).await;
    let asked = AtomicUsize::new(ASKED);
    let mut work = Vec::new();
    for database in databases.iter().filter(|database| !but.contains(database)) {
        let (asked, of) = (&asked, (database, gone.contains(database)));
        work.push(async move { (database, fold(ports, policy, of, &[], asked, context).await) });
    }
    let folded: Vec<_> = stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
    let mut claimed = Vec::new();
    for (database, result) in folded {
        match result {
            Ok((_, notices)) => claimed.extend(notices),
            Err(error) => tracing::warn!(%error, %database, "its reminders may be late"),
        }
    }
    claimed
}

/// Whether it is time for another look; of several runs at once, one looks.
async fn is_due(ports: &AlertPorts, policy: &Policy, context: &RunContext) -> Result<bool> {
    let quarter = SignedDuration::from_secs(i64::try_from(policy.terms.reminder.0 / 4).unwrap_or(i64::MAX));
    let every = LOOK_EVERY.min(quarter);
    let now = context.clock.now();
    let etag = match ports.control.read(LOOK_KEY, LIMIT).await {
        Ok((bytes, stored)) => match serde_json::from_slice::<Look>(&bytes) {
            Ok(last) if now.duration_since(last.at) < every && last.at <= now => return Ok(false),
            _ => stored.etag,
        },
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(e.context("read when incidents were last looked at")),
    };
    let body = Bytes::from(serde_json::json!({ "at": now }).to_string());
    Ok(matches!(ports.control.swap(LOOK_KEY, etag.as_deref(), body).await?, Swap::Done(_)))
}

/// The databases that have a ledger.
pub(super) async fn databases(control: &dyn Store) -> Result<Vec<DatabaseSlug>> {
    let listed = control.list(FOLDER).await?;
    let names = listed.iter().filter_map(|o| o.key.strip_prefix(FOLDER)?.strip_suffix(".json")?.parse().ok());
    Ok(names.collect())
}

/// A database's ledger and its etag. One that cannot be read is begun anew: silence would be worse than saying twice.
pub(super) async fn read(control: &dyn Store, database: &DatabaseSlug) -> Result<(Ledger, Option<String>)> {
    match control.read(&ledger_key(database), LIMIT).await {
        Ok((bytes, stored)) => Ok(match Ledger::from_json(&bytes) {
            Ok(ledger) => (ledger, stored.etag),
            Err(error) => {
                tracing::error!(%error, %database, "the ledger of incidents is unreadable and is begun anew");
                (Ledger::new(database), stored.etag)
            }
        }),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok((Ledger::new(database), None)),
        Err(e) => Err(e.context(format!("read the incidents of {database}"))),
    }
}

/// Changes a ledger by compare-and-swap, again where others were faster. Nothing is written where nothing changes.
pub(super) async fn change<T>(
    control: &dyn Store,
    database: &DatabaseSlug,
    context: &RunContext,
    mut by: impl FnMut(&mut Ledger) -> Result<T>,
) -> Result<T> {
    let key = ledger_key(database);
    for _ in 0..ATTEMPTS {
        let (before, etag) = read(control, database).await?;
        let mut ledger = before.clone();
        let result = by(&mut ledger)?;
        if ledger == before {
            return Ok(result);
        }
        let body = ledger.to_json()?;
        match control.swap(&key, etag.as_deref(), body.clone()).await {
            Ok(Swap::Done(_)) => return Ok(result),
            Ok(Swap::Lost) => {}
            // The answer may have been lost: whoever looks knows. If others went on from there, so do we.
            Err(error) => match read(control, database).await {
                Ok((there, _)) if there == ledger => return Ok(result),
                Ok((_, now)) if now != etag => {}
                _ => return Err(error.context(format!("save the incidents of {database}"))),
            },
        }
        context.cancel.pause(Duration::from_millis(10 + context.entropy.next() % PAUSE_MS)).await?;
    }
    Err(Error::new(ErrorKind::Store, format!("save the incidents of {database}: others kept changing them")))
}
