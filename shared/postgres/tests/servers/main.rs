//! Targets, scratch targets and throwaway clusters against real servers, which the tests start themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::naive_bytecount,
    reason = "tests may panic, also in what they share, and count few bytes"
)]

mod checks;
mod cluster;
mod credentials;
mod encodings;
mod encrypted;
mod fast;
mod health;
mod health_standby;
mod inventory;
mod ledger;
mod maintenance;
mod preflight;
mod restore;
mod rows;
mod scratch;
mod setting;
mod wire;
