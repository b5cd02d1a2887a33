//! Gathers what the plan depends on: the catalog, the objects' storage classes and tags, leftovers and the lease.

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    Result,
    attestation::Rung,
    catalog::{self, BackupState},
    ids::DatabaseSlug,
    lease,
    manifest::{MANIFEST_NAME, backup_folder},
    ports::{Listed, Removal, Store},
    retention::{
        BackupFacts, EXPIRE_TAG, Facts, LeftoverFacts, MOVE_TAG, Policy, SMALLEST_MOVED, StorageClass, StorageRow,
        report::StorageTable,
    },
};

/// What the plan depends on, and where the bytes lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathered {
    /// For the plan.
    pub facts: Facts,
    /// Bytes per tier and storage class, leftovers as a tier of their own.
    pub storage: Vec<StorageRow>,
}

/// Reads what the plan for a database depends on; changes nothing.
pub async fn gather(
    store: &dyn Store,
    control: &dyn Store,
    database: &DatabaseSlug,
    policy: &Policy,
    now: Timestamp,
) -> Result<Gathered> {
    // The lease first: a dump that begins later has a young folder.
    let lease_held = lease::holder(control, database, now).await?.is_some();
    let mut storage = StorageTable::default();
    let mut backups = Vec::new();
    for state in catalog::list(store, Some(database)).await? {
        let objects = store.list(&state.folder()).await?;
        storage.add(state.tier.name(), &objects);
        backups.push(facts_of(store, &state, &objects, policy).await?);
    }
    let mut leftovers = Vec::new();
    for leftover in catalog::unfinished(store, Some(database)).await? {
        let objects = store.list(&backup_folder(database, &leftover.backup_id)).await?;
        storage.add("unfinished", &objects);
        let leaving = match objects.last() {
            Some(last) => is_tagged(store, &last.key).await?,
            None => continue,
        };
        leftovers.push(LeftoverFacts {
            backup_id: leftover.backup_id,
            last_written: leftover.last_written,
            bytes: leftover.bytes,
            leaving,
        });
    }
    let facts = Facts { database: database.clone(), backups, leftovers, lease_held };
    Ok(Gathered { facts, storage: storage.rows() })
}

/// Where the bytes of these backups lie. Needs no right to read tags.
pub async fn storage(store: &dyn Store, states: &[BackupState]) -> Result<Vec<StorageRow>> {
    let mut storage = StorageTable::default();
    for state in states {
        storage.add(state.tier.name(), &store.list(&state.folder()).await?);
    }
    Ok(storage.rows())
}

async fn facts_of(store: &dyn Store, state: &BackupState, objects: &[Listed], policy: &Policy) -> Result<BackupFacts> {
    let at = state.at();
    let zone = state.summary.as_ref().map_or("UTC", |s| s.timezone.as_str());
    // The tier is in the manifest; the zone only groups days, and a zone that this machine does not know is no
    // reason to stop.
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let leaving = state.expiring.is_some() && is_tagged(store, &format!("{}{MANIFEST_NAME}", state.folder())).await?;
    Ok(BackupFacts {
        backup_id: state.backup_id.clone(),
        at,
        date: at.to_zoned(zone).date(),
        tier: state.tier,
        whole: state.rung >= Rung::Verified && !state.corrupt,
        readable: state.problem.is_none(),
        held: state.held.clone(),
        locked_until: None,
        expiring_since: state.expiring.as_ref().map(|e| e.since),
        leaving,
        bytes: objects.iter().map(|o| o.size).sum(),
        class: class_of(store, state, objects, policy).await?,
    })
}

/// Archive objects that are large enough to be moved to a colder class. In listing order: the last is tagged last.
pub(crate) fn movable<'a>(folder: &str, objects: &'a [Listed]) -> Vec<&'a Listed> {
    let archive = format!("{folder}archive/");
    let toc = format!("{archive}toc.dat");
    objects
        .iter()
        .filter(|o| o.size >= SMALLEST_MOVED && o.key.starts_with(&archive) && !o.key.starts_with(&toc))
        .collect()
}

async fn class_of(
    store: &dyn Store,
    state: &BackupState,
    objects: &[Listed],
    policy: &Policy,
) -> Result<Option<StorageClass>> {
    let moves = [&policy.daily, &policy.weekly, &policy.monthly].iter().any(|rule| rule.storage_class.is_some());
    let movable = movable(&state.folder(), objects);
    let Some(last) = movable.last().filter(|_| moves && store.removal() == Removal::TagForLifecycle) else {
        return Ok(None);
    };
    // A class that is none of ours (ONEZONE_IA, INTELLIGENT_TIERING) was somebody's decision: nothing is moved.
    let Ok(lies_in) = last.storage_class.parse::<StorageClass>() else { return Ok(None) };
    let asked = store.tags(&last.key).await?.get(MOVE_TAG).and_then(|class| class.parse().ok());
    Ok(Some(asked.map_or(lies_in, |asked| lies_in.max(asked))))
}

async fn is_tagged(store: &dyn Store, key: &str) -> Result<bool> {
    if store.removal() == Removal::Delete {
        return Ok(false);
    }
    Ok(store.tags(key).await?.get(EXPIRE_TAG).is_some_and(|value| value == "true"))
}
