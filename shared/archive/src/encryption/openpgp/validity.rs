//! Until when an OpenPGP key may be used, by its own signatures: what others say of it does not count.

use pgp::{
    composed::SignedKeyDetails,
    packet::{PublicKey, PublicSubkey, Signature, SignatureType},
    types::{KeyDetails, Tag, Timestamp},
};

use super::super::keys::Unfit;

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    /// Somebody who holds it has said that it must not be used any more.
    pub(super) revoked: bool,
    /// From when on it must not be used, in seconds of Unix time.
    pub(super) expires_at: Option<u64>,
}

impl Validity {
    /// That of a subkey, which is no more valid than its primary key.
    fn within(self, primary: Self) -> Self {
        let ends = self.expires_at.into_iter().chain(primary.expires_at);
        Self { revoked: self.revoked || primary.revoked, expires_at: ends.min() }
    }

    /// Why it must not be used then, if it must not.
    pub(super) fn unfit(self, at: u64) -> Option<Unfit> {
        if self.revoked {
            return Some(Unfit::Revoked);
        }
        self.expires_at.filter(|end| *end <= at).map(|since| Unfit::Expired { since })
    }
}

/// What a key's newest word of itself says.
struct Word {
    expires_after: Option<u64>,
    /// Whether it is for encryption; `None` where nothing is said.
    encrypts: Option<bool>,
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<Word> {
    let newest = signatures.max_by_key(|signature| signature.created().map(Timestamp::as_secs))?;
    let expires_after = newest.key_expiration_time().map(|span| u64::from(span.as_secs()));
    let flags = newest.key_flags();
    let said =
        flags.certify() || flags.sign() || flags.authentication() || flags.encrypt_comms() || flags.encrypt_storage();
    Some(Word {
        expires_after: expires_after.filter(|span| *span > 0),
        encrypts: said.then(|| flags.encrypt_comms() || flags.encrypt_storage()),
    })
}

fn end(key: &impl KeyDetails, word: &Word) -> Option<u64> {
    word.expires_after.map(|span| u64::from(key.created_at().as_secs()) + span)
}

/// That of a primary key, and whether it encrypts itself. `None` where nothing that it says of itself is its own.
pub(super) fn of_primary(key: &PublicKey, details: &SignedKeyDetails) -> Option<(Validity, bool)> {
    let of_users = details.users.iter().flat_map(|user| {
        user.signatures
            .iter()
            .filter(|s| s.is_certification() && s.verify_certification(key, Tag::UserId, &user.id).is_ok())
    });
    let direct = details.direct_signatures.iter().filter(|signature| signature.verify_key(key).is_ok());
    let word = newest(of_users.chain(direct))?;
    let revoked = details.revocation_signatures.iter().any(|signature| signature.verify_key(key).is_ok());
    Some((Validity { revoked, expires_at: end(key, &word) }, word.encrypts == Some(true)))
}

/// That of a subkey that is for encryption; `None` of any other.
pub(super) fn of_subkey(
    primary: &PublicKey,
    of_primary: Validity,
    key: &PublicSubkey,
    signatures: &[Signature],
) -> Option<Validity> {
    let own =
        |typ| signatures.iter().filter(move |s| s.typ() == Some(typ) && s.verify_subkey_binding(primary, key).is_ok());
    let word = newest(own(SignatureType::SubkeyBinding))?;
    if word.encrypts == Some(false) {
        return None;
    }
    let revoked = own(SignatureType::SubkeyRevocation).next().is_some();
    Some(Validity { revoked, expires_at: end(key, &word) }.within(of_primary))
}

/// The name by which people know a key: its primary user, else the first.
pub(super) fn user(details: &SignedKeyDetails) -> Option<String> {
    let user = details.users.iter().find(|user| user.is_primary()).or_else(|| details.users.first())?;
    Some(String::from_utf8_lossy(user.id.id()).into_owned())
}
