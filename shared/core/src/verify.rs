//! Verify: reads a whole backup back and checks every byte of it, without a server.

mod objects;
mod older;
mod run;

pub use objects::{Check, check_object, checks};
pub use older::{Older, Reading, choose, is_candidate, is_frozen};
pub use run::{Damage, VerifyOutcome, run};
