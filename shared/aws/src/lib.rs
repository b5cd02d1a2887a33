//! AWS services behind Lifeboat's ports; S3 is `lifeboat-store`'s.

mod bus;
mod client;
mod rds;
mod secrets;

pub use bus::EventBridge;
pub use client::{Aws, AwsSettings};
pub use rds::RdsTokens;
pub use secrets::SecretsManager;
