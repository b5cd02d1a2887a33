//! Lifeboat killed, frozen, interrupted and cut off at all places: nothing half-done counts, and nothing stays behind.

mod cut_off;
mod deadline;
mod interrupted;
mod killed;
pub(crate) mod running;
