//! The start of a session: who we are, and the proof of it.

use bytes::BytesMut;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    },
    message::{
        backend::{AuthenticationSaslBody, Message},
        frontend,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::fallible_iterator::FallibleIterator;

use super::{WireError, frames::Frames};

/// The largest message before the session is open, bytes.
const MOST_IN_MESSAGE: usize = 64 << 10;

/// The most that is said between the proof and the session's being open.
const MOST_MESSAGES: usize = 1000;

/// Who connects, and what to prove it by.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) database: &'a str,
    pub(super) application_name: &'a str,
    pub(super) password: Option<&'a SecretString>,
    /// What ties the proof to the TLS connection, where there is one.
    pub(super) channel_binding: Option<Vec<u8>>,
    /// Whether nobody can listen.
    pub(super) secret: bool,
}

/// Opens the session and gives the encoding of its database.
pub(super) async fn start<S>(frames: &mut Frames<S>, login: &Login<'_>) -> Result<Option<String>, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let parameters = [
        ("client_encoding", "UTF8"),
        ("user", login.user),
        ("database", login.database),
        ("application_name", login.application_name),
    ];
    send(frames, |message| frontend::startup_message(parameters, message)).await?;
    authenticate(frames, login).await?;
    let mut encoding = None;
    for _ in 0..MOST_MESSAGES {
        match next(frames).await? {
            Message::ParameterStatus(body) => {
                if body.name().is_ok_and(|name| name == "server_encoding") {
                    encoding = body.value().ok().map(str::to_owned);
                }
            }
            Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
            Message::ReadyForQuery(_) => return Ok(encoding),
            _ => return Err(WireError::unexpected()),
        }
    }
    Err(WireError::Protocol("a start without end".to_owned()))
}

async fn authenticate<S>(frames: &mut Frames<S>, login: &Login<'_>) -> Result<(), WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match next(frames).await? {
        Message::AuthenticationOk => return Ok(()),
        Message::AuthenticationCleartextPassword => {
            let password = password(login)?;
            if !login.secret {
                return Err(WireError::Authentication(
                    "the server wants the password in clear text, and the connection is not encrypted".to_owned(),
                ));
            }
            send(frames, |message| frontend::password_message(password, message)).await?;
        }
        Message::AuthenticationMd5Password(body) => {
            let hash = md5_hash(login.user.as_bytes(), password(login)?, body.salt());
            send(frames, |message| frontend::password_message(hash.as_bytes(), message)).await?;
        }
        Message::AuthenticationSasl(body) => scram(frames, &body, login).await?,
        Message::AuthenticationKerberosV5
        | Message::AuthenticationScmCredential
        | Message::AuthenticationGss
        | Message::AuthenticationSspi => {
            return Err(WireError::Authentication("unsupported authentication method".to_owned()));
        }
        _ => return Err(WireError::unexpected()),
    }
    match next(frames).await? {
        Message::AuthenticationOk => Ok(()),
        _ => Err(WireError::unexpected()),
    }
}

/// SCRAM-SHA-256, tied to the TLS connection where the server offers it.
async fn scram<S>(frames: &mut Frames<S>, body: &AuthenticationSaslBody, login: &Login<'_>) -> Result<(), WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut offered, mut offered_plus) = (false, false);
    let mut mechanisms = body.mechanisms();
    while let Some(mechanism) = mechanisms.next().map_err(|e| WireError::Protocol(e.to_string()))? {
        offered |= mechanism == SCRAM_SHA_256;
        offered_plus |= mechanism == SCRAM_SHA_256_PLUS;
    }
    let (binding, mechanism) = match &login.channel_binding {
        Some(end_point) if offered_plus => {
            (ChannelBinding::tls_server_end_point(end_point.clone()), SCRAM_SHA_256_PLUS)
        }
        // Says that we could have: the server finds out if somebody has hidden its offer from us.
        Some(_) if offered => (ChannelBinding::unrequested(), SCRAM_SHA_256),
        None if offered => (ChannelBinding::unsupported(), SCRAM_SHA_256),
        _ => return Err(WireError::Authentication("unsupported SASL mechanism".to_owned())),
    };
    let refused = |e: std::io::Error| WireError::Authentication(e.to_string());
    let mut scram = ScramSha256::new(password(login)?, binding);
    send(frames, |message| frontend::sasl_initial_response(mechanism, scram.message(), message)).await?;
    let Message::AuthenticationSaslContinue(body) = next(frames).await? else { return Err(WireError::unexpected()) };
    scram.update(body.data()).map_err(refused)?;
    send(frames, |message| frontend::sasl_response(scram.message(), message)).await?;
    let Message::AuthenticationSaslFinal(body) = next(frames).await? else { return Err(WireError::unexpected()) };
    // The server has proved that it knows the password too.
    scram.finish(body.data()).map_err(refused)
}

fn password<'a>(login: &Login<'a>) -> Result<&'a [u8], WireError> {
    let password = login.password.ok_or_else(|| WireError::Authentication("password missing".to_owned()))?;
    Ok(password.expose_secret().as_bytes())
}

async fn send<S>(
    frames: &mut Frames<S>,
    write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
) -> Result<(), WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut message = BytesMut::new();
    write(&mut message).map_err(|e| WireError::Protocol(e.to_string()))?;
    frames.send(&message).await
}

async fn next<S>(frames: &mut Frames<S>) -> Result<Message, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match frames.message(MOST_IN_MESSAGE).await? {
        Message::ErrorResponse(body) => Err(WireError::refusal(&body)),
        message => Ok(message),
    }
}
