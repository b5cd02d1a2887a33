//! Public keys of OpenPGP: whom objects are sealed to.

use pgp::{
    composed::{PublicOrSecret, RawSessionKey, SignedPublicKey},
    crypto::sym::SymmetricKeyAlgorithm,
    errors::Error,
    packet::{PacketTrait, PublicKey, PublicKeyEncryptedSessionKey, PublicSubkey},
    types::KeyDetails,
};

use super::validity::{self, Validity};
use crate::encryption::{
    ParseKeyError,
    keys::{KeyFacts, Unfit, UnfitKey},
};

/// A public key with the parts of it that encrypt, the newest first.
#[derive(Clone)]
pub(in crate::encryption) struct Recipient {
    /// Its fingerprint, 40 hex digits.
    pub(in crate::encryption) id: String,
    user: Option<String>,
    parts: Vec<Part>,
}

#[derive(Clone)]
struct Part {
    key: Key,
    validity: Validity,
    made_at: u32,
}

#[derive(Clone)]
enum Key {
    Primary(PublicKey),
    Sub(PublicSubkey),
}

impl Key {
    /// As far as this crate can encrypt to it: signing keys cannot, whatever their flags say.
    fn seal(&self, session: &RawSessionKey) -> Result<PublicKeyEncryptedSessionKey, Error> {
        let (rng, cipher) = (rand08::thread_rng(), SymmetricKeyAlgorithm::AES256);
        match self {
            Self::Primary(key) => PublicKeyEncryptedSessionKey::from_session_key_v3(rng, session, cipher, key),
            Self::Sub(key) => PublicKeyEncryptedSessionKey::from_session_key_v3(rng, session, cipher, key),
        }
    }
}

impl Recipient {
    fn of(key: SignedPublicKey) -> Result<Self, ParseKeyError> {
        let id = format!("{:X}", key.fingerprint());
        let wrong = |what: &str| ParseKeyError::OpenPgp(format!("the key {id}: {what}"));
        let primary = &key.primary_key;
        let (of_primary, encrypts) = validity::of_primary(primary, &key.details)
            .ok_or_else(|| wrong("none of the signatures of it is its own"))?;
        let mut parts: Vec<Part> = Vec::new();
        if encrypts {
            let (key, made_at) = (Key::Primary(primary.clone()), primary.created_at().as_secs());
            parts.push(Part { key, validity: of_primary, made_at });
        }
        for subkey in key.public_subkeys {
            if let Some(validity) = validity::of_subkey(primary, of_primary, &subkey.key, &subkey.signatures) {
                let made_at = subkey.key.created_at().as_secs();
                parts.push(Part { key: Key::Sub(subkey.key), validity, made_at });
            }
        }
        if parts.is_empty() {
            return Err(wrong("no part of it is for encryption"));
        }
        parts.sort_by_key(|part| std::cmp::Reverse(part.made_at));
        Ok(Self { user: validity::user(&key.details), parts, id })
    }

    /// The same with the newest part only that may be used then.
    pub(in crate::encryption) fn fit_at(self, at: u64) -> Result<Self, UnfitKey> {
        if let Some(part) = self.parts.iter().find(|part| part.validity.unfit(at).is_none()).cloned() {
            return Ok(Self { parts: vec![part], ..self });
        }
        let why = self.parts.first().and_then(|part| part.validity.unfit(at)).unwrap_or(Unfit::Revoked);
        Err(UnfitKey { id: self.id, why })
    }

    /// For people; the end is that of the part that lasts longest.
    pub(in crate::encryption) fn facts(&self) -> KeyFacts {
        let lasting: Vec<&Part> = self.parts.iter().filter(|part| !part.validity.revoked).collect();
        let endless = lasting.iter().any(|part| part.validity.expires_at.is_none());
        let expires_at = lasting.iter().filter_map(|part| part.validity.expires_at).max().filter(|_| !endless);
        KeyFacts { id: self.id.clone(), user: self.user.clone(), expires_at, revoked: lasting.is_empty() }
    }

    /// The packet by which its holder finds the key of an object.
    pub(super) fn seal(&self, session: &RawSessionKey, out: &mut Vec<u8>) -> Result<(), Error> {
        let part = self.parts.first().ok_or(Error::MissingKey)?;
        part.key.seal(session)?.to_writer_with_header(out)
    }
}

/// The public keys in a block of text.
pub(in crate::encryption) fn recipients(text: &str) -> Result<Vec<Recipient>, ParseKeyError> {
    let wrong = |error: Error| ParseKeyError::OpenPgp(format!("a public key cannot be read: {error}"));
    let (keys, _) = PublicOrSecret::from_armor_many_buf(text.as_bytes()).map_err(wrong)?;
    keys.map(|key| match key.map_err(wrong)? {
        PublicOrSecret::Public(key) => Recipient::of(key),
        PublicOrSecret::Secret(_) => Err(ParseKeyError::SecretForRecipient),
    })
    .collect()
}
