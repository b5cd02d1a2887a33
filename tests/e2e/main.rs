//! End-to-end tests: real clusters, real stores, the real program. One binary, one module per concern.

mod alerts;
mod arrows;
mod catalogs;
mod client_tools;
mod concurrent_ddl;
mod crashes;
mod damage;
mod deployed;
mod emergencies;
mod encryption;
mod errors;
mod functions;
mod health;
mod large;
mod maintenance;
mod operations;
mod rds;
mod round_trip;
mod runbook;
mod shared;
mod stack;
mod stores;
