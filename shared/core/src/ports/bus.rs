//! The bus port: where runs tell what happened.

use async_trait::async_trait;

use crate::{Result, events::Event};

/// Takes events to whoever listens: alerts, other functions, the user's own programs.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Publishes all of them; an error means that some may not have been. After a time-out it is unknown which were:
    /// publishing them again is right, because every listener takes the same event twice without harm. `Refused` where the
    /// fault is an event's own: the bus would take others, and never this one.
    async fn publish(&self, events: &[Event]) -> Result<()>;
}
