//! A drill of keys: each that is brought must open every kept backup that is encrypted to it, as if the others were lost.

use std::sync::Arc;

use jiff::Timestamp;
use lifeboat_archive::encryption::{Identities, KeyFacts};
use serde::Serialize;

use super::open;
use crate::{
    Error, ErrorKind, Result,
    catalog::{self, BackupState},
    ids::{BackupId, DatabaseSlug, RunId},
    manifest::Encryption,
    ports::{RunContext, Store},
};

/// How a key is called that a passphrase stands for.
const PASSPHRASE: &str = "passphrase";

/// What came of the keys that were brought, for one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyDrill {
    /// The version of this report's format.
    pub format_version: u32,
    /// The database.
    pub database: DatabaseSlug,
    /// The run.
    pub run_id: RunId,
    /// When it began.
    pub at: Timestamp,
    /// Every encrypted backup that is kept, newest first.
    pub backups: Vec<DrilledBackup>,
    /// Every key that was brought.
    pub keys: Vec<DrilledKey>,
    /// Keys that backups are encrypted to as well, and that nobody brought: nothing is known of them.
    pub untried: Vec<Untried>,
    /// Whether every backup was opened, and by every key that should.
    pub passed: bool,
}

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrilledBackup {
    /// Which.
    pub backup_id: BackupId,
    /// Whom it is encrypted to, or `passphrase`.
    pub encrypted_to: Vec<String>,
    /// Whose key opened it.
    pub opened_by: Vec<String>,
    /// What kept keys that should have opened it from doing so.
    pub failures: Vec<String>,
    /// Whether the backup itself is damaged.
    pub corrupt: bool,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrilledKey {
    /// How manifests call it.
    pub key: String,
    /// Whose it is, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// From when on it must not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Backups that are encrypted to it.
    pub backups: u64,
    /// Those of them that it opened.
    pub opened: u64,
}

/// A key that was not brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Untried {
    /// How manifests call it.
    pub key: String,
    /// Backups that are encrypted to it.
    pub backups: u64,
}

impl KeyDrill {
    /// Where the report lies in the control store.
    pub fn key(&self) -> String {
        format!("keys/{}/{:.0}-{}.json", self.database, self.at, self.run_id)
    }

    /// `Corrupt` where a backup is damaged, else `Keys` where something was not opened.
    pub fn judge(&self) -> Result<()> {
        if self.passed {
            return Ok(());
        }
        let lost = self.backups.iter().filter(|backup| backup.opened_by.is_empty()).count();
        let failed = self.keys.iter().filter(|key| key.opened < key.backups).count();
        let damaged = self.backups.iter().any(|backup| backup.corrupt);
        let kind = if damaged { ErrorKind::Corrupt } else { ErrorKind::Keys };
        let of = self.backups.len();
        let message = format!(
            "{}: {lost} of {of} backups are opened by no key that was brought, {failed} keys open less than they should",
            self.database
        );
        Err(Error::new(kind, message).with_hint(
            "bring the keys that are missing; until then what no key opens is as good as lost, and a key that fails is none",
        ))
    }
}

/// Tries each key alone on every encrypted backup of the database that is encrypted to it; only reads. An `Err` means that
/// the store could not be read, not that a key does not fit.
pub async fn drill(
    store: &dyn Store,
    database: &DatabaseSlug,
    states: &[BackupState],
    identities: &Identities,
    context: &RunContext,
) -> Result<KeyDrill> {
    let brought: Vec<(DrilledKey, Arc<Identities>)> =
        identities.each().into_iter().map(|(facts, one)| (drilled(facts), Arc::new(one))).collect();
    let mut keys: Vec<DrilledKey> = brought.iter().map(|(key, _)| key.clone()).collect();
    let mut untried: Vec<Untried> = Vec::new();
    let mut backups = Vec::new();
    let encrypted = states.iter().filter(|state| state.summary.as_ref().is_some_and(|summary| summary.encrypted));
    for state in encrypted {
        let backup = context.cancel.race(catalog::open(store, &state.database, &state.backup_id)).await?;
        let to = backup.manifest.encryption.as_ref().map(called).unwrap_or_default();
        let mut found = DrilledBackup {
            backup_id: state.backup_id.clone(),
            encrypted_to: to.clone(),
            opened_by: Vec::new(),
            failures: Vec::new(),
            corrupt: false,
        };
        for (key, (_, one)) in keys.iter_mut().zip(&brought).filter(|(key, _)| to.contains(&key.key)) {
            key.backups += 1;
            match context.cancel.race(open(store, state, one)).await {
                Ok(()) => {
                    key.opened += 1;
                    found.opened_by.push(key.key.clone());
                }
                Err(error) if matches!(error.kind(), ErrorKind::Keys | ErrorKind::Corrupt) => {
                    found.corrupt |= error.kind() == ErrorKind::Corrupt;
                    found.failures.push(format!("{}: {error}", key.key));
                }
                Err(error) => return Err(error.context(format!("try the keys on {}", state.qualified()))),
            }
        }
        for name in to.into_iter().filter(|name| keys.iter().all(|key| key.key != *name)) {
            match untried.iter_mut().find(|other| other.key == name) {
                Some(other) => other.backups += 1,
                None => untried.push(Untried { key: name, backups: 1 }),
            }
        }
        backups.push(found);
    }
    let passed = backups.iter().all(|backup| !backup.opened_by.is_empty() && backup.failures.is_empty());
    let (run_id, at) = (context.run_id.clone(), context.clock.now());
    Ok(KeyDrill { format_version: 1, database: database.clone(), run_id, at, backups, keys, untried, passed })
}

/// How the keys are called that open it.
fn called(encryption: &Encryption) -> Vec<String> {
    match encryption.key {
        Some(_) => vec![PASSPHRASE.to_owned()],
        None => encryption.recipients.clone(),
    }
}

fn drilled(facts: Option<KeyFacts>) -> DrilledKey {
    let expires_at = facts.as_ref().and_then(|facts| moment(facts.expires_at?));
    let (key, user) = facts.map_or_else(|| (PASSPHRASE.to_owned(), None), |facts| (facts.id, facts.user));
    DrilledKey { key, user, expires_at, backups: 0, opened: 0 }
}

fn moment(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}
