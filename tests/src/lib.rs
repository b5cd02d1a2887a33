//! What every end-to-end test starts from: real clusters, real stores, and the `lifeboat` program as a user runs it.

pub mod cluster;
mod installation;
pub mod library;
pub mod program;
pub mod proxy;
pub mod stores;

pub use cluster::Cluster;
pub use program::{Ended, Lifeboat};
pub use stores::StoreUnderTest;
