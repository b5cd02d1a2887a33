//! A small client of our own for what tokio-postgres cannot do: rows of any size in bounded memory, and statements and
//! names that are any bytes. Sources and inventories are read by it, and rows of a target written and read again;
//! everything else goes by tokio-postgres.
//!
//! A session speaks UTF-8, but with a database that has no encoding (SQL_ASCII) bytes as they are. It knows simple
//! queries, COPY TO STDOUT and COPY FROM STDIN, no parameters. Lengths that a server announces are never believed beyond what it sends.

mod channel_binding;
mod connect;
mod copy_in;
mod copy_out;
mod error;
mod frames;
mod row;
mod socket;
mod start;

use postgres_protocol::message::backend::Message;
use tokio::io::{AsyncRead, AsyncWrite};

use self::frames::Frames;
pub use self::{copy_in::CopyIn, copy_out::CopyOut, error::WireError, row::Row};

/// The largest message that is kept whole, bytes: a row of a catalog query, an error. Rows of COPY are not kept.
const MOST_IN_MESSAGE: usize = 64 << 20;

/// The most that the rows of one query may take, bytes.
const MOST_IN_ANSWER: usize = 1 << 30;

/// What a row takes beside its bytes, about.
const ROW_OVERHEAD: usize = 64;

/// A socket, encrypted or not.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// An open session. Dropping it, or anything that it has not brought to its end, closes the socket at once.
pub struct WireSession {
    /// `None` once it is closed.
    frames: Option<Frames<Box<dyn Transport>>>,
    /// Whether its database has no encoding, so that names and values are bytes as they are.
    bytes: bool,
}

impl WireSession {
    /// Runs statements and gives the rows of all of them, as text.
    pub async fn query(&mut self, sql: impl AsRef<[u8]>) -> Result<Vec<Row>, WireError> {
        let mut exchange = self.send(sql.as_ref()).await?;
        let mut rows = Vec::new();
        let mut size = 0_usize;
        loop {
            match exchange.message().await? {
                Message::DataRow(body) => {
                    size = size.saturating_add(body.buffer().len() + ROW_OVERHEAD);
                    if size > MOST_IN_ANSWER {
                        return Err(WireError::Protocol("an answer without end".to_owned()));
                    }
                    rows.push(Row::new(body)?);
                }
                Message::ReadyForQuery(_) => return Ok(rows),
                Message::RowDescription(_) | Message::CommandComplete(_) | Message::EmptyQueryResponse => {}
                _ => return Err(WireError::unexpected()),
            }
        }
    }

    /// Runs a query that has exactly one row.
    pub async fn query_one(&mut self, sql: impl AsRef<[u8]>) -> Result<Row, WireError> {
        let rows = self.query(sql).await?;
        let count = rows.len();
        let [row] = <[Row; 1]>::try_from(rows)
            .map_err(|_| WireError::Protocol(format!("{count} rows where one was expected")))?;
        Ok(row)
    }

    /// Runs statements of which nothing but their success matters.
    pub async fn execute(&mut self, sql: impl AsRef<[u8]>) -> Result<(), WireError> {
        self.query(sql).await.map(drop)
    }

    /// Begins a `COPY … TO STDOUT`.
    pub async fn copy_out(&mut self, sql: impl AsRef<[u8]>) -> Result<CopyOut<'_>, WireError> {
        let mut exchange = self.send(sql.as_ref()).await?;
        match exchange.message().await? {
            Message::CopyOutResponse(_) => Ok(CopyOut::new(exchange)),
            _ => Err(WireError::unexpected()),
        }
    }

    /// Begins a `COPY … FROM STDIN`.
    pub async fn copy_in(&mut self, sql: impl AsRef<[u8]>) -> Result<CopyIn<'_>, WireError> {
        let mut exchange = self.send(sql.as_ref()).await?;
        match exchange.message().await? {
            Message::CopyInResponse(_) => Ok(CopyIn::new(exchange)),
            _ => Err(WireError::unexpected()),
        }
    }

    /// Whether nobody converts what is said, because the database has no encoding (SQL_ASCII).
    pub(crate) fn speaks_bytes(&self) -> bool {
        self.bytes
    }

    /// Whether the session is known to be over. What the server has ended meanwhile shows at the next statement.
    pub fn is_closed(&self) -> bool {
        self.frames.is_none()
    }

    async fn send(&mut self, sql: &[u8]) -> Result<Exchange<'_>, WireError> {
        let exchange = Exchange { session: self, ended: false };
        let message = frames::query(sql)?;
        exchange.session.frames()?.send(&message).await?;
        Ok(exchange)
    }

    fn frames(&mut self) -> Result<&mut Frames<Box<dyn Transport>>, WireError> {
        self.frames.as_mut().ok_or(WireError::Closed)
    }
}

/// A statement on its way. If it is dropped before the server is ready for the next, nobody could tell any more what an
/// answer belongs to: the session is closed.
struct Exchange<'a> {
    session: &'a mut WireSession,
    ended: bool,
}

impl Exchange<'_> {
    fn frames(&mut self) -> Result<&mut Frames<Box<dyn Transport>>, WireError> {
        self.session.frames()
    }

    /// The next message that belongs to the statement. After the server's refusal the session is ready for another one.
    async fn message(&mut self) -> Result<Message, WireError> {
        loop {
            if let Some(message) = self.next().await? {
                return Ok(message);
            }
        }
    }

    /// The next message; `None` where it belongs to no statement.
    async fn next(&mut self) -> Result<Option<Message>, WireError> {
        match self.frames()?.message(MOST_IN_MESSAGE).await? {
            Message::NoticeResponse(_) | Message::NotificationResponse(_) | Message::ParameterStatus(_) => Ok(None),
            Message::ErrorResponse(body) => {
                let refusal = WireError::refusal(&body);
                self.drain().await;
                Err(refusal)
            }
            message => {
                self.ended = matches!(message, Message::ReadyForQuery(_));
                Ok(Some(message))
            }
        }
    }

    /// The end of a COPY, and the number of its rows.
    async fn copied(&mut self) -> Result<u64, WireError> {
        let Message::CommandComplete(done) = self.message().await? else { return Err(WireError::unexpected()) };
        let rows = done.tag().ok().and_then(|tag| tag.strip_prefix("COPY ")?.parse().ok());
        let rows = rows.ok_or_else(WireError::unexpected)?;
        match self.message().await? {
            Message::ReadyForQuery(_) => Ok(rows),
            _ => Err(WireError::unexpected()),
        }
    }

    /// Reads on until the server is ready; a session that it has ended never is.
    async fn drain(&mut self) {
        while let Ok(frames) = self.frames() {
            match frames.message(MOST_IN_MESSAGE).await {
                Ok(Message::ReadyForQuery(_)) => {
                    self.ended = true;
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.session.frames = None;
        }
    }
}

#[cfg(test)]
mod tests;
