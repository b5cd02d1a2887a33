//! Drill: a timed rehearsal of a restore in a scratch target, with every table compared, and the report that proves it.

mod adopt;
mod chain;
mod compare;
mod control;
mod cost;
mod evidence;
pub mod instance;
mod left;
mod origin;
mod phases;
mod rehearsal;
mod rehearse;
mod rented;
mod run;
mod select;
pub mod steps;
mod thaw;

pub(crate) use cost::READINGS;

pub use chain::{latest_measuring, latest_report, latest_reports, latest_reports_with_proof, past_reports};
pub use control::Damaged;
pub use evidence::DrillOutcome;
pub use left::LeftInstances;
pub use origin::Origin;
pub use rented::RentedScratch;
pub use run::{DrillPorts, run};
pub use select::Selection;

use crate::ids::DatabaseSlug;

/// One of the user's SQL assertions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Assertion {
    /// Its name in the report.
    pub name: String,
    /// SQL that returns one row with `true`.
    pub sql: String,
}

/// What a drill is asked for.
#[derive(Debug, Clone)]
pub struct DrillRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// Which backup.
    pub selection: Selection,
    /// The user's checks.
    pub checks: Vec<Assertion>,
    /// RPO in seconds, if there is one.
    pub rpo_seconds: Option<f64>,
    /// RTO in seconds, if there is one.
    pub rto_seconds: Option<f64>,
    /// Parallel sessions, at least 1.
    pub jobs: u32,
    /// `schedule`, `command line`, `request`.
    pub trigger: String,
    /// Who or what started it, where known.
    pub operator: Option<String>,
    /// Seconds that a thaw from an archive storage class may take; without, frozen backups are passed over.
    pub thaw_within: Option<u64>,
    /// Another origin than a backup.
    pub origin: Option<Origin>,
}
