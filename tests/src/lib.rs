//! What every end-to-end test starts from: real clusters, real stores, and the `lifeboat` program as a user runs it.

pub mod aws;
pub mod cdk;
pub mod cluster;
pub mod deployment;
pub mod emulator;
pub mod gatekeeper;
mod installation;
pub mod library;
pub mod program;
pub mod proxy;
pub mod rds;
pub mod sinks;
pub mod stack;
pub mod stores;
pub mod tasks;

pub use cluster::Cluster;
pub use program::{Ended, Lifeboat};
pub use stack::Stack;
pub use stores::StoreUnderTest;
