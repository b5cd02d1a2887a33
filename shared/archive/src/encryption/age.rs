//! What the crate `age` is used for: X25519 keys as text.

pub(super) use ::age::x25519::{Identity, Recipient};

use super::ParseKeyError;

const SECRET_PREFIX: &str = "AGE-SECRET-KEY-";

/// A recipient by its public key.
pub(super) fn recipient(text: &str) -> Result<Recipient, ParseKeyError> {
    if text.to_ascii_uppercase().starts_with(SECRET_PREFIX) {
        return Err(ParseKeyError::SecretForRecipient);
    }
    text.parse().map_err(|why: &str| ParseKeyError::Recipient { text: text.to_owned(), why: why.to_owned() })
}

/// An identity by its secret key, which stands in `line`.
pub(super) fn identity(line: usize, text: &str) -> Result<Identity, ParseKeyError> {
    if text.starts_with("age1") {
        return Err(ParseKeyError::RecipientForSecret { line });
    }
    text.parse().map_err(|why: &str| ParseKeyError::Identity { line, why: why.to_owned() })
}
