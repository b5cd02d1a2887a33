//! Removes from the control store what nobody needs any more: claims and answers of runs long past, old reports of maintenance.

use jiff::{SignedDuration, Timestamp};

use crate::{Result, ids::DatabaseSlug, ports::Store};

/// So long it is known that a scheduled run was made. Nothing delivers a request later: EventBridge tries for a day, and a
/// dead-letter queue keeps it for two weeks.
const RUNS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// So long reports of maintenance are kept.
const MAINTENANCE: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The most objects that one look removes.
const MOST: usize = 500;

/// Removes what is old of one database.
pub(super) async fn old(control: &dyn Store, database: &DatabaseSlug, now: Timestamp) -> Result<()> {
    let operations = control.folders("runs/").await?;
    let runs = operations.iter().map(|operation| (format!("runs/{operation}/{database}/"), RUNS));
    let mut left = MOST;
    for (folder, age) in runs.chain([(format!("maintenance/{database}/"), MAINTENANCE)]) {
        let listed = control.list(&folder).await?;
        for object in listed.iter().filter(|o| now.duration_since(o.modified) > age).take(left) {
            control.delete(&object.key).await?;
            left -= 1;
        }
    }
    Ok(())
}
