//! The keys of both sides: recipients, which seal, and identities, which open. Neither's text is ever part of an error.

use std::fmt;

use secrecy::SecretString;

use super::{Kind, age};

/// Whom objects are sealed to: at least one, all of one kind. Anyone may know them.
#[derive(Clone)]
pub struct Recipients(pub(super) Vec<age::Recipient>);

/// What opens sealed objects, or nothing. Whoever has it can read the backups.
#[derive(Clone, Default)]
pub struct Identities(pub(super) Vec<age::Identity>);

/// Why a text is no key. What it says never holds the text itself.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// It is the secret half where the public one belongs.
    #[error("this is a secret key, which must not stand here: the public key begins with age1")]
    SecretForRecipient,
    /// It is the public half where the secret one belongs.
    #[error("line {line} is a public key: what opens backups begins with AGE-SECRET-KEY-1")]
    RecipientForSecret {
        /// Counted from 1.
        line: usize,
    },
    /// It is no key, or was copied with a fault: keys hold a checksum.
    #[error("'{text}' is no public key of age, or was copied with a fault: {why}")]
    Recipient {
        /// What was given; a public key may be shown.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is no key, or was copied with a fault.
    #[error("line {line} is no secret key of age, or was copied with a fault: {why}")]
    Identity {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The file of keys is encrypted itself.
    #[error("the keys are encrypted themselves: decrypt them first, with age -d")]
    Encrypted,
    /// There is no key in it.
    #[error("there is no key in it")]
    Empty,
}

impl Recipients {
    /// Recipients by their public keys, `age1…`; one that is named twice counts once.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseKeyError> {
        let mut found: Vec<age::Recipient> = Vec::new();
        for text in texts {
            let recipient = age::recipient(text.trim())?;
            if !found.contains(&recipient) {
                found.push(recipient);
            }
        }
        if found.is_empty() { Err(ParseKeyError::Empty) } else { Ok(Self(found)) }
    }

    /// What opens what is sealed to them.
    pub fn kind(&self) -> Kind {
        Kind::Age
    }

    /// Their public keys, as the manifest lists them.
    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recipients").field(&self.ids()).finish()
    }
}

impl Identities {
    /// Identities as `age-keygen` writes them: one secret key per line, empty lines and comments aside.
    pub fn parse(text: &str) -> Result<Self, ParseKeyError> {
        if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
            return Err(ParseKeyError::Encrypted);
        }
        let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
        let found = lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| age::identity(number, line))
            .collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() { Err(ParseKeyError::Empty) } else { Ok(Self(found)) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The public keys to them.
    pub fn recipients(&self) -> Vec<String> {
        self.0.iter().map(|identity| identity.to_public().to_string()).collect()
    }

    /// A new key: the key itself, the public key to it, and the secret one as text.
    pub fn generate() -> (Self, String, SecretString) {
        let identity = age::Identity::generate();
        let (public, secret) = (identity.to_public().to_string(), identity.to_string());
        (Self(vec![identity]), public, secret)
    }
}

/// Nothing of the keys, which are secret.
impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities of {:?}", self.recipients())
    }
}
