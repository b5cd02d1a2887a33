//! A server as health sees it: questions that change nothing, each answered or named as hidden.

mod certificate;
mod disk;
mod questions;
mod statements;
mod tools;

use async_trait::async_trait;
use jiff::Timestamp;
use lifeboat_core::{
    Result,
    ports::{Certificate, ServerFacts, WatchedServer},
};

use crate::connect::ConnectionTarget;

/// A database that is watched.
#[derive(Debug, Clone)]
pub struct PgWatched {
    target: ConnectionTarget,
}

impl PgWatched {
    /// Of a database. Nothing is asked yet: whatever is wrong with the connection is told by each question.
    pub fn new(target: ConnectionTarget) -> Self {
        Self { target }
    }
}

#[async_trait]
impl WatchedServer for PgWatched {
    async fn observe(&self, our_clock: Timestamp) -> Result<ServerFacts> {
        questions::ask_all(&self.target.clone().pin().await?, our_clock).await
    }

    async fn certificate(&self) -> Result<Option<Certificate>> {
        if self.target.is_plain() {
            return Ok(None);
        }
        certificate::shown(&self.target.clone().pin().await?).await.map(Some)
    }
}
