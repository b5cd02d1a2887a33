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
    report::words::counted,
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
    let (damaged, closed): (Vec<&KeyCheck>, Vec<&KeyCheck>) =
        checks.iter().filter(|check| !check.opened).partition(|check| check.corrupt);
    let closed = closed.split_first().map(|(first, others)| {
        let backups: u64 = first.backups + others.iter().map(|check| check.backups).sum::<u64>();
        let message = format!("{} cannot be opened, {} among them", counted(backups, "backup"), told(first));
        let wanted = if first.by_passphrase {
            "the passphrase that its key is kept by".to_owned()
        } else {
            format!("the secret key of one of: {}", first.recipients.join(", "))
        };
        (message, format!("find {wanted}; until then these backups are as good as lost"))
    });
    match (damaged.first(), closed) {
        (None, None) => Ok(()),
        (None, Some((message, hint))) => Err(Error::new(ErrorKind::Keys, message).with_hint(hint)),
        (Some(damaged), closed) => {
            let verify = "`lifeboat verify` names what is damaged, and does not need the key";
            let hint = closed.map_or_else(|| verify.to_owned(), |(_, hint)| format!("{verify}; {hint}"));
            Err(Error::new(ErrorKind::Corrupt, format!("a damaged backup: {}", told(damaged))).with_hint(hint))
        }
    }
}

fn told(check: &KeyCheck) -> String {
    let why = check.why.as_deref().unwrap_or("no reason is known");
    format!("{}/{}: {why}", check.database, check.newest)
}
