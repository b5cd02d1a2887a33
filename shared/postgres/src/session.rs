//! One connection to PostgreSQL with the settings that every session of Lifeboat must have.

use std::{ops::Deref, time::Duration};

use lifeboat_core::{Error, ErrorKind, Result};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, error::SqlState};

use crate::connect::ConnectionTarget;

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

/// How long a query that only asks for facts may take before the connection counts as dead.
pub(crate) const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

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
        let row = self
            .query_one("SELECT pg_catalog.current_setting('server_version_num')::int4", &[])
            .await
            .map_err(|e| database_error("read the server's version", &e))?;
        Ok(u32::try_from(row.get::<_, i32>(0)).unwrap_or(0))
    }

    /// Lets the server end this session when it has been idle for 50 s, in a transaction or not: a frozen client behind
    /// a proxy that keeps the connection open must not hold its snapshot. Whoever holds such a session keeps it alive
    /// by queries every [`KEEPALIVE_EVERY`].
    pub(crate) async fn expire_when_idle(&self) -> Result<()> {
        self.batch_execute("SET idle_in_transaction_session_timeout = 50000; SET idle_session_timeout = 50000")
            .await
            .map_err(|e| database_error("set up session", &e))
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
        let session = self.connect_bare(application_name).await?;
        let wanted: Vec<String> = LIVENESS
            .iter()
            .chain(&FIXED)
            .map(|(name, value)| format!("({}, {})", crate::quote::literal(name), crate::quote::literal(value)))
            .collect();
        let sql = format!(
            "SELECT pg_catalog.set_config(s.name, w.value, false) FROM (VALUES {}) AS w(name, value) \
             JOIN pg_catalog.pg_settings AS s ON pg_catalog.lower(s.name) = pg_catalog.lower(w.name)",
            wanted.join(", ")
        );
        session.simple_query(&sql).await.map_err(|e| database_error("set up session", &e))?;
        Ok(session)
    }

    /// Opens a session as the server gives it. Where the server refuses the credentials, newer ones are tried, once.
    pub(crate) async fn connect_bare(&self, application_name: &str) -> Result<Session> {
        let credentials = self.credentials().await?;
        let refused = match Box::pin(self.attempt(application_name, &credentials)).await? {
            Ok(session) => return Ok(session),
            Err(refused) => refused,
        };
        match self.renewed(credentials).await? {
            Some(newer) => Box::pin(self.attempt(application_name, &newer)).await?,
            None => Err(refused),
        }
    }

    /// One attempt; an inner error where the server refused the credentials.
    async fn attempt(
        &self,
        application_name: &str,
        credentials: &(String, Option<SecretString>),
    ) -> Result<Result<Session>> {
        let config = self.tokio_config(application_name, credentials);
        let doing =
            format!("connect to database '{}' on {} as '{}'", self.database(), self.server_label(), credentials.0);
        let connected = async {
            let told = |e: tokio_postgres::Error| (is_refusal(&e), connect_error(&doing, &e));
            match self.tls_connector().map_err(|e| (false, e))? {
                None => {
                    let (client, connection) = config.connect(NoTls).await.map_err(told)?;
                    Ok((client, tokio::spawn(async move { drop(connection.await) })))
                }
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await.map_err(told)?;
                    Ok((client, tokio::spawn(async move { drop(connection.await) })))
                }
            }
        };
        // TLS and the password's exchange take more round trips than the connection itself.
        let limit = self.connect_timeout() * 3;
        let connected = tokio::time::timeout(limit, connected).await.map_err(|_| {
            Error::new(ErrorKind::Database, format!("{doing}: no answer within {} s", limit.as_secs())).with_hint(
                "the port answers, but not as PostgreSQL does: check host and port, and what stands in between",
            )
        })?;
        match connected {
            Ok((client, connection)) => Ok(Ok(Session { client, connection })),
            Err((true, refused)) => Ok(Err(refused)),
            Err((false, error)) => Err(error),
        }
    }
}

/// Whether the server refused the user or the password.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    matches!(sql_state(error), Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
}

/// The SQLSTATE of an error, if the server sent one.
pub(crate) fn sql_state(error: &tokio_postgres::Error) -> Option<&SqlState> {
    error.as_db_error().map(tokio_postgres::error::DbError::code)
}

/// What the server or the driver said, without ever repeating a connection string.
pub(crate) fn reason(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let detail = db.detail().map(|d| format!(" ({d})")).unwrap_or_default();
            format!("{}{detail} [SQLSTATE {}]", db.message(), db.code().code())
        }
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// What helps where the server, the database or the role takes no further session.
pub(crate) const TOO_MANY_CONNECTIONS: &str = "a dump or restore needs some sessions more than it has jobs: raise max_connections, or the CONNECTION LIMIT of role \
     or database, or use fewer --jobs";

fn connect_error(doing: &str, error: &tokio_postgres::Error) -> Error {
    let hint = match sql_state(error) {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            "give the right password through PGPASSWORD, PGPASSFILE, env:NAME or a secret; check pg_hba.conf"
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => "check the database's name; `psql -l` lists those there are",
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => "GRANT CONNECT ON DATABASE … TO the role",
        Some(&SqlState::CANNOT_CONNECT_NOW) => "the server is starting or stopping: wait a moment, and look at its log",
        Some(&SqlState::TOO_MANY_CONNECTIONS) => TOO_MANY_CONNECTIONS,
        None if error.to_string().contains("password") => {
            "give the password through PGPASSWORD, PGPASSFILE, or a URL in a variable named with env:NAME"
        }
        None if error.to_string().contains("TLS") => {
            "the server's certificate must be trusted: name its CA with ?sslrootcert=FILE, or, on a trusted network, sslmode=disable"
        }
        _ => ErrorKind::Database.hint(),
    };
    Error::new(ErrorKind::Database, format!("{doing}: {}", reason(error))).with_hint(hint)
}

/// Maps an error of a running session: what to do next depends on the SQLSTATE.
pub(crate) fn database_error(doing: &str, error: &tokio_postgres::Error) -> Error {
    let hint = match sql_state(error) {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            "grant the role what it needs (docs/CONFIG.md has the least-privilege role); `lifeboat preflight` lists what is missing"
        }
        Some(&SqlState::OUT_OF_MEMORY) => {
            "raise max_locks_per_transaction on the server: every table and partition takes one lock in the dump"
        }
        Some(&SqlState::CHARACTER_NOT_IN_REPERTOIRE) => {
            "a table, column or schema of this SQL_ASCII database has a name that is no UTF-8: rename it, then try again"
        }
        Some(&SqlState::DISK_FULL) => "the server's disk is full: free space there",
        Some(&SqlState::TOO_MANY_CONNECTIONS) => TOO_MANY_CONNECTIONS,
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::QUERY_CANCELED) => {
            "on a standby, raise max_standby_streaming_delay or turn hot_standby_feedback on"
        }
        _ => ErrorKind::Database.hint(),
    };
    Error::new(ErrorKind::Database, format!("{doing}: {}", reason(error))).with_hint(hint)
}
