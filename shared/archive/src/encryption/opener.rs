//! Opens a sealed object as it is pulled through.

use std::io::{self, BufRead, Read};

use age::{DecryptError, Decryptor};

use super::{Identities, OpenError};

/// What is handed on at once: four pieces of `age`.
const BLOCK: usize = 256 * 1024;

/// Opens what `sealed` gives and hands it to `take`, block by block. Every block was authenticated before it is handed on;
/// that it was the whole object is known at the end only. Stops where `take` says so, which is `Io`.
pub fn open(
    identities: &Identities,
    sealed: impl BufRead,
    mut take: impl FnMut(Vec<u8>) -> io::Result<()>,
) -> Result<(), OpenError> {
    let decryptor = Decryptor::new_buffered(sealed).map_err(header)?;
    let keys = identities.0.iter().map(|identity| identity as &dyn age::Identity);
    let mut opened = decryptor.decrypt(keys).map_err(header)?;
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        // Reading stops at the first wrong byte: `age` gives nothing of a piece that was changed.
        (&mut opened).take(BLOCK as u64).read_to_end(&mut block).map_err(|e| OpenError::Damaged(e.to_string()))?;
        if block.is_empty() {
            return Ok(());
        }
        take(block).map_err(OpenError::Io)?;
    }
}

fn header(error: DecryptError) -> OpenError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => OpenError::NoMatch,
        other => OpenError::Damaged(other.to_string()),
    }
}
