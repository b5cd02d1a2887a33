//! The chain of drill reports of one database: each holds the hash of the one before.

use crate::{
    Result,
    ids::{DatabaseSlug, DrillId},
    ports::Store,
    report::DrillReport,
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

/// The newest reports that can be read, newest first, at most so many.
pub async fn latest_reports(store: &dyn Store, database: &DatabaseSlug, most: usize) -> Result<Vec<DrillReport>> {
    let mut reports = Vec::new();
    let mut drills: Vec<DrillId> =
        store.folders(&format!("{database}/drills/")).await?.iter().filter_map(|name| name.parse().ok()).collect();
    drills.sort();
    for drill in drills.iter().rev() {
        if reports.len() == most {
            break;
        }
        let key = format!("{}report.json", folder(database, drill));
        match store.read(&key, REPORT_LIMIT).await.and_then(|(bytes, _)| DrillReport::open(&bytes)) {
            Ok(report) => reports.push(report),
            Err(error) => tracing::warn!(%key, %error, "a drill report cannot be read"),
        }
    }
    Ok(reports)
}
