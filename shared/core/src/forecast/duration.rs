//! How long the next dump, verify or whole drill will take, by what the last ones took.

use jiff::Timestamp;

use super::{
    Dated, Extent, Part, growth,
    growth::{days_between, float},
    measured, predict,
};
use crate::{
    Result,
    attestation::Statement,
    catalog::{self, BackupState},
    ids::{BackupId, DatabaseSlug},
    manifest::Manifest,
    ports::Store,
};

/// Seconds that a dump took, by its own manifest.
pub fn dumped_in(manifest: &Manifest) -> f64 {
    manifest.phases.iter().map(|phase| phase.seconds).sum()
}

/// Seconds that a dump will take: as many as the last one that can be relied on, and more by as much as the database is
/// likely to have grown since. `None` where there was none.
pub async fn predict_dump(store: &dyn Store, database: &DatabaseSlug, now: Timestamp) -> Result<Option<f64>> {
    let states = catalog::list(store, Some(database)).await?;
    let Some(last) = states.iter().find(|state| state.usable() && state.at() <= now) else { return Ok(None) };
    let manifest = catalog::open(store, database, &last.backup_id).await?.manifest;
    Ok(Some(dumped_in(&manifest) * grown(&states, Extent::from(&manifest.totals), last.at(), now)))
}

/// How many times as much there will be to dump.
fn grown(states: &[BackupState], last: Extent, at: Timestamp, now: Timestamp) -> f64 {
    let Some(growth) = growth(&Dated::of(states, now)) else { return 1.0 };
    let later = growth.later(last, days_between(at, now));
    (float(later.stored_bytes) / float(last.stored_bytes.max(1))).max(1.0)
}

/// Seconds that reading a backup back will take: by the speed of the last verify that found a backup whole; before there
/// was one, as long as the dump took that wrote it.
pub async fn predict_verify(store: &dyn Store, database: &DatabaseSlug, id: &BackupId) -> Result<Option<f64>> {
    let manifest = catalog::open(store, database, id).await?.manifest;
    let states = catalog::list(store, Some(database)).await?;
    let attestations = states.iter().flat_map(|state| &state.attestations);
    let speeds = attestations.filter_map(|attestation| match attestation.statement {
        Statement::Verified { bytes, seconds: Some(seconds), .. } if bytes > 0 => {
            Some((attestation.at, seconds / float(bytes)))
        }
        _ => None,
    });
    let last = speeds.max_by_key(|(at, _)| *at);
    let stored = float(manifest.totals.stored_bytes);
    Ok(Some(last.map_or_else(|| dumped_in(&manifest), |(_, seconds_per_byte)| seconds_per_byte * stored)))
}

/// Seconds that restoring and comparing the newest backup will take; `None` where no drill measured it.
pub async fn predict_drill(store: &dyn Store, database: &DatabaseSlug) -> Result<Option<f64>> {
    let states = catalog::list(store, Some(database)).await?;
    let newest = states.iter().find(|state| state.usable()).and_then(|state| state.summary.as_ref());
    let Some(extent) = newest.map(|summary| Extent::from(&summary.totals)) else { return Ok(None) };
    let drills = measured(store, database).await?;
    let parts = [Part::Restore, Part::Compare].map(|part| predict(&drills, part, extent));
    Ok(parts.into_iter().flatten().map(|prediction| prediction.seconds).reduce(|a, b| a + b))
}
