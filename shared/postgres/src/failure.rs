//! What a failure of a session means, whichever client met it: one mapping from SQLSTATE to words and hint.

use lifeboat_core::{Error, ErrorKind};
use tokio_postgres::error::{DbError, SqlState};

/// What both clients' errors can tell.
pub(crate) trait Failure {
    /// The SQLSTATE, if the server sent one.
    fn sql_state(&self) -> Option<&SqlState>;
    /// What the server or the client said, without ever repeating a connection string.
    fn reason(&self) -> String;
}

impl Failure for tokio_postgres::Error {
    fn sql_state(&self) -> Option<&SqlState> {
        self.as_db_error().map(DbError::code)
    }

    fn reason(&self) -> String {
        match self.as_db_error() {
            Some(db) => refusal(db.message(), db.detail(), db.code()),
            None => match std::error::Error::source(self) {
                Some(source) => format!("{self}: {source}"),
                None => self.to_string(),
            },
        }
    }
}

/// What a server refused, in one line.
pub(crate) fn refusal(message: &str, detail: Option<&str>, state: &SqlState) -> String {
    let detail = detail.map(|d| format!(" ({d})")).unwrap_or_default();
    format!("{message}{detail} [SQLSTATE {}]", state.code())
}

/// What helps where the server, the database or the role takes no further session.
pub(crate) const TOO_MANY_CONNECTIONS: &str = "a dump or restore needs some sessions more than it has jobs, with large objects a restore up to twice as many: \
     raise max_connections, or the CONNECTION LIMIT of role or database, or use fewer --jobs";

/// What helps where a standby ends what reads, to replay what its primary has removed.
pub(crate) const STANDBY_CANCELS: &str =
    "on a standby, raise max_standby_streaming_delay or turn hot_standby_feedback on";

/// Maps an error of the start of a session.
pub(crate) fn connect_error(doing: &str, error: &dyn Failure) -> Error {
    let reason = error.reason();
    let hint = match error.sql_state() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            "give the right password through PGPASSWORD, PGPASSFILE, env:NAME or a secret; check pg_hba.conf"
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => {
            "check the database's name; `psql -l` lists those there are; `createdb -T template0` makes one to restore into"
        }
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => "GRANT CONNECT ON DATABASE … TO the role",
        Some(&SqlState::CANNOT_CONNECT_NOW) => "the server is starting or stopping: wait a moment, and look at its log",
        Some(&SqlState::TOO_MANY_CONNECTIONS) => TOO_MANY_CONNECTIONS,
        None if reason.contains("not encrypted") => {
            "connect by TLS (?sslmode=verify-full), or let pg_hba.conf on the server ask for scram-sha-256"
        }
        None if reason.contains("not support TLS") => {
            "turn `ssl` on in the server, or, on a trusted network, say sslmode=disable"
        }
        None if reason.contains("TLS") => {
            "the server's certificate must be trusted: name its CA with ?sslrootcert=FILE or tls.root_cert, or, on a \
             trusted network, sslmode=disable"
        }
        None if reason.contains("password") => {
            "give the password through PGPASSWORD, PGPASSFILE, or a URL in a variable named with env:NAME"
        }
        _ => ErrorKind::Database.hint(),
    };
    Error::new(ErrorKind::Database, format!("{doing}: {reason}")).with_hint(hint)
}

/// Maps an error of a running session: what to do next depends on the SQLSTATE.
pub(crate) fn database_error(doing: &str, error: &dyn Failure) -> Error {
    let hint = match error.sql_state() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            "grant the role what it needs (docs/CONFIG.md has the least-privilege role); `lifeboat preflight` lists what \
             is missing"
        }
        Some(&SqlState::OUT_OF_MEMORY) => {
            "raise max_locks_per_transaction on the server: every table and partition takes one lock in the dump"
        }
        Some(&SqlState::DISK_FULL) => "the server's disk is full: free space there",
        Some(&SqlState::TOO_MANY_CONNECTIONS) => TOO_MANY_CONNECTIONS,
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::QUERY_CANCELED) => STANDBY_CANCELS,
        _ => ErrorKind::Database.hint(),
    };
    Error::new(ErrorKind::Database, format!("{doing}: {}", error.reason())).with_hint(hint)
}
