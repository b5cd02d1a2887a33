//! Lifeboat's domain: what a backup is, and the operations on it, told through ports; no AWS, SQL, environment or clock.

pub mod attestation;
pub mod cancel;
pub mod catalog;
pub mod error;
pub mod ids;
pub mod lease;
pub mod manifest;
pub mod ports;

pub use error::{Error, ErrorKind, Result, ResultExt};
