//! What the functions do with a request that was decoded.

mod alert;
mod drill;
mod dump;
mod health;
mod maintenance;
mod notify;
mod restore;
mod retention;
mod verify;

use lifeboat_core::{
    Error, ErrorKind, Result,
    events::{Body, Failure},
    ids::DatabaseSlug,
    ports::RunContext,
};

use crate::{
    runs,
    setup::{Selected, Setup},
    telling::tell_failure,
};

pub use alert::alert;
pub use drill::drill;
pub use dump::dump;
pub use health::health;
pub use maintenance::maintenance;
pub use notify::notify;
pub use restore::restore;
pub use retention::retention;
pub use verify::verify;

/// The database of a request. A function works on configured databases only: an event cannot name a server.
pub(crate) fn selected(setup: &Setup, database: &DatabaseSlug) -> Result<Selected> {
    let selected = setup.one(Some(database), None)?;
    if selected.config.url.is_none() {
        let known: Vec<&str> = setup.config.databases.keys().map(DatabaseSlug::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Error::new(ErrorKind::Config, format!("database '{database}' is not configured (known: {known})")));
    }
    Ok(selected)
}

/// Tells the bus of a request that could not be read: the run of this database did not happen, and only whoever reads
/// logs would know. Where the operation has no event for that, the error is all there is.
pub(crate) async fn tell_unread(
    setup: &Setup,
    context: &RunContext,
    operation: &str,
    database: &DatabaseSlug,
    error: &Error,
) {
    let failed: fn(Failure) -> Body = match operation {
        "dump" => Body::BackupFailed,
        "verify" => Body::VerifyFailed,
        "retention" => runs::retention_failed,
        "drill" => runs::drill_failed,
        "maintenance" => Body::MaintenanceFailed,
        "health" => {
            let before = runs::found_before(setup, database, context).await;
            let failed = |failure| lifeboat_core::health::not_looked(failure, before);
            return tell_failure(setup, context, database, error, failed).await;
        }
        _ => return,
    };
    tell_failure(setup, context, database, error, failed).await;
}
