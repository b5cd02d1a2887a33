//! One row of an answer, its fields as text.

use std::{borrow::Cow, str::FromStr};

use lifeboat_archive::names;
use postgres_protocol::message::backend::DataRowBody;
use tokio_postgres::fallible_iterator::FallibleIterator;

use super::WireError;

/// A row. A column that does not exist reads as NULL.
pub struct Row {
    body: DataRowBody,
}

impl Row {
    pub(super) fn new(body: DataRowBody) -> Result<Self, WireError> {
        body.ranges().count().map_err(|e| WireError::Protocol(e.to_string()))?;
        Ok(Self { body })
    }

    /// The bytes of a field; `None` for NULL.
    pub fn bytes(&self, column: usize) -> Option<&[u8]> {
        let range = self.body.ranges().nth(column).ok()???;
        self.body.buffer().get(range)
    }

    /// A field as [`names::text`]; empty for NULL.
    pub fn text(&self, column: usize) -> Cow<'_, str> {
        names::text(self.bytes(column).unwrap_or_default())
    }

    /// A field as [`names::text`]; `None` for NULL.
    pub fn some_text(&self, column: usize) -> Option<String> {
        self.bytes(column).map(|bytes| names::text(bytes).into_owned())
    }

    /// Whether a boolean is true.
    pub fn is_true(&self, column: usize) -> bool {
        self.bytes(column) == Some(b"t")
    }

    /// A number.
    pub fn number<T: FromStr>(&self, column: usize) -> Result<T, WireError> {
        let text = self.text(column);
        text.parse().map_err(|_| WireError::Protocol(format!("'{text:.100}' where a number was expected")))
    }
}
