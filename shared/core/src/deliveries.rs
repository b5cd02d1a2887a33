//! Deliveries of messages to channels: each channel gets each message once, and what failed is on record and tried again.
//!
//! `messages/<id>.json` in the control store says which channels have a message; `messages/unsent/<id>.json` holds the
//! message itself until all have it.

mod record;
mod run;

pub use record::{Delivered, Undelivered};
pub use run::{Delivery, Target, deliver, deliver_again, forget, undelivered};
