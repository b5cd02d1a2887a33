//! From a target to a session: socket, TLS, identification, settings.

use std::{io, sync::Arc};

use bytes::BytesMut;
use lifeboat_core::Result;
use postgres_protocol::message::frontend;
use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Transport, WireError, WireSession, channel_binding,
    frames::Frames,
    socket::Socket,
    start::{Login, start},
};
use crate::{
    connect::{self, ConnectionTarget, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_RETRIES, TCP_USER_TIMEOUT},
    failure::database_error,
    session::{SETTING_UP, settings},
};

/// What to ask for where names and values are bytes of no encoding: neither side converts any.
const AS_IT_IS: [(&str, &str); 1] = [("client_encoding", "SQL_ASCII")];

impl ConnectionTarget {
    /// Opens a session of our own with the fixed settings in force.
    pub async fn connect_wire(&self, application_name: &str) -> Result<WireSession> {
        let tls = self.tls_config()?;
        let mut session = self.log_in(|login| self.open(tls.clone(), application_name, login)).await?;
        let more: &[(&str, &str)] = if session.bytes { &AS_IT_IS } else { &[] };
        session.execute(settings(more)).await.map_err(|e| database_error(SETTING_UP, &e))?;
        Ok(session)
    }

    async fn open(
        &self,
        tls: Option<ClientConfig>,
        application_name: &str,
        (user, password): connect::Login,
    ) -> std::result::Result<WireSession, WireError> {
        let mut login = Login {
            user: &user,
            database: self.database(),
            application_name,
            password: password.as_ref(),
            channel_binding: None,
            secret: true,
        };
        let transport: Box<dyn Transport> = if self.is_socket() {
            let path = format!("{}/.s.PGSQL.{}", self.host(), self.port());
            Box::new(UnixStream::connect(path).await.map_err(WireError::Connect)?)
        } else {
            let socket = self.tcp().await.map_err(WireError::Connect)?;
            if let Some(config) = tls {
                let stream = encrypt(Socket::new(socket), config, self.host()).await?;
                let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
                login.channel_binding = certificates.first().and_then(|own| channel_binding::tls_server_end_point(own));
                Box::new(stream)
            } else {
                login.secret = socket.peer_addr().map_err(WireError::Connect)?.ip().is_loopback();
                Box::new(Socket::new(socket))
            }
        };
        let mut frames = Frames::new(transport);
        let encoding = start(&mut frames, &login).await?;
        Ok(WireSession { frames: Some(frames), bytes: encoding.as_deref() == Some("SQL_ASCII") })
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        let connecting = async {
            match self.socket_address() {
                Some(address) => TcpStream::connect(address).await,
                None => TcpStream::connect((self.host(), self.port())).await,
            }
        };
        let socket = tokio::time::timeout(self.connect_timeout(), connecting).await??;
        socket.set_nodelay(true)?;
        let options = SockRef::from(&socket);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        options.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        options.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
        Ok(socket)
    }
}

/// Asks for TLS and shakes hands. What a stranger put behind the server's first byte would break the handshake.
async fn encrypt(
    mut socket: Socket,
    config: ClientConfig,
    host: &str,
) -> std::result::Result<TlsStream<Socket>, WireError> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket.write_all(&request).await.map_err(WireError::Io)?;
    if socket.read_u8().await.map_err(WireError::Io)? != b'S' {
        return Err(WireError::Tls("server does not support TLS".to_owned()));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|e| WireError::Tls(e.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, socket).await.map_err(|e| WireError::Tls(e.to_string()))
}
