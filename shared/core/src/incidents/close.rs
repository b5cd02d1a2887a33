//! Ends incidents that no event will end: by hand, and those of databases that are no longer under care.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    ledger::Ledger,
    plan::closed,
    policy::Policy,
    run::{AlertPorts, change},
};
use crate::{
    Error, ErrorKind, Result, catalog,
    ids::DatabaseSlug,
    messages::Kind,
    ports::{RunContext, Store},
};

/// After so long without an event, a database that is neither configured nor in the store is not under care any more.
const FORSAKEN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long the store may take to list its databases.
const PATIENCE: Duration = Duration::from_secs(15);
/// Why it ended, by hand.
const BY_HAND: &str = "Closed by hand with `lifeboat alert close`: nobody has looked whether it is over.";
/// Why it ended, where a database is gone.
const GONE: &str = "The database is neither configured nor in the store, and nothing has been heard of it for a week.";

/// Closes the open incident of this kind, or (none) of every kind, and gives how many. It is saved, and told by the next
/// run that tells; what happens later opens an incident anew. `NotFound` where none is open.
pub async fn close(
    control: &dyn Store,
    policy: &Policy,
    database: &DatabaseSlug,
    kind: Option<&Kind>,
    context: &RunContext,
) -> Result<u64> {
    let now = context.clock.now();
    let ended = change(control, database, context, |ledger| {
        let planned = closed(ledger, kind, BY_HAND, policy.of(database), now);
        ledger.clone_from(&planned.ledger);
        Ok(planned.resolved)
    })
    .await?;
    if ended > 0 {
        return Ok(ended);
    }
    let what = kind.map_or_else(String::new, |kind| format!(" of the kind {kind}"));
    Err(Error::new(ErrorKind::NotFound, format!("{database} has no open incident{what}"))
        .with_hint("see which are open: lifeboat alert list"))
}

/// Those of these databases that are neither configured nor in the store; none where the store does not say.
pub(super) async fn gone(ports: &AlertPorts, policy: &Policy, databases: &[DatabaseSlug]) -> BTreeSet<DatabaseSlug> {
    let unknown: BTreeSet<&DatabaseSlug> = databases.iter().filter(|d| !policy.databases.contains_key(*d)).collect();
    let Some(store) = ports.store.as_ref().filter(|_| !unknown.is_empty()) else { return BTreeSet::new() };
    let patience = ports.patience.unwrap_or(PATIENCE).min(PATIENCE);
    match tokio::time::timeout(patience, catalog::databases(&**store)).await {
        Ok(Ok(stored)) => unknown.into_iter().filter(|d| !stored.contains(d)).cloned().collect(),
        Ok(Err(_)) | Err(_) => BTreeSet::new(),
    }
}

/// The ledger of a database that is gone: its incidents end once nothing has been heard of them for long.
pub(super) fn forsaken(ledger: &Ledger, policy: &Policy, now: Timestamp) -> Ledger {
    let old = |at: Timestamp| now.duration_since(at) >= FORSAKEN;
    if ledger.open().all(|(_, incident)| old(incident.heard_at.unwrap_or(incident.last_at))) {
        return closed(ledger, None, GONE, policy.of(&ledger.database), now).ledger;
    }
    ledger.clone()
}
