//! Opens an OpenPGP message as it is pulled through.

use std::{
    fmt,
    io::{self, BufRead, Read},
};

use pgp::{
    composed::{DecryptionOptions, Message, TheRing},
    types::Seipdv1ReadMode,
};

use super::secret::{Identity, session_key};
use crate::encryption::OpenError;

/// The input, of which nothing is shown.
struct Input<R>(R);

impl<R> fmt::Debug for Input<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input")
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl<R: BufRead> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

/// Begins to open a message. What it gives is not authenticated before its end is reached: whoever reads must
/// not rely on any of it until then.
pub(in crate::encryption) fn open<'a>(
    identities: &[Identity],
    at: Option<u64>,
    sealed: impl BufRead + Send + 'a,
) -> Result<impl Read + 'a, OpenError> {
    let damaged = |error: pgp::errors::Error| OpenError::Damaged(error.to_string());
    let message = Message::from_bytes(Input(sealed)).map_err(damaged)?;
    let Message::Encrypted { esk, .. } = &message else {
        return Err(OpenError::Damaged("it is no encrypted message".to_owned()));
    };
    let session = session_key(identities, at, esk)?;
    // Memory is bounded only so: checked as a whole first, an object would have to be held as a whole.
    let decrypt_options = DecryptionOptions::new().set_seipdv1_read_mode(Seipdv1ReadMode::Streaming);
    let ring = TheRing { session_keys: vec![session], decrypt_options, ..TheRing::default() };
    let (message, _) = message.decrypt_the_ring(ring, true).map_err(damaged)?;
    message.decompress().map_err(damaged)
}
