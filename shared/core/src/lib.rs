//! Lifeboat's domain: what a backup is, and the operations on it, told through ports; no AWS, SQL, environment or clock.

pub mod attestation;
pub mod cancel;
pub mod catalog;
pub mod config;
pub mod deliveries;
pub mod digest;
pub mod drill;
pub mod dump;
pub mod error;
pub mod events;
pub mod fetch;
pub mod health;
pub mod hold;
pub mod ids;
pub mod incidents;
pub mod kit;
pub mod lease;
pub mod maintenance;
pub mod manifest;
mod markdown;
pub mod messages;
pub mod phases;
pub mod ports;
pub mod reading;
pub mod report;
pub mod restore;
pub mod retention;
pub mod rows;
mod sealed;
pub mod shell;
pub mod status;
pub mod undelivered;
pub mod verify;
mod workers;

pub use error::{Error, ErrorKind, Result, ResultExt};
