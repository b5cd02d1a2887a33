//! Opens a sealed object as it is pulled through.

use std::io::{self, BufRead, Read};

use super::{Identities, Kind, OpenError, age, openpgp};

/// What is handed on at once: four pieces of `age`.
const BLOCK: usize = 256 * 1024;

/// Opens what `sealed` gives and hands it to `take`, block by block. That it was the whole object, and of OpenPGP that it is
/// what was sealed, is known at the end only. Stops where `take` says so, which is `Io`.
pub fn open<'a>(
    kind: Kind,
    identities: &Identities,
    sealed: impl BufRead + Send + 'a,
    take: impl FnMut(Vec<u8>) -> io::Result<()>,
) -> Result<(), OpenError> {
    match kind {
        Kind::Age => {
            let unsealed: Vec<_> = identities.unsealed().iter().filter_map(|key| key.identity.clone()).collect();
            hand_on(age::open(identities.age.iter().chain(&unsealed), sealed)?, take)
        }
        Kind::OpenPgp => hand_on(openpgp::open(&identities.openpgp, identities.judged_at, sealed)?, take),
    }
}

fn hand_on(mut opened: impl Read, mut take: impl FnMut(Vec<u8>) -> io::Result<()>) -> Result<(), OpenError> {
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        (&mut opened).take(BLOCK as u64).read_to_end(&mut block).map_err(|e| OpenError::Damaged(e.to_string()))?;
        if block.is_empty() {
            return Ok(());
        }
        take(block).map_err(OpenError::Io)?;
    }
}
