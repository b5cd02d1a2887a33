//! The regular digest: when it is due, what goes into it, and that it is sent once.

mod due;
mod gather;
mod last;
mod run;

pub use due::{due, period};
pub use last::{LastDigest, last};
pub use run::{DigestOutcome, DigestPorts, run};
