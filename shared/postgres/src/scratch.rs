//! Scratch targets for drills: a throwaway local cluster, or a database on a server that was given for it.

mod database;
mod globals;
mod left;
mod local;
mod server;

pub use left::LeftDatabases;
pub use local::LocalScratch;
pub use server::{ServerScratch, prepare};

pub(crate) use database::create as create_database;
pub(crate) use globals::statements;
pub(crate) use server::drop_database;
