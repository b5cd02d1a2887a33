//! A lease while it is held: renewed in the background, checked before a commit, given back at the end.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, task::JoinHandle};

use crate::{
    Error, ErrorKind, Result,
    cancel::Canceller,
    ids::DatabaseSlug,
    lease::{Lease, expiry, take},
    ports::{Clock, RunContext, Store, in_brief},
};

/// A held lease. Dropped without [`LeaseGuard::release`] it is renewed no more and lapses by itself.
#[derive(Debug)]
pub struct LeaseGuard {
    held: Arc<Held>,
    renewal: JoinHandle<()>,
}

struct Held {
    control: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    database: DatabaseSlug,
    ttl: Duration,
    canceller: Canceller,
    /// Bits of an `f64`, seconds of the monotonic clock: when the last renewal known to have succeeded was begun.
    /// Outside the mutex, because a renewal that hangs holds that.
    renewed: AtomicU64,
    state: Mutex<State>,
}

struct State {
    lease: Lease,
    etag: String,
    lost: bool,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("database", &self.database).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl LeaseGuard {
    pub(super) fn begin(
        control: Arc<dyn Store>,
        database: &DatabaseSlug,
        lease: Lease,
        etag: String,
        context: &RunContext,
        canceller: Canceller,
        ttl: Duration,
    ) -> Self {
        let clock = context.clock.clone();
        let renewed = AtomicU64::new(clock.monotonic_seconds().to_bits());
        let state = Mutex::new(State { lease, etag, lost: false });
        let held = Arc::new(Held { control, clock, database: database.clone(), ttl, canceller, renewed, state });
        let renewal = tokio::spawn(keep(Arc::downgrade(&held), ttl / 3));
        Self { held, renewal }
    }

    /// Asks the store, right now, whether the lease is still ours, and renews it. To be called right before what
    /// must not happen twice, such as the manifest's put: a run that was paused finds out here that its lease is gone.
    /// `Store` where the store cannot say so within the lease's TTL.
    pub async fn still_held(&self) -> Result<()> {
        tokio::time::timeout(self.held.ttl, self.held.renew()).await.unwrap_or_else(|_| {
            let database = &self.held.database;
            Err(Error::new(ErrorKind::Store, format!("the lease of {database} could not be checked in time")))
        })
    }

    /// Gives the lease back. An error means that it lapses by itself; a store that does not answer is not waited for long.
    pub async fn release(self) -> Result<()> {
        in_brief("give the lease back", self.give_back()).await
    }

    async fn give_back(&self) -> Result<()> {
        self.renewal.abort();
        let mut state = self.held.state.lock().await;
        if state.lost {
            return Ok(());
        }
        state.lease.released = true;
        state.lease.expires_at = self.held.clock.now();
        let key = super::lease_key(&self.held.database);
        // Lost to another, it is not ours to give back.
        self.held.control.swap(&key, Some(&state.etag), state.lease.to_json()?).await?;
        Ok(())
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Held {
    async fn renew(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        if state.lost {
            return Err(lost(&self.database));
        }
        let begun = self.clock.monotonic_seconds();
        let mut lease = state.lease.clone();
        lease.expires_at = expiry(self.clock.now(), self.ttl)?;
        if let Some(etag) = take(self.control.as_ref(), &self.database, Some(&state.etag), &lease).await? {
            state.lease = lease;
            state.etag = etag;
            self.renewed.store(begun.to_bits(), Ordering::Relaxed);
            Ok(())
        } else {
            state.lost = true;
            self.canceller.cancel(ErrorKind::AlreadyRunning);
            Err(lost(&self.database))
        }
    }

    fn overdue(&self) -> bool {
        let renewed = f64::from_bits(self.renewed.load(Ordering::Relaxed));
        self.clock.monotonic_seconds() - renewed >= self.ttl.as_secs_f64()
    }
}

fn lost(database: &DatabaseSlug) -> Error {
    Error::new(ErrorKind::AlreadyRunning, format!("the lease of {database} was lost to another run"))
        .with_hint("this run was paused or cut off for longer than its lease; nothing was committed, run it again")
}

/// Renews until the guard is gone, the lease is lost, or no renewal succeeded for its whole TTL: then the run stops with
/// `Store`, for nobody else may be doing its work.
async fn keep(held: Weak<Held>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(held) = held.upgrade() else { return };
        // Whoever slept past its lease, because its process or machine was stopped, does not hold it any more.
        if held.overdue() {
            held.canceller.cancel(ErrorKind::Store);
            return;
        }
        // A store that does not answer must not hold up the next attempt; what a cut-off attempt did is found by looking.
        match tokio::time::timeout(every, held.renew()).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) if e.kind() == ErrorKind::AlreadyRunning => return,
            Ok(Err(_)) | Err(_) => {
                if held.overdue() {
                    held.canceller.cancel(ErrorKind::Store);
                    return;
                }
            }
        }
    }
}
