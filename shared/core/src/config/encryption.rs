//! How the backups of one database are encrypted, and what opens them.

use super::{Rows, SecretRef, Setting};

/// Encryption of one database's backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptionConfig {
    /// Public keys of those who can open the backups: `age1…`, or blocks of OpenPGP's keys.
    pub encrypt_to: Setting<Vec<String>>,
    /// Where the secret key is kept that opens them. Only restores and drills look there.
    pub identity: Option<Setting<SecretRef>>,
    /// Where the passphrase is kept by which secret keys of OpenPGP in there are locked.
    pub identity_passphrase: Option<Setting<SecretRef>>,
    /// Where the passphrase is kept that keeps the key of each backup, where nobody is named.
    pub passphrase: Option<Setting<SecretRef>>,
    /// Whether dumps that are not encrypted are refused.
    pub required: Setting<bool>,
}

impl Default for EncryptionConfig {
    fn default() -> Self {
        Self {
            encrypt_to: Setting::default_of(Vec::new()),
            identity: None,
            identity_passphrase: None,
            passphrase: None,
            required: Setting::default_of(false),
        }
    }
}

impl EncryptionConfig {
    pub(super) fn in_force(&self, path: &str, rows: &mut Rows) {
        rows.set(format!("{path}.encrypt_to"), &self.encrypt_to);
        rows.maybe(format!("{path}.identity"), self.identity.as_ref());
        rows.maybe(format!("{path}.identity_passphrase"), self.identity_passphrase.as_ref());
        rows.maybe(format!("{path}.passphrase"), self.passphrase.as_ref());
        rows.set(format!("{path}.require_encryption"), &self.required);
    }
}
