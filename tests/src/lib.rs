//! What every end-to-end test starts from: real clusters, real stores, and the `lifeboat` program as a user runs it.

pub mod cluster;
pub mod library;
mod installation;
pub mod program;
pub mod proxy;
pub mod stores;

pub use cluster::Cluster;
pub use program::{Ended, Lifeboat};
pub use stores::StoreUnderTest;
