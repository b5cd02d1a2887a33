//! Lifeboat's domain: what a backup is, and the operations on it, told through ports; no AWS, SQL, environment or clock.

pub mod attestation;
pub mod cancel;
pub mod catalog;
pub mod error;
pub mod ids;
pub mod kit;
pub mod lease;
pub mod manifest;
mod markdown;
pub mod ports;
pub mod report;
mod sealed;
pub mod shell;

pub use error::{Error, ErrorKind, Result, ResultExt};
