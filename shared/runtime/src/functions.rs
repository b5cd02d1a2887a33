//! What the functions do with a request that was decoded.

mod alert;
mod drill;
mod dump;
mod health;
mod maintenance;
mod notify;
mod retention;
mod verify;

use lifeboat_core::{Error, ErrorKind, Result, ids::DatabaseSlug};

use crate::setup::{Selected, Setup};

pub use alert::alert;
pub use drill::drill;
pub use dump::dump;
pub use health::health;
pub use maintenance::maintenance;
pub use notify::notify;
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
