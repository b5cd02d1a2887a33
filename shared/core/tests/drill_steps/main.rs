//! A drill in steps, as its state machine calls them, with RDS in memory and everything that can go wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod adopted;
mod ended;
mod machine;
mod waits;
mod wrongs;
