//! Secrets in memory that can be rotated, and that count how often they were asked for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use lifeboat_core::{Error, ErrorKind, Result, ports::Secrets};
use secrecy::SecretString;

/// Secrets in memory; clones share them.
#[derive(Clone, Default)]
pub struct MemorySecrets(Arc<Mutex<(BTreeMap<String, String>, usize)>>);

impl MemorySecrets {
    /// Makes a secret, or rotates it.
    pub fn set(&self, name: &str, value: &str) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.0.insert(name.to_owned(), value.to_owned());
    }

    /// How often any of them was fetched.
    pub fn fetched(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[async_trait]
impl Secrets for MemorySecrets {
    async fn fetch(&self, name: &str) -> Result<SecretString> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.1 += 1;
        let value = held.0.get(name).map(|value| SecretString::from(value.as_str()));
        value.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("read the secret '{name}': there is none")))
    }
}
