//! The proof of who we are: by SCRAM, tied to the TLS connection below it wherever the server lets it be, or by a token.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{io::duplex, net::TcpListener};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{CredentialSource, Credentials, connect::ConnectionTarget};

const PLAIN: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";

fn offer(mechanisms: &[&str]) -> Vec<u8> {
    message(b'R', format!("\0\0\0\x0a{}\0\0", mechanisms.join("\0")).as_bytes())
}

/// Offers these mechanisms to a client that begins a session; gives the one that it takes, and its first and last message.
async fn proof<S>(mut server: Server<S>, offered: &[&str]) -> [String; 3]
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    server.hears_untagged().await;
    server.says(&offer(offered)).await;
    let (_, taken) = server.hears().await;
    let taken = String::from_utf8(taken).unwrap();
    let (mechanism, first) = taken.split_once('\0').unwrap();
    // Behind its length.
    let first = &first[4..];
    let (_, nonce) = first.rsplit_once(",r=").unwrap();
    let challenge = format!("\0\0\0\x0br={nonce}more,s=c2FsdA==,i=4096");
    server.says(&message(b'R', challenge.as_bytes())).await;
    let (_, last) = server.hears().await;
    [mechanism.to_owned(), first.to_owned(), String::from_utf8(last).unwrap()]
}

/// The same of a client that knows this of the TLS connection.
fn proof_with(binding: Option<&[u8]>, offered: &[&str]) -> [String; 3] {
    let password = SecretString::from("hunter2");
    let login = Login { channel_binding: binding.map(<[u8]>::to_vec), ..login(Some(&password), true) };
    let (ours, theirs) = duplex(1000);
    let client = async {
        let mut frames = Frames::new(ours);
        start(&mut frames, &login).await
    };
    let (ended, said) = run(async { tokio::join!(client, proof(Server(theirs), offered)) });
    assert!(ended.is_err(), "the server has not proved itself");
    said
}

#[test]
fn the_proof_is_tied_to_the_certificate_where_the_server_offers_it_and_else_says_why_it_is_not() {
    let certificate = Some(&b"binding"[..]);
    // `c=`: how the first message began, and behind it what the proof is tied to, in base 64.
    let tied = ("p=tls-server-end-point,,n=,r=", "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsYmluZGluZw==,r=");
    // We could have: a server that did offer it finds out that somebody has hidden that from us (RFC 5802, section 6).
    let could = ("y,,n=,r=", "c=eSws,r=");
    let cannot = ("n,,n=,r=", "c=biws,r=");
    for (binding, offered, expected, (begins, ends)) in [
        (certificate, &[PLUS, PLAIN][..], PLUS, tied),
        (certificate, &[PLAIN, PLUS][..], PLUS, tied),
        (certificate, &[PLUS][..], PLUS, tied),
        (certificate, &[PLAIN][..], PLAIN, could),
        (None, &[PLUS, PLAIN][..], PLAIN, cannot),
        (None, &[PLAIN][..], PLAIN, cannot),
    ] {
        let [mechanism, first, last] = proof_with(binding, offered);
        assert_eq!(mechanism, expected, "{binding:?} {offered:?}");
        assert!(first.starts_with(begins) && last.starts_with(ends), "{binding:?} {offered:?}: {first}, {last}");
    }
    let password = SecretString::from("hunter2");
    let mut frames = Frames::new(Script::new(offer(&[PLUS]), 100));
    let refused = run(start(&mut frames, &login(Some(&password), true))).unwrap_err();
    assert!(refused.to_string().contains("unsupported SASL mechanism"), "{refused}");
}

/// `(printf p=tls-server-end-point,,; openssl x509 -in server.crt -outform DER | openssl dgst -sha384 -binary) | base64`: the
/// certificate is signed with SHA-384.
const TIED_TO_THE_CERTIFICATE: &str = "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCws\
     77j1I5LLDcHXKZ8uk80sI0LjHbwCyfVjqczxF7RcR5eXwUXfAgb2/junDhpbQPEC,r=";

/// A server that speaks TLS, and a URL of its database for whoever `user` is.
struct WithTls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl WithTls {
    async fn listening() -> Self {
        let certificates = CertificateDer::pem_file_iter(tls("server.crt")).unwrap().map(Result::unwrap).collect();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, PrivateKeyDer::from_pem_file(tls("server.key")).unwrap())
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    fn target(&self, user: &str) -> ConnectionTarget {
        let (port, authority) = (self.listener.local_addr().unwrap().port(), tls("ca.crt"));
        let at =
            format!("localhost:{port}/d?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}", authority.display());
        ConnectionTarget::parse(&format!("postgres://{user}@{at}")).unwrap()
    }

    /// The next client, which asks for TLS.
    async fn next(&self) -> Server<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        let (mut socket, _) = self.listener.accept().await.unwrap();
        socket.read_exact(&mut [0; 8]).await.unwrap();
        socket.write_all(b"S").await.unwrap();
        Server(self.acceptor.accept(socket).await.unwrap())
    }
}

fn tls(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tls").join(name)
}

#[tokio::test]
async fn a_session_is_tied_to_the_certificate_that_the_server_shows() {
    let server = WithTls::listening().await;
    let target = server.target("ann:hunter2");
    let proven = async { proof(server.next().await, &[PLAIN, PLUS]).await };
    let both = async { tokio::join!(target.connect_wire("test"), proven) };
    let (ended, [mechanism, first, last]) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert!(ended.is_err(), "the server has not proved itself");
    assert_eq!(mechanism, PLUS);
    assert!(first.starts_with("p=tls-server-end-point,,n=,r="), "{first}");
    assert!(last.starts_with(TIED_TO_THE_CERTIFICATE), "{last}");
}

/// Tokens of IAM: more than a thousand characters, and another for everyone who asks.
struct Minted(AtomicUsize);

#[async_trait]
impl CredentialSource for Minted {
    async fn current(&self) -> lifeboat_core::Result<Credentials> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let password = format!("db.example:5432/?Action=connect&token={number}&{}", "x".repeat(1400));
        Ok(Credentials { user: "backup".to_owned(), password: password.into() })
    }

    async fn renewed(&self, _refused: &Credentials) -> lifeboat_core::Result<Option<Credentials>> {
        Ok(None)
    }

    fn may_be_outdated(&self) -> bool {
        true
    }
}

/// RDS asks for the token as for a password in clear text, within TLS.
#[tokio::test]
async fn every_session_says_a_token_of_its_own_whole_and_as_its_user() {
    let server = WithTls::listening().await;
    let target = server.target("somebody").with_credentials(Arc::new(Minted(AtomicUsize::new(0))));
    for number in 0..2 {
        let hears = async {
            let mut server = server.next().await;
            let begun = server.hears_untagged().await;
            server.says(&message(b'R', &3_i32.to_be_bytes())).await;
            let (tag, token) = server.hears().await;
            (begun, tag, String::from_utf8(token).unwrap())
        };
        let both = async { tokio::join!(target.connect_wire("test"), hears) };
        let (ended, (begun, tag, token)) = tokio::time::timeout(PATIENCE, both).await.unwrap();
        assert!(ended.is_err(), "the server has gone");
        assert!(begun.windows(12).any(|bytes| bytes == b"user\0backup\0"), "{}", String::from_utf8_lossy(&begun));
        assert_eq!((tag, token.len()), (b'p', "db.example:5432/?Action=connect&token=0&".len() + 1400 + 1));
        assert!(token.contains(&format!("token={number}&")) && token.ends_with("x\0"), "{token}");
    }
}
