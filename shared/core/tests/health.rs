//! Health over stores in memory and a server that is made up: what is seen, told, remembered and shown.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

#[path = "health/page.rs"]
mod page;
#[path = "health/unseen.rs"]
mod unseen;
#[path = "health/watch.rs"]
mod watch;
#[path = "health/world.rs"]
mod world;
