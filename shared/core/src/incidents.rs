//! Incidents: what began, lasts and ended, made of the events of all functions, so that people are told once.
//!
//! `plan` is pure: a database's ledger and a batch of events give the next ledger, with notices of what is to be told.
//! `run` saves ledgers by compare-and-swap before anything is sent, and takes back a notice only when it was handed on:
//! what cannot be sent now is sent by a later run. [`overview`] reads what lasts and what was not delivered.

mod blind;
mod claims;
mod close;
mod known;
mod ledger;
mod overview;
mod plan;
mod policy;
mod run;
mod send;
mod signal;

pub use blind::Blind;
pub use claims::{claim, release, settle};
pub use close::close;
pub use ledger::{Claim, Good, Incident, Ledger, Notice, State, ledger_key};
pub use overview::{OpenIncident, Overview, Unsent, overview};
pub use plan::{Planned, Terms, plan};
pub use policy::Policy;
pub use run::{AlertPorts, BatchOutcome, Received, remind, run};
pub use send::Outlet;
