//! The secrets port: where passwords and webhooks are kept, outside every file and event.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::Result;

/// Gives secrets by name. Reading changes nothing and may be repeated.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret's current content, as text. `NotFound` where there is none of this name; `Config` where it is not text.
    async fn fetch(&self, name: &str) -> Result<SecretString>;
}
