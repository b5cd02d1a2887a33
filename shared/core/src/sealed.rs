//! JSON documents that end with a SHA-256 of themselves, so that any flipped byte is found.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{Error, ErrorKind, Result, ResultExt};

/// What stands in the hash's place while the hash is made.
pub(crate) const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One kind of sealed document: pretty JSON whose last field, at the top level, is the hash of the document's bytes
/// with the hash's own 64 digits replaced by zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal {
    /// The document's name in messages, such as `manifest.json`.
    pub(crate) document: &'static str,
    /// The last field's name.
    pub(crate) field: &'static str,
    /// The newest `format_version` that can be read.
    pub(crate) newest: u32,
}

impl Seal {
    /// The document's bytes and its hash; `value`'s hash field must hold [`ZEROS`].
    pub(crate) fn seal<T: Serialize>(self, value: &T) -> Result<(Vec<u8>, String)> {
        let mut bytes = serde_json::to_vec_pretty(value)
            .or_error(ErrorKind::Unexpected, format_args!("write {}", self.document))?;
        let (at, hash) = self.hash_of(&bytes)?;
        bytes[at..at + ZEROS.len()].copy_from_slice(hash.as_bytes());
        Ok((bytes, hash))
    }

    /// The document behind some bytes: `Corrupt` where the hash does not match, `Unexpected` where the format is newer.
    pub(crate) fn open<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let document = self.document;
        let (at, hash) = self.hash_of(bytes)?;
        if bytes.get(at..at + ZEROS.len()) != Some(hash.as_bytes()) {
            return Err(Error::new(ErrorKind::Corrupt, format!("{document} is damaged: its own hash does not match")));
        }
        let version: Version =
            serde_json::from_slice(bytes).or_error(ErrorKind::Corrupt, format_args!("read {document}"))?;
        if version.format_version > self.newest {
            return Err(Error::new(
                ErrorKind::Unexpected,
                format!(
                    "{document} has format version {}, this Lifeboat reads up to {}",
                    version.format_version, self.newest
                ),
            )
            .with_hint("use a newer Lifeboat"));
        }
        serde_json::from_slice(bytes).or_error(ErrorKind::Corrupt, format_args!("read {document}"))
    }

    fn hash_of(self, bytes: &[u8]) -> Result<(usize, String)> {
        let damaged =
            || Error::new(ErrorKind::Corrupt, format!("{} is damaged: it does not end with its hash", self.document));
        let field = format!("\"{}\": \"", self.field);
        let at = bytes.windows(field.len()).rposition(|w| w == field.as_bytes()).ok_or_else(damaged)? + field.len();
        let end = at + ZEROS.len();
        if bytes.len() != end + 3 || !bytes.ends_with(b"\"\n}") {
            return Err(damaged());
        }
        let mut digest = Sha256::new();
        digest.update(&bytes[..at]);
        digest.update(ZEROS.as_bytes());
        digest.update(&bytes[end..]);
        Ok((at, hex::encode(digest.finalize())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = Seal { document: "note.json", field: "note_sha256", newest: 2 };

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        format_version: u32,
        text: String,
        #[serde(rename = "note_sha256")]
        sha256: String,
    }

    fn note(format_version: u32) -> Note {
        // The text holds what looks like the hash field: only the last one counts.
        Note { format_version, text: "\"note_sha256\": \"".to_owned(), sha256: ZEROS.to_owned() }
    }

    #[test]
    fn a_sealed_document_opens_again() {
        let (bytes, hash) = SEAL.seal(&note(1)).unwrap();
        assert_eq!(SEAL.open::<Note>(&bytes).unwrap(), Note { sha256: hash, ..note(1) });
    }

    #[test]
    fn every_flipped_or_missing_byte_is_found() {
        let (bytes, _) = SEAL.seal(&note(1)).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(SEAL.open::<Note>(&damaged).unwrap_err().kind(), ErrorKind::Corrupt, "byte {at}");
            assert_eq!(SEAL.open::<Note>(&bytes[..at]).unwrap_err().kind(), ErrorKind::Corrupt, "cut at {at}");
        }
    }

    #[test]
    fn a_newer_format_asks_for_a_newer_lifeboat() {
        let (bytes, _) = SEAL.seal(&note(3)).unwrap();
        let error = SEAL.open::<Note>(&bytes).unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::Unexpected, "use a newer Lifeboat"));
    }
}
