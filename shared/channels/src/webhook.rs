//! Pagers: a webhook that takes the events of PagerDuty's Events API v2.

use async_trait::async_trait;
use lifeboat_core::{
    Result,
    messages::{Message, to_pagerduty},
    ports::Channel,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::post::Poster;

/// PagerDuty's own address.
pub const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// A pager.
#[derive(Debug)]
pub struct Webhook {
    name: String,
    url: SecretString,
    routing_key: Option<SecretString>,
    to_pagerduty: bool,
    poster: Poster,
}

impl Webhook {
    /// A channel of this name; without a URL, PagerDuty.
    pub fn new(
        name: impl Into<String>,
        url: Option<SecretString>,
        routing_key: Option<SecretString>,
        poster: Poster,
    ) -> Self {
        let to_pagerduty = url.is_none();
        let url = url.unwrap_or_else(|| SecretString::from(PAGERDUTY));
        Self { name: name.into(), url, routing_key, to_pagerduty, poster }
    }

    fn event(&self, mut event: Value) -> Value {
        if let Some(key) = &self.routing_key {
            event["routing_key"] = Value::from(key.expose_secret());
        }
        event
    }
}

#[async_trait]
impl Channel for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn leads_to(&self) -> String {
        if self.to_pagerduty { "PagerDuty".to_owned() } else { "webhook in the form of PagerDuty".to_owned() }
    }

    /// One event per incident. If one fails, all are sent again by the next attempt: pagers know them by their key.
    async fn send(&self, message: &Message) -> Result<()> {
        for event in to_pagerduty(message) {
            self.poster.post(&self.url, &self.event(event), "the pager's webhook").await?;
        }
        Ok(())
    }
}
