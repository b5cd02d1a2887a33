//! Encryption of objects: sealing to recipients while bytes are pushed, opening while they are pulled, in bounded memory.
//!
//! What is written are plain files of `age` (<https://age-encryption.org/v1>) or messages of OpenPGP (RFC 4880): the stock
//! programs open them.

mod age;
mod keys;
mod opener;
mod openpgp;
mod passphrase;
mod sealer;

use std::{fmt, io};

pub use keys::{Identities, KeyFacts, ParseKeyError, Recipients, Unfit, UnfitKey};
pub use opener::open;
pub use passphrase::PassphraseKey;
pub use sealer::Sealer;

/// By which programs an encrypted object can be opened. Its text form is what manifests name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `age`, by X25519 keys.
    Age,
    /// `gpg` and its kin, by keys of OpenPGP.
    OpenPgp,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Age, Self::OpenPgp];

    /// The name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::OpenPgp => "openpgp",
        }
    }

    /// What stands behind an object's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Age => ".age",
            Self::OpenPgp => ".gpg",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind that a name ends with, and the name without it.
    pub fn strip(name: &str) -> Option<(&str, Self)> {
        Self::ALL.into_iter().find_map(|kind| Some((name.strip_suffix(kind.suffix())?, kind)))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an object cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// None of the keys at hand is one of those that it was sealed to.
    #[error("none of the keys opens it")]
    NoMatch,
    /// One of the keys at hand opens it, and must not be used any more.
    #[error(transparent)]
    Unfit(UnfitKey),
    /// It is no encrypted object, was changed after it was sealed, or ends in the middle.
    #[error("its encryption is damaged: {0}")]
    Damaged(String),
    /// Its input failed, or what it was opened for is gone.
    #[error("read what is encrypted")]
    Io(#[source] io::Error),
}
