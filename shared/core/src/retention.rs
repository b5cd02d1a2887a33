//! Retention: which backups stay, which expire, and when; age alone deletes nothing.

mod gather;
mod lint;
mod plan;
mod policy;
mod promote;
mod reason;
mod report;
mod run;
mod storage_class;
mod undo;
mod verdict;

pub(crate) use gather::movable;
pub use gather::{Gathered, gather, storage};
pub use lint::{LintInput, lint};
pub use plan::{BackupFacts, Decision, Facts, LeftoverDecision, LeftoverFacts, Plan, Step, UploadSweep, plan};
pub use policy::{Policy, TierRule};
pub use reason::Reason;
pub use report::{Report, StorageRow};
pub use run::{Done, Executed, execute, run};
pub use storage_class::{PRICES_OF, StorageClass};
pub use undo::undo;

/// The tag that makes a lifecycle rule remove an object; its value is `true`.
pub const EXPIRE_TAG: &str = "lifeboat-expire";

/// The tag that makes a lifecycle rule move an object to the storage class that is its value.
pub const MOVE_TAG: &str = "lifeboat-move";

/// Objects smaller than this stay in STANDARD: colder classes bill them as if they were this large. Bytes.
pub const SMALLEST_MOVED: u64 = 128 << 10;
