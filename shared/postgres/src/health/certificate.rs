//! The certificate that a server shows, fetched by a handshake of its own: one that is no longer trusted must be seen too.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{Error, ErrorKind, Result, ResultExt, ports::Certificate};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use x509_cert::{Certificate as X509, der::Decode};

use crate::connect::ConnectionTarget;

/// PostgreSQL's request for an encrypted connection.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The certificate of the chain shown that ends first. The target must be pinned.
pub(super) async fn shown(target: &ConnectionTarget) -> Result<Certificate> {
    let doing = format!("look at the certificate of {}", target.server_label());
    let address = target
        .socket_address()
        .ok_or_else(|| Error::new(ErrorKind::Database, format!("{doing}: its address is not known")))?;
    let host = target.host().to_owned();
    let chain = tokio::task::spawn_blocking(move || handshake(address, &host))
        .await
        .or_error(ErrorKind::Unexpected, &doing)?
        .map_err(|e| e.context(&doing))?;
    let certificates: Vec<Certificate> = chain.iter().map(|der| read(der)).collect::<Result<_>>()?;
    certificates
        .into_iter()
        .min_by_key(|certificate| certificate.valid_until)
        .ok_or_else(|| Error::new(ErrorKind::Database, format!("{doing}: it shows none")))
}

/// Shakes hands and goes; nothing is sent over the connection.
fn handshake(address: SocketAddr, host: &str) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |e: std::io::Error| Error::new(ErrorKind::Database, e.to_string()).with_source(e);
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    socket.set_read_timeout(Some(PATIENCE)).and_then(|()| socket.set_write_timeout(Some(PATIENCE))).map_err(failed)?;
    socket.write_all(&SSL_REQUEST).map_err(failed)?;
    let mut answer = [0_u8; 1];
    socket.read_exact(&mut answer).map_err(failed)?;
    if answer != *b"S" {
        return Err(Error::new(ErrorKind::Database, "the server does not encrypt")
            .with_hint("turn ssl on on the server, or, on a trusted network, write sslmode=disable"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .or_error(ErrorKind::Unexpected, "set up TLS")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OnlyLook(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).or_error(ErrorKind::Config, format!("use '{host}' as a name"))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).or_error(ErrorKind::Unexpected, "set up TLS")?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(failed)?;
    }
    Ok(connection.peer_certificates().map_or_else(Vec::new, <[_]>::to_vec))
}

fn read(der: &CertificateDer<'_>) -> Result<Certificate> {
    let parsed = X509::from_der(der.as_ref())
        .map_err(|e| Error::new(ErrorKind::Database, format!("read the server's certificate: {e}")))?;
    let tbs = parsed.tbs_certificate;
    let end = SignedDuration::try_from(tbs.validity.not_after.to_unix_duration()).unwrap_or(SignedDuration::MAX);
    Ok(Certificate {
        subject: tbs.subject.to_string(),
        valid_until: Timestamp::UNIX_EPOCH.saturating_add(end).unwrap_or(Timestamp::MAX),
    })
}

/// Trusts whatever is shown: it is only looked at. Sessions that carry data check it (`ConnectionTarget::connect`).
#[derive(Debug)]
struct OnlyLook(Arc<CryptoProvider>);

impl ServerCertVerifier for OnlyLook {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
