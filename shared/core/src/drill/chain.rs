//! The chain of drill reports of one database: each holds the hash of the one before.

use crate::{
    ErrorKind, Result,
    forecast::Measured,
    ids::{DatabaseSlug, DrillId},
    ports::Store,
    report::DrillReport,
    status::LastDrill,
};

/// A report is at most this large.
pub(super) const REPORT_LIMIT: u64 = 256 << 20;

/// `<database>/drills/<drill id>/`
pub(super) fn folder(database: &DatabaseSlug, drill: &DrillId) -> String {
    format!("{database}/drills/{drill}/")
}

/// The newest report that can be read; one that is damaged or missing is passed over with a warning.
pub async fn latest_report(store: &dyn Store, database: &DatabaseSlug) -> Result<Option<DrillReport>> {
    Ok(latest_reports(store, database, 1).await?.into_iter().next())
}

/// How many reports are looked at for drills of one kind: almost a year of weekly drills, or a month and a half of daily
/// ones of snapshots.
const LOOKED_AT: usize = 45;

/// The newest reports, newest first, at most so many; damaged ones are passed over, and the store's errors are errors.
pub async fn latest_reports(store: &dyn Store, database: &DatabaseSlug, most: usize) -> Result<Vec<DrillReport>> {
    let mut reports = Vec::new();
    for drill in newest_first(store, database).await? {
        if reports.len() == most {
            break;
        }
        reports.extend(read(store, database, &drill).await?);
    }
    Ok(reports)
}

/// The newest reports of drills that measured how long a restore takes, newest first, at most so many. Drills of other
/// origins, and those that broke off, must not hide them; so far back as any are looked at.
pub async fn latest_measuring(store: &dyn Store, database: &DatabaseSlug, most: usize) -> Result<Vec<DrillReport>> {
    look_back(store, database, most, |_, report| measures(report), |reports| reports.len() >= most).await
}

/// The newest reports, newest first, at most so many, and where none of them proves backups, of older ones the newest of a
/// backup and the newest that does: drills of other origins must not hide when a backup was last restored.
pub async fn latest_reports_with_proof(
    store: &dyn Store,
    database: &DatabaseSlug,
    most: usize,
) -> Result<Vec<DrillReport>> {
    let keeps = |reports: &[DrillReport], report: &DrillReport| reports.len() < most || adds_proof(reports, report);
    look_back(store, database, most, keeps, |reports| reports.len() >= most && reports.iter().any(proves)).await
}

/// The same, and of older ones those of [`latest_measuring`] too, read together.
pub async fn past_reports(store: &dyn Store, database: &DatabaseSlug, most: usize) -> Result<Vec<DrillReport>> {
    let measuring = |reports: &[DrillReport]| reports.iter().filter(|report| measures(report)).count();
    let keeps = |reports: &[DrillReport], report: &DrillReport| {
        reports.len() < most || adds_proof(reports, report) || (measures(report) && measuring(reports) < most)
    };
    let enough =
        |reports: &[DrillReport]| reports.len() >= most && reports.iter().any(proves) && measuring(reports) >= most;
    look_back(store, database, most, keeps, enough).await
}

fn measures(report: &DrillReport) -> bool {
    Measured::of(report).is_some()
}

fn proves(report: &DrillReport) -> bool {
    LastDrill::from(report).proves_backups()
}

/// Whether this is the newest that proves backups, or the newest of a backup.
fn adds_proof(newer: &[DrillReport], report: &DrillReport) -> bool {
    let of_backup = |report: &DrillReport| LastDrill::from(report).is_of_backup();
    (proves(report) && !newer.iter().any(proves)) || (of_backup(report) && !newer.iter().any(of_backup))
}

/// Reads reports from the newest on and keeps those that are wanted beside the newer ones, until there are enough; at least
/// as many as are wanted are looked at, and at most [`LOOKED_AT`].
async fn look_back(
    store: &dyn Store,
    database: &DatabaseSlug,
    most: usize,
    keeps: impl Fn(&[DrillReport], &DrillReport) -> bool,
    enough: impl Fn(&[DrillReport]) -> bool,
) -> Result<Vec<DrillReport>> {
    let mut reports: Vec<DrillReport> = Vec::new();
    for drill in newest_first(store, database).await?.iter().take(LOOKED_AT.max(most)) {
        if enough(&reports) {
            break;
        }
        reports.extend(read(store, database, drill).await?.filter(|report| keeps(&reports, report)));
    }
    Ok(reports)
}

async fn newest_first(store: &dyn Store, database: &DatabaseSlug) -> Result<Vec<DrillId>> {
    let folders = store.folders(&format!("{database}/drills/")).await?;
    let mut drills: Vec<DrillId> = folders.iter().filter_map(|name| name.parse().ok()).collect();
    drills.sort();
    drills.reverse();
    Ok(drills)
}

/// `None` for a drill that never came to its report, and for a report that is damaged. What only cannot be read just now is
/// an error: an older report would be taken for the newest.
async fn read(store: &dyn Store, database: &DatabaseSlug, drill: &DrillId) -> Result<Option<DrillReport>> {
    let key = format!("{}report.json", folder(database, drill));
    match store.read(&key, REPORT_LIMIT).await.and_then(|(bytes, _)| DrillReport::open(&bytes)) {
        Ok(report) => Ok(Some(report)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {
            tracing::warn!(%key, %error, "a drill report cannot be read");
            Ok(None)
        }
        Err(error) => Err(error.context(format!("read {key}"))),
    }
}
