//! A topic and channels that remember what they were told, and fail as they are told to.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use lifeboat_core::{
    Error, ErrorKind, Result,
    messages::Message,
    ports::{Channel, Subscriptions, Topic},
};

/// A topic or channel in memory; clones share what was told.
#[derive(Debug, Clone, Default)]
pub struct MemoryPeople {
    name: String,
    told: Arc<Mutex<Vec<Message>>>,
    failures: Arc<AtomicU64>,
}

impl MemoryPeople {
    /// Of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// So many messages fail from now on.
    pub fn fail(&self, times: u64) {
        self.failures.store(times, Ordering::SeqCst);
    }

    /// What was told so far, in order.
    pub fn told(&self) -> Vec<Message> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn take(&self, message: &Message) -> Result<()> {
        // Others get their turn, as they do while a network answers.
        tokio::task::yield_now().await;
        let left = self.failures.load(Ordering::SeqCst);
        if left > 0 {
            self.failures.store(left - 1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Store, format!("scripted fault: {} is away", self.name)));
        }
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
        Ok(())
    }
}

#[async_trait]
impl Topic for MemoryPeople {
    fn name(&self) -> &str {
        &self.name
    }

    async fn publish(&self, message: &Message) -> Result<()> {
        self.take(message).await
    }
}

#[async_trait]
impl Subscriptions for MemoryPeople {
    async fn unconfirmed(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Channel for MemoryPeople {
    fn name(&self) -> &str {
        &self.name
    }

    fn leads_to(&self) -> String {
        "memory".to_owned()
    }

    async fn send(&self, message: &Message) -> Result<()> {
        self.take(message).await
    }
}
