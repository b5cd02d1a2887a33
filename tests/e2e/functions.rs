//! The functions as AWS runs them: behind Lambda's runtime API, invoked with the events in `events/`.

mod drill;
mod drill_steps;
mod dump;
mod emulator;
mod encrypted;
mod handed_over;
mod health;
mod maintenance;
mod restore;
mod retention;
mod told;
mod verify;
