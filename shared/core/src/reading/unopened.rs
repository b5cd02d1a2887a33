//! What is said of an object that cannot be opened, and of a key that must not be used.

use jiff::Timestamp;
use lifeboat_archive::encryption::{OpenError, Unfit, UnfitKey};

use super::corrupt;
use crate::{
    Error, ErrorKind,
    manifest::{Encryption, Manifest},
};

/// The stored bytes are what the manifest says, and still they cannot be opened.
pub(super) fn not_opened(encryption: Option<&Encryption>, key: &str, error: &OpenError) -> Error {
    match error {
        OpenError::NoMatch => keys(encryption, format!("{key}: {error}")),
        OpenError::Damaged(_) => corrupt(key, error),
        OpenError::Unfit(found) => unfit(found).context(key).with_hint(format!(
            "prolong it and export it anew (gpg --quick-set-expire {} 1y), or open the backup with it all the same, as gpg \
             does: LIFEBOAT_ACCEPT_EXPIRED_KEYS=true",
            found.id
        )),
        other => Error::new(ErrorKind::Unexpected, format!("{key}: {other}")),
    }
}

/// `Keys`, saying what would open it.
pub(super) fn keys(encryption: Option<&Encryption>, message: String) -> Error {
    let wanted = encryption.map(Encryption::wanted).unwrap_or_default();
    Error::new(ErrorKind::Keys, message).with_hint(format!("give {wanted}"))
}

pub(super) fn no_key(manifest: &Manifest, key: &str, what: &str) -> Error {
    keys(manifest.encryption.as_ref(), format!("{key}: {what}"))
}

/// `Keys` of a key that has expired or was revoked.
pub fn unfit(key: &UnfitKey) -> Error {
    let message = match key.why {
        Unfit::Expired { since } => {
            let at = i64::try_from(since).ok().and_then(|at| Timestamp::from_second(at).ok());
            format!(
                "the OpenPGP key {} expired on {}",
                key.id,
                at.map_or_else(|| since.to_string(), |at| at.to_string())
            )
        }
        Unfit::Revoked => key.to_string(),
    };
    Error::new(ErrorKind::Keys, message)
        .with_hint(format!("prolong it and export it anew (gpg --quick-set-expire {} 1y), or name another", key.id))
}
