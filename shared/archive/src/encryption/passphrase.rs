//! Keys that a passphrase keeps: a new one for every backup, in a file of `age` that the passphrase opens.

use std::{
    io::{self, Read, Write},
    iter,
};

use age::{DecryptError, Decryptor, Encryptor, scrypt};
use secrecy::{ExposeSecret, SecretString};

use super::{Identities, OpenError, Recipients, keys::UnsealedKey};

/// What scrypt costs, as its exponent: a second and a quarter of a gigabyte, as the stock program takes it.
const WORK: u8 = 18;
/// What is still opened; a file that wants more was made to waste time.
const MOST_WORK: u8 = 20;

/// A new key of one backup.
pub struct PassphraseKey {
    /// Whom the backup is encrypted to.
    pub recipients: Recipients,
    /// What opens it.
    pub identities: Identities,
    /// The secret key, sealed by the passphrase: a file of `age`.
    pub file: Vec<u8>,
}

impl PassphraseKey {
    /// Makes one. Takes a second of one processor, and a quarter of a gigabyte of memory.
    pub fn make(passphrase: &SecretString) -> io::Result<Self> {
        let (identities, public, secret) = Identities::generate();
        let recipients = Recipients::parse([public.as_str()]).map_err(io::Error::other)?;
        let mut recipient = scrypt::Recipient::new(passphrase.clone());
        recipient.set_work_factor(WORK);
        let encryptor =
            Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient)).map_err(io::Error::other)?;
        let mut file = Vec::new();
        let mut writer = encryptor.wrap_output(&mut file)?;
        writer.write_all(secret.expose_secret().as_bytes())?;
        writer.write_all(b"\n")?;
        writer.finish()?;
        Ok(Self { recipients, identities, file })
    }
}

impl Identities {
    /// Opens the key of one backup by a passphrase; what came of it is kept, for it takes as long as making the key.
    pub fn unseal(&self, file: &[u8]) -> Result<(), OpenError> {
        let mut unsealed = self.unsealed();
        let known = unsealed.iter().find(|key| key.file == file).map(|key| key.identity.clone());
        let identity = if let Some(identity) = known {
            identity
        } else {
            let identity = self.tried(file)?;
            unsealed.push(UnsealedKey { file: file.to_vec(), identity: identity.clone() });
            identity
        };
        identity.map(drop).ok_or(OpenError::NoMatch)
    }

    fn tried(&self, file: &[u8]) -> Result<Option<age::x25519::Identity>, OpenError> {
        for passphrase in &self.passphrases {
            match opened(passphrase, file) {
                Err(OpenError::NoMatch) => {}
                Err(other) => return Err(other),
                Ok(text) => {
                    let identity = super::age::identity(1, text.expose_secret().trim());
                    return identity.map(Some).map_err(|_| OpenError::Damaged("it holds no key".to_owned()));
                }
            }
        }
        Ok(None)
    }
}

fn opened(passphrase: &SecretString, file: &[u8]) -> Result<SecretString, OpenError> {
    let damaged = |error: &dyn std::fmt::Display| OpenError::Damaged(error.to_string());
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(MOST_WORK);
    let decryptor = Decryptor::new_buffered(file).map_err(|e| damaged(&e))?;
    let mut reader = decryptor.decrypt(iter::once(&identity as &dyn age::Identity)).map_err(|error| match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            OpenError::NoMatch
        }
        other => damaged(&other),
    })?;
    let mut text = String::new();
    reader.read_to_string(&mut text).map_err(|e| damaged(&e))?;
    Ok(text.into())
}
