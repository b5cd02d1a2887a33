//! Ties a password's exchange to the TLS connection below it, so that nobody in between can hand it on.

use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::{
    Certificate,
    der::{
        Decode,
        oid::db::rfc5912::{
            ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, MD_5_WITH_RSA_ENCRYPTION,
            SHA_1_WITH_RSA_ENCRYPTION, SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION,
            SHA_512_WITH_RSA_ENCRYPTION,
        },
    },
};

/// `tls-server-end-point` of RFC 5929: the certificate's hash by the hash of its own signature, at least SHA-256. `None`
/// where the signature names no hash, as Ed25519's.
pub(super) fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    match Certificate::from_der(certificate).ok()?.signature_algorithm.oid {
        MD_5_WITH_RSA_ENCRYPTION | SHA_1_WITH_RSA_ENCRYPTION | SHA_256_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_256 => {
            Some(Sha256::digest(certificate).to_vec())
        }
        SHA_384_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_384 => Some(Sha384::digest(certificate).to_vec()),
        SHA_512_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_512 => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// The certificates were made by `openssl req -x509 -config /dev/null -nodes -keyout /dev/null -subj /CN=test -outform DER`
    /// with `-newkey rsa:1024`, `-newkey ec -pkeyopt ec_paramgen_curve:P-256` or `-newkey ed25519`, and `-md5` and so on; what
    /// their hashes begin with is what `openssl dgst` says.
    #[test]
    fn a_certificate_is_hashed_as_its_own_signature_is_but_by_nothing_less_than_sha_256() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tls/signed");
        let hash = |name: &str| tls_server_end_point(&fs::read(folder.join(name)).unwrap());
        for (name, bytes, beginning) in [
            ("rsa-md5.der", 32, "f365846b3d600010"),
            ("rsa-sha1.der", 32, "fa97f8906f8d3301"),
            ("rsa-sha256.der", 32, "8845b017d22115e7"),
            ("rsa-sha384.der", 48, "9f4acf71c1fe8d71"),
            ("rsa-sha512.der", 64, "1028e688ca01ae3b"),
            ("ecdsa-sha256.der", 32, "b3525e6988acd5b2"),
            ("ecdsa-sha384.der", 48, "186916e956f179a2"),
            ("ecdsa-sha512.der", 64, "00103963d3a70aa6"),
        ] {
            let hash = hash(name).unwrap();
            assert_eq!((hash.len(), hex::encode(&hash[..8]).as_str()), (bytes, beginning), "{name}");
        }
        assert_eq!(hash("ed25519.der"), None, "its signature has no hash that could be named");
        assert_eq!(tls_server_end_point(b"no certificate"), None);
    }
}
