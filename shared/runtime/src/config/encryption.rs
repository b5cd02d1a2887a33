//! Reads whom a database's backups are encrypted to, where the key is kept that opens them, and whether they must be.

use std::path::Path;

use lifeboat_archive::encryption::Recipients;
use lifeboat_core::{
    Result,
    config::{EncryptionConfig, Setting},
};

use super::{alerts::flag, file::secret, section::Section};

pub(super) fn read(
    section: &Section<'_>,
    required_of_all: Option<&Setting<bool>>,
    folder: &Path,
) -> Result<EncryptionConfig> {
    let mut config = EncryptionConfig::default();
    if let Some(of_all) = required_of_all {
        config.required = of_all.clone();
    }
    config.required = flag(section, "require_encryption")?.unwrap_or(config.required);
    config.identity = secret(section, "identity", folder)?;
    config.identity_passphrase = secret(section, "identity_passphrase", folder)?;
    config.passphrase = secret(section, "passphrase", folder)?;
    if let Some(value) = section.value("encrypt_to") {
        let forms = "write a list of public keys, encrypt_to = [\"age1…\"]; `lifeboat keys new FILE` makes one; a key of \
                     OpenPGP stands there as `gpg --armor --export` prints it, between three quotation marks";
        let list = value.get_ref().as_array().filter(|list| !list.is_empty());
        let Some(list) = list else {
            return Err(section.wrong("encrypt_to", value, "expected a list of public keys").with_hint(forms));
        };
        let mut keys = Vec::new();
        for item in list {
            let Some(text) = item.get_ref().as_str() else {
                return Err(section.wrong("encrypt_to", item, "expected a public key").with_hint(forms));
            };
            Recipients::parse([text]).map_err(|e| section.wrong("encrypt_to", item, e).with_hint(forms))?;
            keys.push(text.to_owned());
        }
        Recipients::parse(keys.iter().map(String::as_str))
            .map_err(|e| section.wrong("encrypt_to", value, e).with_hint(forms))?;
        if let (Some(_), Some(value)) = (&config.passphrase, section.value("passphrase")) {
            let what = "there are public keys too: backups are encrypted to them, or kept by a passphrase";
            return Err(section.wrong("passphrase", value, what).with_hint("take one of the two out"));
        }
        config.encrypt_to = Setting::new(keys, section.source.origin(&value.span()));
    }
    Ok(config)
}
