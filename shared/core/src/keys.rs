//! Keys: whether the keys at hand open the backups that are kept, tried on one object of each.

mod drill;

use std::sync::Arc;

use lifeboat_archive::encryption::Identities;
use serde::Serialize;

pub use drill::{DrilledBackup, DrilledKey, KeyDrill, Untried, drill};

use crate::{
    Error, ErrorKind, Result,
    catalog::{self, BackupState},
    ids::{BackupId, DatabaseSlug},
    ports::{RunContext, Store},
    reading::BackupReader,
};

/// What came of the keys at hand with the backups that are encrypted to the same recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyCheck {
    /// The database.
    pub database: DatabaseSlug,
    /// Whom they are encrypted to.
    pub recipients: Vec<String>,
    /// Whether their key lies in the backup, kept by a passphrase.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_passphrase: bool,
    /// How many there are.
    pub backups: u64,
    /// The newest of them, whose roles were opened.
    pub newest: BackupId,
    /// Whether they were.
    pub opened: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether the backup itself is damaged: no key would open it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub corrupt: bool,
}

/// Opens `globals.sql` of the newest backup of every set of recipients; backups that are not encrypted, or whose manifest
/// cannot be read, are left out. Reads, and changes nothing. An `Err` means that the store could not be read, not that a key
/// does not fit.
pub async fn check(
    store: &dyn Store,
    states: &[BackupState],
    identities: &Arc<Identities>,
    context: &RunContext,
) -> Result<Vec<KeyCheck>> {
    let mut found: Vec<KeyCheck> = Vec::new();
    for state in states {
        let Some(summary) = state.summary.as_ref().filter(|summary| summary.encrypted) else { continue };
        let recipients = &summary.recipients;
        let same = |check: &&mut KeyCheck| check.database == state.database && check.recipients == *recipients;
        if let Some(check) = found.iter_mut().find(same) {
            check.backups += 1;
            continue;
        }
        let opened = context.cancel.race(open(store, state, identities)).await;
        let (why, corrupt) = match opened {
            Ok(()) => (None, false),
            Err(error) if matches!(error.kind(), ErrorKind::Keys | ErrorKind::Corrupt) => {
                (Some(error.to_string()), error.kind() == ErrorKind::Corrupt)
            }
            Err(error) => return Err(error.context(format!("try the keys on {}", state.qualified()))),
        };
        found.push(KeyCheck {
            database: state.database.clone(),
            recipients: recipients.clone(),
            by_passphrase: summary.by_passphrase,
            backups: 1,
            newest: state.backup_id.clone(),
            opened: why.is_none(),
            why,
            corrupt,
        });
    }
    Ok(found)
}

async fn open(store: &dyn Store, state: &BackupState, identities: &Arc<Identities>) -> Result<()> {
    let backup = catalog::open(store, &state.database, &state.backup_id).await?;
    BackupReader::new(store, &backup.manifest, identities).whole(&backup.manifest.globals).await.map(drop)
}

/// Names what was not opened, where something was not: `Corrupt` where a backup is damaged, else `Keys`.
pub fn judge(checks: &[KeyCheck]) -> Result<()> {
    let closed: Vec<&KeyCheck> = checks.iter().filter(|check| !check.opened).collect();
    let Some(first) = closed.first() else { return Ok(()) };
    let backups: u64 = closed.iter().map(|check| check.backups).sum();
    let why = first.why.as_deref().unwrap_or("no reason is known");
    let message = format!("{backups} backups cannot be opened, {}/{} among them: {why}", first.database, first.newest);
    let wanted = if first.by_passphrase {
        "the passphrase that its key is kept by".to_owned()
    } else {
        format!("the secret key of one of: {}", first.recipients.join(", "))
    };
    if closed.iter().any(|check| check.corrupt) {
        return Err(Error::new(ErrorKind::Corrupt, message).with_hint(
            "`lifeboat verify` names what is damaged; restore from another backup, or from a copy of this one",
        ));
    }
    Err(Error::new(ErrorKind::Keys, message)
        .with_hint(format!("find {wanted}; until then these backups are as good as lost")))
}
