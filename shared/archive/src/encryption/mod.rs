//! Encryption of objects: sealing to recipients while bytes are pushed, opening while they are pulled, in bounded memory.
//!
//! What is written are plain files of `age` (<https://age-encryption.org/v1>): the stock program opens them.

mod age;
mod keys;
mod opener;
mod sealer;

use std::{fmt, io};

pub use keys::{Identities, ParseKeyError, Recipients};
pub use opener::open;
pub use sealer::Sealer;

/// By which programs an encrypted object can be opened. Its text form is what manifests name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `age`, by X25519 keys.
    Age,
}

impl Kind {
    const ALL: [Self; 1] = [Self::Age];

    /// The name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
        }
    }

    /// What stands behind an object's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Age => ".age",
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
    /// It is no encrypted object, was changed after it was sealed, or ends in the middle.
    #[error("its encryption is damaged: {0}")]
    Damaged(String),
    /// Its input failed, or what it was opened for is gone.
    #[error("read what is encrypted")]
    Io(#[source] io::Error),
}
