//! Verify: reads a whole backup back and checks every byte of it, without a server.

mod objects;
mod run;

pub use objects::{Check, check_object, checks};
pub use run::{Damage, VerifyOutcome, run};
