//! PostgreSQL behind the domain's ports: sources, targets, throwaway clusters, client tools.

pub mod classify;
pub mod cluster;
pub mod connect;
mod credentials;
mod failure;
pub mod health;
mod inventory;
mod live;
mod lock_space;
pub mod maintenance;
pub mod quote;
pub mod scratch;
pub mod session;
pub mod source;
pub mod target;
pub mod tools;
pub mod wire;

pub use connect::ConnectionTarget;
pub use credentials::{CredentialSource, Credentials};
pub use live::PgLive;
pub use maintenance::PgCaretaker;
pub use source::PgSource;
