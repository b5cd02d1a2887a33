//! Leases: at most one writing run per database, kept in the control store by compare-and-swap, and run keys.

mod guard;
mod run_key;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use guard::LeaseGuard;
pub use run_key::{Occasion, RunClaim, answer_key, claim_run, run_key};

use crate::{
    Error, ErrorKind, Result, ResultExt,
    cancel::Canceller,
    ids::{DatabaseSlug, RunId},
    ports::{RunContext, Store, Swap},
};

/// The longest time that a lease may outlive its holder.
pub const LONGEST_TTL: Duration = Duration::from_mins(1);

/// How often a waiting run looks whether the lease is free.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The most bytes that a lease may have.
const LEASE_LIMIT: u64 = 64 << 10;

/// A lease as it lies in the control store, `leases/<database>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// 1.
    pub format_version: u32,
    /// The run that holds it.
    pub run_id: RunId,
    /// What the run does: `dump`, `maintenance`, …
    pub operation: String,
    /// Where it runs, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Since when, by the holder's clock.
    pub acquired_at: Timestamp,
    /// Until when, by the holder's clock, unless it is renewed.
    pub expires_at: Timestamp,
    /// Seconds that each renewal adds.
    pub ttl_seconds: u64,
    /// The holder gave it back.
    #[serde(default)]
    pub released: bool,
}

impl Lease {
    /// Whether, by this clock, it holds nobody off any more.
    pub fn lapsed(&self, now: Timestamp) -> bool {
        self.released || self.expires_at <= now
    }

    /// From JSON; `Corrupt` where it is none.
    fn from_json(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).or_error(ErrorKind::Corrupt, "read lease")
    }

    fn to_json(&self) -> Result<Bytes> {
        Ok(serde_json::to_vec_pretty(self).or_error(ErrorKind::Unexpected, "write lease")?.into())
    }
}

/// How a lease is taken.
#[derive(Debug, Clone)]
pub struct LeaseOptions {
    /// How long it outlives a holder that died, at most [`LONGEST_TTL`].
    pub ttl: Duration,
    /// How long to wait for another holder's; zero: fail at once. With at least its TTL, also the lease of a dead
    /// holder is taken whose clock ran ahead: one that stays unchanged for its whole TTL has lapsed.
    pub wait: Duration,
    /// Where this runs, for people.
    pub host: Option<String>,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self { ttl: LONGEST_TTL, wait: Duration::ZERO, host: None }
    }
}

/// The key of a database's lease in the control store.
pub fn lease_key(database: &DatabaseSlug) -> String {
    format!("leases/{database}.json")
}

/// Who holds a database's lease now, by the context's clock; `None` where nobody does.
pub async fn holder(control: &dyn Store, database: &DatabaseSlug, now: Timestamp) -> Result<Option<Lease>> {
    match look(control, database).await? {
        Seen::Free => Ok(None),
        Seen::Lease { lease, .. } => Ok(Some(lease).filter(|lease| !lease.lapsed(now))),
        Seen::Unreadable { key, .. } => {
            Err(Error::new(ErrorKind::Corrupt, format!("{key} is not a lease")).with_hint(UNREADABLE_HINT))
        }
    }
}

const UNREADABLE_HINT: &str = "make sure that no run is under way, then delete that object from the control store";

/// Takes the lease of a database, and keeps renewing it until the guard is released or dropped.
///
/// `AlreadyRunning` where another run holds it, naming the run. If the lease is lost later, `canceller` is pressed
/// with `AlreadyRunning`, and with `Store` if it cannot be renewed. Must be called within a tokio runtime.
pub async fn acquire(
    control: Arc<dyn Store>,
    database: &DatabaseSlug,
    operation: &str,
    context: &RunContext,
    canceller: Canceller,
    options: LeaseOptions,
) -> Result<LeaseGuard> {
    if options.ttl.is_zero() || options.ttl > LONGEST_TTL {
        return Err(Error::new(
            ErrorKind::Config,
            format!("a lease's time to live must be between 1 and {} seconds", LONGEST_TTL.as_secs()),
        ));
    }
    let clock = &context.clock;
    let give_up = clock.monotonic_seconds() + options.wait.as_secs_f64();
    // The etag that was last seen, since when by our own monotonic clock.
    let mut watched: Option<(Option<String>, f64)> = None;
    loop {
        let seen = look(control.as_ref(), database).await?;
        let monotonic = clock.monotonic_seconds();
        let etag = seen.etag();
        if watched.as_ref().is_none_or(|(before, _)| *before != etag) {
            watched = Some((etag.clone(), monotonic));
        }
        let unchanged = watched.as_ref().map_or(0.0, |(_, since)| monotonic - since);
        if seen.may_be_taken(&context.run_id, clock.now(), unchanged) {
            let lease = new_lease(operation, context, &options)?;
            if let Some(etag) = take(control.as_ref(), database, etag.as_deref(), &lease).await? {
                let guard = LeaseGuard::begin(control, database, lease, etag, context, canceller, options.ttl);
                return Ok(guard);
            }
            // Somebody was faster: look who.
        }
        if clock.monotonic_seconds() >= give_up {
            let seen = look(control.as_ref(), database).await?;
            return Err(held_by_another(database, &seen));
        }
        context.cancel.pause(LOOK_EVERY.min(options.wait)).await?;
    }
}

fn new_lease(operation: &str, context: &RunContext, options: &LeaseOptions) -> Result<Lease> {
    let now = context.clock.now();
    let mut lease = Lease {
        format_version: 1,
        run_id: context.run_id.clone(),
        operation: operation.to_owned(),
        host: options.host.clone(),
        acquired_at: now,
        expires_at: now,
        ttl_seconds: options.ttl.as_secs().max(1),
        released: false,
    };
    lease.expires_at = expiry(now, options.ttl)?;
    Ok(lease)
}

fn expiry(now: Timestamp, ttl: Duration) -> Result<Timestamp> {
    let ttl = SignedDuration::try_from(ttl).or_error(ErrorKind::Unexpected, "add the lease's time to live")?;
    now.checked_add(ttl).or_error(ErrorKind::Unexpected, "add the lease's time to live")
}

/// What lies under a lease's key.
enum Seen {
    Free,
    Lease { lease: Lease, etag: Option<String> },
    Unreadable { key: String, etag: Option<String> },
}

impl Seen {
    fn etag(&self) -> Option<String> {
        match self {
            Self::Free => None,
            Self::Lease { etag, .. } | Self::Unreadable { etag, .. } => etag.clone(),
        }
    }

    /// Free, lapsed, our own from an answer that got lost, or unchanged for its whole TTL although its holder's clock
    /// says that it lives.
    fn may_be_taken(&self, run_id: &RunId, now: Timestamp, unchanged_seconds: f64) -> bool {
        match self {
            Self::Free => true,
            Self::Lease { lease, .. } => {
                let ttl = Duration::from_secs(lease.ttl_seconds).min(LONGEST_TTL);
                lease.run_id == *run_id || lease.lapsed(now) || unchanged_seconds >= ttl.as_secs_f64()
            }
            Self::Unreadable { .. } => unchanged_seconds >= LONGEST_TTL.as_secs_f64(),
        }
    }
}

async fn look(control: &dyn Store, database: &DatabaseSlug) -> Result<Seen> {
    let key = lease_key(database);
    let (bytes, stored) = match control.read(&key, LEASE_LIMIT).await {
        Ok(read) => read,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Seen::Free),
        Err(e) => return Err(e.context(format!("read the lease of {database}"))),
    };
    Ok(match Lease::from_json(&bytes) {
        Ok(lease) => Seen::Lease { lease, etag: stored.etag },
        Err(_) => Seen::Unreadable { key, etag: stored.etag },
    })
}

/// Writes the lease if nothing changed since; its etag if it is ours now, `None` if another was faster. A lost answer,
/// to this write or to an earlier one that was cut off, is resolved by looking.
async fn take(
    control: &dyn Store,
    database: &DatabaseSlug,
    expected: Option<&str>,
    lease: &Lease,
) -> Result<Option<String>> {
    let mut expected = expected.map(str::to_owned);
    for _ in 0..2 {
        let swapped = control.swap(&lease_key(database), expected.as_deref(), lease.to_json()?).await;
        if let Ok(Swap::Done(stored)) = &swapped
            && let Some(etag) = &stored.etag
        {
            return Ok(Some(etag.clone()));
        }
        match (look(control, database).await?, swapped) {
            (Seen::Lease { lease: there, etag }, _) if there == *lease => return Ok(etag),
            (_, Err(e)) => return Err(e.context(format!("take the lease of {database}"))),
            // An earlier write of ours arrived after all: go on from there.
            (Seen::Lease { lease: there, etag }, _) if there.run_id == lease.run_id && !there.released => {
                expected = etag;
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn held_by_another(database: &DatabaseSlug, seen: &Seen) -> Error {
    match seen {
        Seen::Lease { lease, .. } => {
            let host = lease.host.as_ref().map_or_else(String::new, |h| format!(" on {h}"));
            Error::new(
                ErrorKind::AlreadyRunning,
                format!(
                    "the lease of {database} is held by run {} ({}{host}) since {:.0}; it lapses at {:.0} unless renewed",
                    lease.run_id, lease.operation, lease.acquired_at, lease.expires_at
                ),
            )
        }
        Seen::Unreadable { key, .. } => Error::new(
            ErrorKind::AlreadyRunning,
            format!("the lease of {database} cannot be read, so that nobody knows whether it is held: {key}"),
        )
        .with_hint(UNREADABLE_HINT),
        Seen::Free => {
            Error::new(ErrorKind::AlreadyRunning, format!("another run was faster to take the lease of {database}"))
                .with_hint("run it again")
        }
    }
}
