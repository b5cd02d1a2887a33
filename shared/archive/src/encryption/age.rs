//! What the crate `age` is used for: X25519 keys as text, and the files that they seal and open.

use std::{
    io::{self, BufRead, Read, Write},
    sync::{Arc, Mutex, PoisonError},
};

pub(super) use ::age::x25519::{Identity, Recipient};
use ::age::{DecryptError, Decryptor, Encryptor, stream::StreamWriter};

use super::{OpenError, ParseKeyError};

const SECRET_PREFIX: &str = "AGE-SECRET-KEY-";

/// A recipient by its public key.
pub(super) fn recipient(text: &str) -> Result<Recipient, ParseKeyError> {
    if text.to_ascii_uppercase().starts_with(SECRET_PREFIX) {
        return Err(ParseKeyError::SecretForRecipient);
    }
    text.parse().map_err(|why: &str| ParseKeyError::Recipient { text: text.to_owned(), why: why.to_owned() })
}

/// An identity by its secret key, which stands in `line`.
pub(super) fn identity(line: usize, text: &str) -> Result<Identity, ParseKeyError> {
    if text.starts_with("age1") {
        return Err(ParseKeyError::RecipientForSecret { line });
    }
    text.parse().map_err(|why: &str| ParseKeyError::Identity { line, why: why.to_owned() })
}

/// What has been sealed and not been taken yet. The writer of `age` keeps one end of it.
#[derive(Clone, Default)]
struct Sealed(Arc<Mutex<Vec<u8>>>);

impl Sealed {
    fn take_into(&self, out: &mut Vec<u8>) {
        out.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Write for Sealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One file of `age` being sealed.
pub(super) struct Sealer {
    writer: StreamWriter<Sealed>,
    sealed: Sealed,
}

impl Sealer {
    pub(super) fn new(recipients: &[Recipient]) -> io::Result<Self> {
        let all = recipients.iter().map(|recipient| recipient as &dyn ::age::Recipient);
        let encryptor = Encryptor::with_recipients(all).map_err(io::Error::other)?;
        let sealed = Sealed::default();
        Ok(Self { writer: encryptor.wrap_output(sealed.clone())?, sealed })
    }

    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.sealed.take_into(out);
        Ok(())
    }

    pub(super) fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        self.writer.finish()?;
        self.sealed.take_into(out);
        Ok(())
    }
}

/// Begins to open a file of `age`. Reading stops at the first wrong byte: nothing is given of a piece that was changed.
pub(super) fn open<'a>(
    identities: impl Iterator<Item = &'a Identity>,
    sealed: impl BufRead,
) -> Result<impl Read, OpenError> {
    let decryptor = Decryptor::new_buffered(sealed).map_err(header)?;
    decryptor.decrypt(identities.map(|identity| identity as &dyn ::age::Identity)).map_err(header)
}

fn header(error: DecryptError) -> OpenError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => OpenError::NoMatch,
        other => OpenError::Damaged(other.to_string()),
    }
}
