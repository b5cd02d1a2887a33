//! The ports to people: a topic that many may subscribe to, and channels that end at somebody's screen.

use async_trait::async_trait;

use super::Subscriptions;
use crate::{Result, messages::Message};

/// A topic: one publication reaches all who subscribed. SNS.
#[async_trait]
pub trait Topic: Subscriptions {
    /// Its name, for messages; no secret.
    fn name(&self) -> &str;

    /// Publishes a message. After a time-out it is unknown whether it was: publishing it again is right, because the
    /// function `notify` passes on the same [`Message::id`] once; subscribers of the topic itself may get it twice.
    async fn publish(&self, message: &Message) -> Result<()>;
}

/// One way to people: a chat, a mailbox, a pager.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// Where it leads, for people, without any secret.
    fn leads_to(&self) -> String;

    /// Sends a message; tried again within where that can help. After an error it may have arrived all the same.
    /// Errors never hold the secret address.
    async fn send(&self, message: &Message) -> Result<()>;
}
