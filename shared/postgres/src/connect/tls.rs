//! How connections are encrypted, and what the server's certificate is checked with.

use std::{path::PathBuf, sync::Arc};

use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};

use super::{ConnectionTarget, Tls, rds};

/// Where distributions keep the system's trusted certificates in one file, for client tools older than 16.
const SYSTEM_CA_FILES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

impl ConnectionTarget {
    /// How TLS is done; `None` where it is not.
    pub(crate) fn tls_config(&self) -> Result<Option<ClientConfig>> {
        if self.tls == Tls::Disable {
            return Ok(None);
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .or_error(ErrorKind::Unexpected, "set up TLS")?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth();
        Ok(Some(config))
    }

    /// What the server's certificate is checked with: the file that was named; else, for a server of RDS, the packaged
    /// certificates and nothing else; else the system's.
    pub(super) fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.root_cert {
            let name = file.display();
            let certificates = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
                .map_err(|e| Error::new(ErrorKind::Config, format!("read certificates from {name}: {e}")))?;
            for certificate in certificates {
                roots.add(certificate).or_error(ErrorKind::Config, format!("use a certificate of {name}"))?;
            }
        } else if self.rds.is_some() {
            for certificate in CertificateDer::pem_slice_iter(rds::ROOTS.as_bytes()) {
                let certificate = certificate.or_error(ErrorKind::Unexpected, "read the certificates of RDS")?;
                roots.add(certificate).or_error(ErrorKind::Unexpected, "use a certificate of RDS")?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if roots.is_empty() {
            return Err(Error::new(ErrorKind::Config, "no trusted certificate found to check the server's with")
                .with_hint("install ca-certificates, or name the server's CA with ?sslrootcert=FILE in the URL"));
        }
        Ok(roots)
    }

    /// The same for client tools, which want a file; `None` where they have to look for themselves.
    pub(super) fn ca_file(&self) -> Result<Option<PathBuf>> {
        Ok(match (&self.root_cert, &self.rds) {
            (Some(file), _) => Some(file.clone()),
            (None, Some(rds)) => Some(rds.file()?),
            (None, None) => SYSTEM_CA_FILES.iter().map(PathBuf::from).find(|p| p.exists()),
        })
    }

    /// What helps where the server's certificate is not trusted, if more than usual is known about it.
    pub(crate) fn trust_hint(&self) -> Option<String> {
        let region = rds::region_of(&self.host).filter(|region| !rds::is_packaged(region))?;
        self.root_cert.is_none().then(|| {
            format!(
                "the certificates of RDS in {region} are not packaged: download {} and set tls.root_cert",
                rds::NEWEST
            )
        })
    }
}
