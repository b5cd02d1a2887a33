//! Whom a backup is encrypted to: those who are named, or a key of its own that a passphrase keeps.

use std::sync::Arc;

use lifeboat_archive::encryption::{PassphraseKey, Recipients};

use super::{DumpRequest, run::Writing};
use crate::{
    ErrorKind, Result, ResultExt,
    manifest::{Encryption, KEY_NAME},
};

/// What a dump seals with.
#[derive(Clone, Default)]
pub(super) struct Sealing {
    pub(super) recipients: Option<Arc<Recipients>>,
    /// The file of the backup's own key.
    key: Option<Vec<u8>>,
}

impl Sealing {
    /// Makes the backup's own key where a passphrase shall keep it, which takes a second.
    pub(super) async fn begin(request: &DumpRequest) -> Result<Self> {
        if let Some(recipients) = &request.encryption {
            return Ok(Self { recipients: Some(Arc::clone(recipients)), key: None });
        }
        let Some(passphrase) = request.passphrase.clone() else { return Ok(Self::default()) };
        let made = tokio::task::spawn_blocking(move || PassphraseKey::make(&passphrase)).await;
        let made = made.or_error(ErrorKind::Unexpected, "make a key")?.or_error(ErrorKind::Unexpected, "make a key")?;
        Ok(Self { recipients: Some(Arc::new(made.recipients)), key: Some(made.file) })
    }

    /// What the manifest says of it. The key's file is written here.
    pub(super) async fn write(&self, writing: &Writing) -> Result<Option<Encryption>> {
        let Some(recipients) = &self.recipients else { return Ok(None) };
        let mut encryption = Encryption::to(recipients);
        if let Some(file) = &self.key {
            encryption.key = Some(writing.put_as_is(KEY_NAME.to_owned(), file.clone()).await?);
        }
        Ok(Some(encryption))
    }
}
