//! Deliveries of messages to channels: each channel gets each message once, and what failed is on record and tried again.
//!
//! `messages/<id>.json` in the control store says which channels have a message; `messages/unsent/<id>.json` holds the
//! message itself until all have it. `messages/unreadable/<id>.json` names what came through the queue and is no event.

mod again;
mod record;
mod run;
mod unreadable;

pub use again::{Again, deliver_again, forget, undelivered};
pub use record::{Delivered, Undelivered};
pub use run::{Delivery, Target, deliver};
pub use unreadable::note_unreadable;
