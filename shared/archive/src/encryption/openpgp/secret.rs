//! Secret keys of OpenPGP: what opens objects.

use pgp::{
    composed::{Esk, PlainSessionKey, PublicOrSecret, SignedSecretKey},
    errors::Error,
    packet::{PublicKeyEncryptedSessionKey, SecretKey, SecretSubkey},
    types::{DecryptionKey, EskType, KeyDetails, Password},
};
use secrecy::{ExposeSecret, SecretString};

use super::validity::{self, Validity};
use crate::encryption::{
    OpenError, ParseKeyError,
    keys::{KeyFacts, UnfitKey},
};

/// A secret key with the parts of it that decrypt, unlocked.
#[derive(Clone)]
pub(in crate::encryption) struct Identity {
    /// Its fingerprint, 40 hex digits.
    pub(in crate::encryption) id: String,
    user: Option<String>,
    parts: Vec<(Key, Validity)>,
    /// The public half, as text.
    pub(in crate::encryption) public: String,
}

#[derive(Clone)]
enum Key {
    Primary(SecretKey),
    Sub(SecretSubkey),
}

impl Key {
    fn unlock(&mut self, passphrase: &Password) -> Result<(), Error> {
        match self {
            Self::Primary(key) => key.remove_password(passphrase),
            Self::Sub(key) => key.remove_password(passphrase),
        }
    }

    fn is_locked(&self) -> bool {
        match self {
            Self::Primary(key) => key.secret_params().is_encrypted(),
            Self::Sub(key) => key.secret_params().is_encrypted(),
        }
    }

    /// The key of an object, if it was sealed to this one. `Err` where it was, and cannot be opened.
    fn open(&self, sealed: &PublicKeyEncryptedSessionKey) -> Option<Result<PlainSessionKey, Error>> {
        match self {
            Self::Primary(key) => sealed.match_identity(key).then(|| open_by(key, sealed)),
            Self::Sub(key) => sealed.match_identity(key).then(|| open_by(key, sealed)),
        }
    }
}

fn open_by(key: &impl DecryptionKey, sealed: &PublicKeyEncryptedSessionKey) -> Result<PlainSessionKey, Error> {
    key.decrypt(&Password::empty(), sealed.values()?, EskType::V3_4)?
}

impl Identity {
    fn of(key: SignedSecretKey, passphrase: Option<&SecretString>) -> Result<Self, ParseKeyError> {
        let id = format!("{:X}", key.primary_key.fingerprint());
        let wrong = |what: &str| ParseKeyError::OpenPgp(format!("the secret key {id}: {what}"));
        let public = key.to_public_key().to_armored_string(None.into()).map_err(|e| wrong(&e.to_string()))?;
        let user = validity::user(&key.details);
        let primary = key.primary_key.public_key().clone();
        let (of_primary, encrypts) = validity::of_primary(&primary, &key.details)
            .ok_or_else(|| wrong("none of the signatures of it is its own"))?;
        let mut parts = Vec::new();
        if encrypts {
            parts.push((Key::Primary(key.primary_key), of_primary));
        }
        for subkey in key.secret_subkeys {
            let found = validity::of_subkey(&primary, of_primary, subkey.key.public_key(), &subkey.signatures);
            parts.extend(found.map(|validity| (Key::Sub(subkey.key), validity)));
        }
        if parts.is_empty() {
            return Err(wrong("no part of it opens anything"));
        }
        for (part, _) in &mut parts {
            if part.is_locked() {
                let passphrase = passphrase.ok_or_else(|| ParseKeyError::Locked { id: id.clone() })?;
                let passphrase = Password::from(passphrase.expose_secret());
                part.unlock(&passphrase).map_err(|_| ParseKeyError::WrongPassphrase { id: id.clone() })?;
            }
        }
        Ok(Self { id, user, parts, public })
    }

    /// For people.
    pub(in crate::encryption) fn facts(&self) -> KeyFacts {
        let lasting: Vec<&Validity> = self.parts.iter().map(|(_, validity)| validity).filter(|v| !v.revoked).collect();
        let endless = lasting.iter().any(|validity| validity.expires_at.is_none());
        let expires_at = lasting.iter().filter_map(|validity| validity.expires_at).max().filter(|_| !endless);
        KeyFacts { id: self.id.clone(), user: self.user.clone(), expires_at, revoked: lasting.is_empty() }
    }
}

/// The secret keys in a block of text. Parts that are locked are unlocked once, and stay so.
pub(in crate::encryption) fn identities(
    text: &str,
    passphrase: Option<&SecretString>,
) -> Result<Vec<Identity>, ParseKeyError> {
    // What the parser says of a secret key is not repeated: it may hold a part of it.
    let wrong = |_| ParseKeyError::OpenPgp("a secret key cannot be read".to_owned());
    let (keys, _) = PublicOrSecret::from_armor_many_buf(text.as_bytes()).map_err(wrong)?;
    keys.map(|key| match key.map_err(wrong)? {
        PublicOrSecret::Secret(key) => Identity::of(key, passphrase),
        PublicOrSecret::Public(_) => Err(ParseKeyError::OpenPgp("this is a public key: secret ones open".to_owned())),
    })
    .collect()
}

/// The key of an object, by the first identity that it was sealed to and that may be used `at` that time.
pub(super) fn session_key(
    identities: &[Identity],
    at: Option<u64>,
    sealed: &[Esk],
) -> Result<PlainSessionKey, OpenError> {
    let mut why = OpenError::NoMatch;
    for esk in sealed {
        let Esk::PublicKeyEncryptedSessionKey(esk) = esk else { continue };
        for identity in identities {
            for (key, validity) in &identity.parts {
                let Some(found) = key.open(esk) else { continue };
                if let Some(unfit) = at.and_then(|at| validity.unfit(at)) {
                    why = OpenError::Unfit(UnfitKey { id: identity.id.clone(), why: unfit });
                    continue;
                }
                match found {
                    Ok(session) => return Ok(session),
                    Err(_) => why = OpenError::Damaged("the key in it cannot be opened".to_owned()),
                }
            }
        }
    }
    Err(why)
}
