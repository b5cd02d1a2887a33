//! Why something failed between us and a server.

use std::io;

use postgres_protocol::message::backend::ErrorResponseBody;
use tokio_postgres::{error::SqlState, fallible_iterator::FallibleIterator};

use crate::failure::{Failure, refusal};

/// A failure of a session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The server refused.
    #[error("{}", refusal(message, detail.as_deref(), state))]
    Refused {
        /// The SQLSTATE.
        state: SqlState,
        /// The primary message; bytes that are no UTF-8 are replaced.
        message: String,
        /// More of it.
        detail: Option<String>,
    },
    /// No connection came to be.
    #[error("error connecting to server: {0}")]
    Connect(#[source] io::Error),
    /// TLS failed.
    #[error("error performing TLS handshake: {0}")]
    Tls(String),
    /// The server wants an identification that we do not give.
    #[error("authentication error: {0}")]
    Authentication(String),
    /// The connection broke.
    #[error("error communicating with the server: {0}")]
    Io(#[source] io::Error),
    /// The session is over.
    #[error("connection closed")]
    Closed,
    /// The server does not keep to the protocol.
    #[error("the server sent what is no answer: {0}")]
    Protocol(String),
}

impl WireError {
    pub(super) fn unexpected() -> Self {
        Self::Protocol("a message out of turn".to_owned())
    }

    pub(super) fn refusal(body: &ErrorResponseBody) -> Self {
        let (mut state, mut message, mut detail) = (SqlState::INTERNAL_ERROR, String::new(), None);
        let mut fields = body.fields();
        loop {
            match fields.next() {
                Ok(Some(field)) => {
                    let text = String::from_utf8_lossy(field.value_bytes());
                    match field.type_() {
                        b'C' => state = SqlState::from_code(&text),
                        b'M' => message = text.into_owned(),
                        b'D' => detail = Some(text.into_owned()),
                        _ => {}
                    }
                }
                Ok(None) => return Self::Refused { state, message, detail },
                Err(error) => return Self::Protocol(format!("an error that cannot be read ({error})")),
            }
        }
    }

    /// Whether it was the connection that failed, not the statement.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Closed)
    }
}

impl Failure for WireError {
    fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Refused { state, .. } => Some(state),
            _ => None,
        }
    }

    fn reason(&self) -> String {
        self.to_string()
    }
}
