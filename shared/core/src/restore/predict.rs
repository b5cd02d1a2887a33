//! How long a restore will take, judged by what drills of the same database took.

use std::fmt;

use serde::Serialize;

use crate::{
    Result,
    forecast::{self, Extent, Part, Prediction},
    ids::DatabaseSlug,
    ports::Store,
};

/// The time to expect.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Expected {
    /// Seconds, all together; `None` where no drill measured a restore of this database, or there are no rows to go by.
    pub seconds: Option<f64>,
    /// The restore, ANALYZE included.
    pub restore: Option<Prediction>,
    /// Comparing every row with the manifest.
    pub compare: Option<Prediction>,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.restore, &self.compare) {
            (Some(restore), Some(compare)) => write!(f, "{restore}; comparing every row, {compare}"),
            (Some(restore), None) => restore.fmt(f),
            (None, _) => f.write_str("not known: no drill has measured one yet, or no rows are restored"),
        }
    }
}

/// Predicts how long it takes to restore and compare so much.
pub async fn predict(store: &dyn Store, database: &DatabaseSlug, of: Extent) -> Result<Expected> {
    if of.stored_bytes == 0 {
        return Ok(Expected { seconds: None, restore: None, compare: None });
    }
    // A restore must not want for a prediction.
    let drills = forecast::measured(store, database).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "how long it will take is not known: what drills have measured cannot be read");
        Vec::new()
    });
    let restore = forecast::predict_restore(&drills, of);
    let compare = restore.and_then(|_| forecast::predict(&drills, Part::Compare, of));
    let seconds = restore.map(|restore| restore.seconds + compare.map_or(0.0, |compare| compare.seconds));
    Ok(Expected { seconds, restore, compare })
}
