//! Gathers how every database fared, from the store and the control store.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use crate::{
    Result,
    attestation::Rung,
    catalog,
    config::{Config, DatabaseConfig},
    drill,
    ids::{BackupId, DatabaseSlug},
    incidents,
    messages::{Digest, DigestDatabase, DigestIncident, Protection, StorageShare},
    ports::Store,
    retention::{PRICES_OF, storage},
    status::LastDrill,
};

/// Databases that are read at the same time.
const AT_ONCE: usize = 4;

/// The digest of the time from `from` to `to`. What cannot be read is named in it, and hides nothing else.
pub(super) async fn gather(
    store: &dyn Store,
    control: &dyn Store,
    config: &Config,
    before: &BTreeMap<DatabaseSlug, u64>,
    from: Timestamp,
    to: Timestamp,
) -> Digest {
    let mut problems = Vec::new();
    let mut slugs: BTreeSet<DatabaseSlug> = config.databases.keys().cloned().collect();
    match catalog::databases(store).await {
        // What restore targets held is no database under care.
        Ok(found) => slugs.extend(found.into_iter().filter(|slug| !slug.is_safety())),
        Err(error) => problems.push(format!("the store could not be listed: {error}")),
    }
    let mut read = Vec::new();
    for slug in &slugs {
        let (config, before) = (config.databases.get(slug), before.get(slug).copied());
        read.push(async move { (slug, one(store, slug, config, before, from, to).await) });
    }
    let mut databases = Vec::new();
    for (slug, found) in stream::iter(read).buffered(AT_ONCE).collect::<Vec<_>>().await {
        match found {
            Ok(found) => databases.push(found),
            Err(error) => problems.push(format!("{slug} could not be looked at: {error}")),
        }
    }
    let overview = incidents::overview(control, None, to).await.unwrap_or_else(|error| {
        problems.push(format!("open incidents could not be read: {error}"));
        incidents::Overview::default()
    });
    let open = overview.open.into_iter().map(|open| DigestIncident {
        database: open.database,
        kind: open.kind,
        severity: open.incident.severity,
        since: open.incident.opened_at,
        what: open.incident.what,
    });
    Digest {
        from,
        to,
        open: open.collect(),
        undelivered: (overview.undelivered.len() + overview.unsent.len()) as u64,
        problems,
        usd_per_month: databases.iter().fold(0.0, |sum, d| sum + d.usd_per_month),
        databases,
        prices: PRICES_OF.to_owned(),
        left_out: None,
    }
}

async fn one(
    store: &dyn Store,
    slug: &DatabaseSlug,
    config: Option<&DatabaseConfig>,
    before: Option<u64>,
    from: Timestamp,
    to: Timestamp,
) -> Result<DigestDatabase> {
    let states = catalog::list(store, Some(slug)).await?;
    let within = |at: Timestamp| at > from && at <= to;
    let made = states.iter().filter(|s| s.summary.as_ref().is_some_and(|summary| within(summary.completed_at)));
    let (made, verified) = made.fold((0, 0), |(made, verified), state| {
        (made + 1, verified + u64::from(state.rung >= Rung::Verified && !state.corrupt))
    });
    let newest_good = states.iter().find(|s| s.good && s.at() <= to).map(|state| Protection {
        backup_id: state.backup_id.clone(),
        snapshot_at: state.at(),
        restored: state.restored_at().is_some(),
    });
    let drills = store.folders(&format!("{slug}/drills/")).await?;
    // A drill's id has the form of a backup's: the time it began.
    let drills = drills.iter().filter_map(|name| name.parse::<BackupId>().ok()).filter(|id| within(id.started_at()));
    let last_drill = drill::latest_report(store, slug).await?.map(|report| LastDrill::from(&report).words());
    let shares: Vec<StorageShare> = storage(store, &states)
        .await?
        .into_iter()
        .map(|row| StorageShare {
            tier: row.tier,
            storage_class: row.storage_class,
            bytes: row.bytes,
            usd_per_month: row.usd_per_month,
        })
        .collect();
    let stored_bytes: u64 = shares.iter().map(|share| share.bytes).sum();
    let upcoming = config.into_iter().flat_map(|config| {
        let dump = config.schedule.as_ref().map(|s| format!("backups {}", s.value));
        let drill = config.drill.schedule.as_ref().map(|s| format!("drills {}", s.value));
        dump.into_iter().chain(drill)
    });
    Ok(DigestDatabase {
        database: slug.clone(),
        made,
        verified,
        drills: drills.count() as u64,
        last_drill,
        newest_good,
        raw_bytes: states.iter().find_map(|s| s.summary.as_ref()).map_or(0, |summary| summary.totals.raw_bytes),
        stored_bytes,
        growth_bytes: before
            .map(|before| i64::try_from(stored_bytes).unwrap_or(i64::MAX).saturating_sub_unsigned(before)),
        usd_per_month: shares.iter().fold(0.0, |sum, share| sum + share.usd_per_month),
        storage: shares,
        upcoming: upcoming.collect(),
    })
}
