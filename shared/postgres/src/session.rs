//! One connection to PostgreSQL by tokio-postgres, with the settings that every session of Lifeboat must have.

use std::{future::poll_fn, ops::Deref};

use lifeboat_core::{Error, ErrorKind, Result};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_postgres::{
    AsyncMessage, Client, Connection, NoTls,
    error::{DbError, SqlState},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    connect::{ConnectionTarget, Login},
    failure::{Failure, connect_error, database_error},
    quote,
};

/// Settings by which the server notices a client that is gone without having closed its socket. `tcp_user_timeout` also
/// ends a session whose peer acknowledges but no longer reads (a frozen client behind a proxy).
pub(crate) const LIVENESS: [(&str, &str); 5] = [
    ("tcp_keepalives_idle", "15"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "45000"),
    ("client_connection_check_interval", "10000"),
];

/// The fixed settings of DESIGN §5 and §6, as pg_dump sets them; those a server does not know are left out.
const FIXED: [(&str, &str); 15] = [
    ("search_path", ""),
    ("row_security", "off"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("transaction_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("synchronize_seqscans", "off"),
    ("restrict_nonsystem_relation_kind", "view, foreign-table"),
    ("default_transaction_deferrable", "off"),
];

/// Asks for the version of the server as a number.
pub(crate) const SERVER_VERSION_NUM: &str = "SELECT pg_catalog.current_setting('server_version_num')::int4";

/// What that is for.
pub(crate) const READING_VERSION: &str = "read the server's version";

/// An open connection; dropping it closes the socket at once, whatever the server was doing.
pub struct Session {
    client: Client,
    connection: JoinHandle<()>,
}

impl Deref for Session {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Session {
    /// The server's version, such as 150018.
    pub(crate) async fn server_version_num(&self) -> Result<u32> {
        let row = self.query_one(SERVER_VERSION_NUM, &[]).await.map_err(|e| database_error(READING_VERSION, &e))?;
        Ok(u32::try_from(row.get::<_, i32>(0)).unwrap_or(0))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl ConnectionTarget {
    /// Opens a session with the fixed settings in force.
    pub async fn connect(&self, application_name: &str) -> Result<Session> {
        self.connect_and_tell(application_name, None).await
    }

    /// The same; what the server notes (warnings among it) is sent to `notices`, before the statement's own answer.
    pub(crate) async fn connect_and_tell(
        &self,
        application_name: &str,
        notices: Option<mpsc::UnboundedSender<DbError>>,
    ) -> Result<Session> {
        let session = self.connect_bare(application_name, notices).await?;
        session.simple_query(&settings(&[])).await.map_err(|e| database_error(SETTING_UP, &e))?;
        Ok(session)
    }

    /// Opens a session as the server gives it.
    pub(crate) async fn connect_bare(
        &self,
        application_name: &str,
        notices: Option<mpsc::UnboundedSender<DbError>>,
    ) -> Result<Session> {
        let tls = self.tls_config()?.map(MakeRustlsConnect::new);
        let (client, connection) = self
            .log_in(|login| {
                let (config, tls) = (self.tokio_config(application_name, &login), tls.clone());
                let notices = notices.clone();
                async move {
                    match tls {
                        None => {
                            let (client, connection) = config.connect(NoTls).await?;
                            Ok::<_, tokio_postgres::Error>((client, tokio::spawn(drive(connection, notices))))
                        }
                        Some(tls) => {
                            let (client, connection) = config.connect(tls).await?;
                            Ok((client, tokio::spawn(drive(connection, notices))))
                        }
                    }
                }
            })
            .await?;
        Ok(Session { client, connection })
    }

    /// Opens a session by either client, with the credentials of this moment. Where the server refuses these, newer ones
    /// are tried, once.
    pub(crate) async fn log_in<T, E, F>(&self, attempt: impl Fn(Login) -> F) -> Result<T>
    where
        E: Failure,
        F: Future<Output = std::result::Result<T, E>>,
    {
        let login = self.credentials().await?;
        // Boxed: handshakes take much room, and only while they last.
        let refused = match Box::pin(self.in_time(attempt(login.clone()))).await? {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        let (login, refused) = match refused.sql_state() {
            Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                match self.renewed(login.clone()).await? {
                    None => (login, refused),
                    Some(newer) => match Box::pin(self.in_time(attempt(newer.clone()))).await? {
                        Ok(opened) => return Ok(opened),
                        Err(error) => (newer, error),
                    },
                }
            }
            _ => (login, refused),
        };
        let (database, server) = (self.database(), self.server_label());
        let error = connect_error(&format!("connect to database '{database}' on {server} as '{}'", login.0), &refused);
        let distrusted = refused.sql_state().is_none() && refused.reason().contains("TLS");
        Err(match self.trust_hint().filter(|_| distrusted) {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }

    /// Gives an attempt to connect up after a while. TLS and the password's exchange take more round trips than the
    /// connection itself.
    async fn in_time<T>(&self, attempt: impl Future<Output = T>) -> Result<T> {
        let limit = self.connect_timeout() * 3;
        tokio::time::timeout(limit, attempt).await.map_err(|_| {
            let waited = format!(
                "connect to database '{}' on {}: no answer within {} s",
                self.database(),
                self.server_label(),
                limit.as_secs()
            );
            Error::new(ErrorKind::Database, waited).with_hint(
                "the port answers, but not as PostgreSQL does: check host and port, and what stands in between",
            )
        })
    }
}

/// Moves messages until the connection ends; whoever waits for an answer hears of its errors.
async fn drive<S, T>(mut connection: Connection<S, T>, notices: Option<mpsc::UnboundedSender<DbError>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let (AsyncMessage::Notice(notice), Some(notices)) = (message, &notices) {
            // Nobody listens any more.
            drop(notices.send(notice));
        }
    }
}

/// What the statement of [`settings`] is for.
pub(crate) const SETTING_UP: &str = "set up session";

/// One statement that makes all settings of a session, and these as well.
pub(crate) fn settings(more: &[(&str, &str)]) -> String {
    let wanted: Vec<String> = LIVENESS
        .iter()
        .chain(&FIXED)
        .chain(more)
        .map(|(name, value)| format!("({}, {})", quote::literal(name), quote::literal(value)))
        .collect();
    format!(
        "SELECT pg_catalog.set_config(s.name, w.value, false) FROM (VALUES {}) AS w(name, value) \
         JOIN pg_catalog.pg_settings AS s ON pg_catalog.lower(s.name) = pg_catalog.lower(w.name)",
        wanted.join(", ")
    )
}
