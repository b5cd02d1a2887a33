//! How connections are encrypted, and what the server's certificate is checked with.

use std::sync::Arc;

use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};

use super::{ConnectionTarget, Tls};

impl ConnectionTarget {
    /// How TLS is done; `None` where it is not.
    pub(crate) fn tls_config(&self) -> Result<Option<ClientConfig>> {
        if self.tls == Tls::Disable {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.root_cert {
            let name = file.display();
            let certificates = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
                .map_err(|e| Error::new(ErrorKind::Config, format!("read certificates from {name}: {e}")))?;
            for certificate in certificates {
                roots.add(certificate).or_error(ErrorKind::Config, format!("use a certificate of {name}"))?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if roots.is_empty() {
            return Err(Error::new(ErrorKind::Config, "no trusted certificate found to check the server's with")
                .with_hint("install ca-certificates, or name the server's CA with ?sslrootcert=FILE in the URL"));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .or_error(ErrorKind::Unexpected, "set up TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(config))
    }
}
