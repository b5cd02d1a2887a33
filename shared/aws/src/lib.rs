//! AWS services behind Lifeboat's ports; S3 is `lifeboat-store`'s.

mod bus;
mod client;
mod email;
mod instances;
mod rds;
mod restore_tests;
mod secrets;
mod tasks;
mod topic;

pub use bus::EventBridge;
pub use client::{Aws, AwsSettings};
pub use email::SesEmail;
pub use instances::RdsInstances;
pub use rds::RdsTokens;
pub use restore_tests::BackupRestoreTests;
pub use secrets::SecretsManager;
pub use tasks::EcsTasks;
pub use topic::SnsTopic;
