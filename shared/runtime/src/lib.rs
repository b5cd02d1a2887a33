//! Where Lifeboat meets its surroundings: environment and file become a configuration, a configuration becomes open ports.

pub mod alerting;
pub mod clock;
pub mod config;
pub mod connection;
mod credentials;
pub mod deadline;
pub mod encryption;
pub mod environment;
pub mod functions;
mod handing_over;
pub mod hooks;
mod instance_databases;
pub mod lambda;
pub mod metrics;
mod one_run;
mod patient;
mod pgpass;
pub mod requests;
pub mod runs;
pub mod schemas;
pub mod secrets;
pub mod setup;
pub mod stop;
mod task;
pub mod telemetry;
pub mod telling;

pub use alerting::Opened;
pub use lifeboat_channels::Patience;
pub use one_run::error_document;
pub use setup::{Selected, Setup};
pub use telling::{Told, publish, send_undelivered, tell};
