//! The keys of both sides: recipients, which seal, and identities, which open. Neither's secret is ever part of an error.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use secrecy::SecretString;

use super::{Kind, age, openpgp};

/// Whom objects are sealed to: at least one, all of one kind. Anyone may know them.
#[derive(Clone)]
pub struct Recipients(pub(super) To);

#[derive(Clone)]
pub(super) enum To {
    Age(Vec<age::Recipient>),
    OpenPgp(Vec<openpgp::Recipient>),
}

/// What opens sealed objects, or nothing. Whoever has it can read the backups.
#[derive(Clone, Default)]
pub struct Identities {
    pub(super) age: Vec<age::Identity>,
    pub(super) openpgp: Vec<openpgp::Identity>,
    pub(super) passphrases: Vec<SecretString>,
    /// What the passphrases have opened.
    unsealed: Arc<Mutex<Vec<UnsealedKey>>>,
    /// When keys are used: those that must not be any more then open nothing. `None`: whatever they say of themselves.
    pub(super) judged_at: Option<u64>,
}

/// The key of one backup, and what came of the passphrases: `None` where none opens it.
pub(super) struct UnsealedKey {
    pub(super) file: Vec<u8>,
    pub(super) identity: Option<age::Identity>,
}

/// What is known of a key without using it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// What manifests call it: the public key itself, or a fingerprint.
    pub id: String,
    /// Whose it is, if it says so.
    pub user: Option<String>,
    /// From when on it must not be used, in seconds of Unix time.
    pub expires_at: Option<u64>,
    /// Whether it must not be used any more at all.
    pub revoked: bool,
}

/// Why a key must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Its time is over.
    Expired {
        /// Since when, in seconds of Unix time.
        since: u64,
    },
    /// Its holder has taken it back.
    Revoked,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired { .. } => "has expired",
            Self::Revoked => "is revoked",
        })
    }
}

/// A key that must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the OpenPGP key {id} {why}")]
pub struct UnfitKey {
    /// Its fingerprint.
    pub id: String,
    /// Why not.
    pub why: Unfit,
}

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
    /// It is no key of OpenPGP that can be used.
    #[error("{0}")]
    OpenPgp(String),
    /// A secret key is locked by a passphrase, and none is given.
    #[error("the secret key {id} is locked by a passphrase")]
    Locked {
        /// Its fingerprint.
        id: String,
    },
    /// A secret key is locked by another passphrase.
    #[error("the passphrase does not unlock the secret key {id}")]
    WrongPassphrase {
        /// Its fingerprint.
        id: String,
    },
    /// Recipients of both kinds.
    #[error("keys of age and of OpenPGP do not go together: one program must open the whole backup")]
    Mixed,
    /// The file of keys is encrypted itself.
    #[error("the keys are encrypted themselves: decrypt them first, with age -d")]
    Encrypted,
    /// There is no key in it.
    #[error("there is no key in it")]
    Empty,
}

impl Recipients {
    /// Recipients by their public keys: `age1…`, or blocks of OpenPGP's keys. One that is named twice counts once.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseKeyError> {
        let (mut of_age, mut of_openpgp): (Vec<age::Recipient>, Vec<openpgp::Recipient>) = (Vec::new(), Vec::new());
        for text in texts.into_iter().map(str::trim) {
            if text.starts_with(openpgp::SECRET_BLOCK) {
                return Err(ParseKeyError::SecretForRecipient);
            }
            if text.starts_with(openpgp::PUBLIC_BLOCK) {
                let found = openpgp::recipients(text)?;
                of_openpgp.extend(found);
                continue;
            }
            let recipient = age::recipient(text)?;
            if !of_age.contains(&recipient) {
                of_age.push(recipient);
            }
        }
        // Of a key that stands there twice the later word holds.
        let mut once: Vec<openpgp::Recipient> = Vec::new();
        for recipient in of_openpgp {
            once.retain(|other| other.id != recipient.id);
            once.push(recipient);
        }
        match (of_age.is_empty(), once.is_empty()) {
            (true, true) => Err(ParseKeyError::Empty),
            (false, false) => Err(ParseKeyError::Mixed),
            (false, true) => Ok(Self(To::Age(of_age))),
            (true, false) => Ok(Self(To::OpenPgp(once))),
        }
    }

    /// The same, each with the key only that may be used then, in seconds of Unix time; an error where one has none. What
    /// `age` knows are keys without an end.
    pub fn fit_at(self, at: u64) -> Result<Self, UnfitKey> {
        match self.0 {
            To::OpenPgp(recipients) => {
                let fit = recipients.into_iter().map(|recipient| recipient.fit_at(at)).collect::<Result<_, _>>()?;
                Ok(Self(To::OpenPgp(fit)))
            }
            age @ To::Age(_) => Ok(Self(age)),
        }
    }

    /// What opens what is sealed to them.
    pub fn kind(&self) -> Kind {
        match &self.0 {
            To::Age(_) => Kind::Age,
            To::OpenPgp(_) => Kind::OpenPgp,
        }
    }

    /// How the manifest lists them: public keys of `age`, fingerprints of OpenPGP.
    pub fn ids(&self) -> Vec<String> {
        self.facts().into_iter().map(|facts| facts.id).collect()
    }

    /// What is known of each.
    pub fn facts(&self) -> Vec<KeyFacts> {
        match &self.0 {
            To::Age(recipients) => {
                recipients.iter().map(|recipient| KeyFacts::endless(recipient.to_string())).collect()
            }
            To::OpenPgp(recipients) => recipients.iter().map(openpgp::Recipient::facts).collect(),
        }
    }
}

impl KeyFacts {
    fn endless(id: String) -> Self {
        Self { id, user: None, expires_at: None, revoked: false }
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recipients").field(&self.ids()).finish()
    }
}

impl Identities {
    /// Identities as `age-keygen` and `gpg --export-secret-keys --armor` write them: one secret key of `age` per line, empty
    /// lines and comments aside, and blocks of OpenPGP's keys.
    pub fn parse(text: &str) -> Result<Self, ParseKeyError> {
        Self::parse_locked(text, None)
    }

    /// The same, of which OpenPGP's may be locked by a passphrase.
    pub fn parse_locked(text: &str, passphrase: Option<&SecretString>) -> Result<Self, ParseKeyError> {
        if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
            return Err(ParseKeyError::Encrypted);
        }
        let mut found = Self::default();
        let mut block: Option<String> = None;
        for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
            if line.starts_with(openpgp::SECRET_BLOCK) {
                block = Some(String::new());
            } else if line.starts_with(openpgp::PUBLIC_BLOCK) {
                return Err(ParseKeyError::RecipientForSecret { line: number });
            }
            if let Some(open) = &mut block {
                open.push_str(line);
                open.push('\n');
                if line.starts_with(openpgp::SECRET_BLOCK_END) {
                    found.openpgp.extend(openpgp::identities(open, passphrase)?);
                    block = None;
                }
            } else if !line.is_empty() && !line.starts_with('#') {
                found.age.push(age::identity(number, line)?);
            }
        }
        if block.is_some() {
            return Err(ParseKeyError::OpenPgp("a block of keys does not end".to_owned()));
        }
        if found.is_empty() { Err(ParseKeyError::Empty) } else { Ok(found) }
    }

    /// What opens the key of a backup that a passphrase keeps.
    pub fn of_passphrase(passphrase: SecretString) -> Self {
        Self { passphrases: vec![passphrase], ..Self::default() }
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.age.extend(others.age);
        self.openpgp.extend(others.openpgp);
        self.passphrases.extend(others.passphrases);
        self
    }

    /// The same, of which those open nothing that must not be used any more at that time, in seconds of Unix time.
    #[must_use]
    pub fn judged_at(self, at: u64) -> Self {
        Self { judged_at: Some(at), ..self }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.age.is_empty() && self.openpgp.is_empty() && self.passphrases.is_empty()
    }

    /// Whether there is a passphrase among them.
    pub fn has_passphrase(&self) -> bool {
        !self.passphrases.is_empty()
    }

    /// Whether a key of `age` among them, or one that a passphrase has opened, is called so.
    pub fn hold(&self, ids: &[String]) -> bool {
        let is = |identity: &age::Identity| ids.contains(&identity.to_public().to_string());
        self.age.iter().any(is) || self.unsealed().iter().filter_map(|key| key.identity.as_ref()).any(is)
    }

    /// How manifests call those that they open.
    pub fn recipients(&self) -> Vec<String> {
        self.facts().into_iter().map(|facts| facts.id).collect()
    }

    /// What is known of each; nothing of passphrases.
    pub fn facts(&self) -> Vec<KeyFacts> {
        let of_age = self.age.iter().map(|identity| KeyFacts::endless(identity.to_public().to_string()));
        of_age.chain(self.openpgp.iter().map(openpgp::Identity::facts)).collect()
    }

    /// The public keys of those that are called so, as [`Recipients::parse`] reads them.
    pub fn public_keys(&self, ids: &[String]) -> Vec<String> {
        let of_age = self.age.iter().map(|identity| identity.to_public().to_string()).filter(|id| ids.contains(id));
        let of_openpgp = self.openpgp.iter().filter(|identity| ids.contains(&identity.id));
        of_age.chain(of_openpgp.map(|identity| identity.public.clone())).collect()
    }

    /// Each alone, as it would be if the others were lost; passphrases together.
    pub fn each(&self) -> Vec<(Option<KeyFacts>, Self)> {
        let alone = || Self { judged_at: self.judged_at, ..Self::default() };
        let of_age = self.age.iter().map(|identity| Self { age: vec![identity.clone()], ..alone() });
        let of_openpgp = self.openpgp.iter().map(|identity| Self { openpgp: vec![identity.clone()], ..alone() });
        let of_passphrases = self.has_passphrase().then(|| Self { passphrases: self.passphrases.clone(), ..alone() });
        of_age.chain(of_openpgp).chain(of_passphrases).map(|one| (one.facts().into_iter().next(), one)).collect()
    }

    /// A new key of `age`: the key itself, the public key to it, and the secret one as text.
    pub fn generate() -> (Self, String, SecretString) {
        let identity = age::Identity::generate();
        let (public, secret) = (identity.to_public().to_string(), identity.to_string());
        (Self { age: vec![identity], ..Self::default() }, public, secret)
    }

    pub(super) fn unsealed(&self) -> MutexGuard<'_, Vec<UnsealedKey>> {
        self.unsealed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing of the keys, which are secret.
impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities of {:?}", self.recipients())
    }
}
