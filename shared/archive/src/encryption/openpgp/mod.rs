//! What the crate `pgp` is used for: keys of OpenPGP, and messages that stock `gpg` opens.

mod opener;
mod public;
mod sealer;
mod secret;
mod validity;

pub(super) use opener::open;
pub(super) use public::{Recipient, recipients};
pub(super) use sealer::Sealer;
pub(super) use secret::{Identity, identities};

/// How a block of public keys begins.
pub(super) const PUBLIC_BLOCK: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// How a block of secret keys begins, and how it ends.
pub(super) const SECRET_BLOCK: &str = "-----BEGIN PGP PRIVATE KEY BLOCK-----";
pub(super) const SECRET_BLOCK_END: &str = "-----END PGP PRIVATE KEY BLOCK-----";
