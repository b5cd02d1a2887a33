//! Slack, by an incoming webhook.

use async_trait::async_trait;
use lifeboat_core::{
    Result,
    messages::{Message, to_slack},
    ports::Channel,
};
use secrecy::SecretString;

use crate::post::Poster;

/// A channel of Slack, or of what takes the same form (Mattermost, Rocket.Chat).
#[derive(Debug)]
pub struct Slack {
    name: String,
    url: SecretString,
    poster: Poster,
}

impl Slack {
    /// A channel of this name, by its webhook's URL.
    pub fn new(name: impl Into<String>, url: SecretString, poster: Poster) -> Self {
        Self { name: name.into(), url, poster }
    }
}

#[async_trait]
impl Channel for Slack {
    fn name(&self) -> &str {
        &self.name
    }

    fn leads_to(&self) -> String {
        "Slack".to_owned()
    }

    async fn send(&self, message: &Message) -> Result<()> {
        self.poster.post(&self.url, &to_slack(message), "Slack").await
    }
}
