//! Messages on a stream: one read buffer for all of them, and nothing allocated for what has not come yet.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use postgres_protocol::message::backend::{Header, Message};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::WireError;

/// Bytes read at once.
const BUFFER: usize = 128 << 10;

/// Tag and length of a message.
const HEADER: usize = 5;

/// Which way bytes have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// So many were taken to be sent.
    Out(usize),
    /// At least one came.
    In,
}

/// A stream of messages in both directions.
pub(super) struct Frames<S> {
    stream: S,
    buffer: Box<[u8]>,
    /// What is read and not taken yet: `buffer[start..end]`.
    start: usize,
    end: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; BUFFER].into_boxed_slice(), start: 0, end: 0 }
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), WireError> {
        self.stream.write_all(message).await.map_err(WireError::Io)?;
        self.stream.flush().await.map_err(WireError::Io)
    }

    /// Reads what has come, or else sends some of the bytes, of which there must be one; waits until either can be done: two
    /// sides that only write would wait for each other. Wants the buffer not to be full.
    pub(super) async fn write_or_read(&mut self, bytes: &[u8]) -> Result<Moved, WireError> {
        poll_fn(|context| {
            if let Poll::Ready(moved) = self.poll_fill(context) {
                return Poll::Ready(moved);
            }
            Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_write(context, bytes)) {
                Ok(0) => Err(WireError::Io(io::ErrorKind::WriteZero.into())),
                Ok(count) => Ok(Moved::Out(count)),
                Err(error) => Err(WireError::Io(error)),
            })
        })
        .await
    }

    /// The same, but sees to it that all that was taken is on its way.
    pub(super) async fn flush_or_read(&mut self) -> Result<Moved, WireError> {
        poll_fn(|context| {
            if let Poll::Ready(moved) = self.poll_fill(context) {
                return Poll::Ready(moved);
            }
            Pin::new(&mut self.stream).poll_flush(context).map_ok(|()| Moved::Out(0)).map_err(WireError::Io)
        })
        .await
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<Moved, WireError>> {
        self.compact();
        let mut free = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut free)).map_err(WireError::Io)?;
        Poll::Ready(match free.filled().len() {
            0 => Err(WireError::Closed),
            read => {
                self.end += read;
                Ok(Moved::In)
            }
        })
    }

    /// What is read and not taken yet.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes that many of the bytes that are buffered.
    pub(super) fn take(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Reads on; afterwards there is at least one byte more. Wants the buffer not to be full.
    pub(super) async fn fill(&mut self) -> Result<(), WireError> {
        self.compact();
        match self.stream.read(&mut self.buffer[self.end..]).await.map_err(WireError::Io)? {
            0 => Err(WireError::Closed),
            read => {
                self.end += read;
                Ok(())
            }
        }
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Tag and length of the body of the message that begins here, if so much is there. It is not taken.
    pub(super) fn header(&self) -> Result<Option<(u8, usize)>, WireError> {
        let header = Header::parse(self.buffered()).map_err(|e| WireError::Protocol(e.to_string()))?;
        // The length counts itself, which the parser has seen to.
        Ok(header.map(|header| (header.tag(), usize::try_from(header.len() - 4).unwrap_or(0))))
    }

    /// Takes a header.
    pub(super) fn take_header(&mut self) {
        self.take(HEADER);
    }

    /// Takes a whole message of at most that length.
    pub(super) async fn message(&mut self, most: usize) -> Result<Message, WireError> {
        let length = loop {
            match self.header()? {
                Some((_, length)) if length <= most => break HEADER + length,
                Some((_, length)) => return Err(WireError::Protocol(format!("a message of {length} bytes"))),
                None => self.fill().await?,
            }
        };
        let mut message = BytesMut::new();
        while message.len() < length {
            if self.buffered().is_empty() {
                self.fill().await?;
            }
            let part = self.buffered().len().min(length - message.len());
            message.extend_from_slice(&self.buffered()[..part]);
            self.take(part);
        }
        Message::parse(&mut message)
            .map_err(|e| WireError::Protocol(e.to_string()))?
            .ok_or_else(|| WireError::Protocol("half a message".to_owned()))
    }
}

/// A simple query, of any bytes but NUL.
pub(super) fn query(sql: &[u8]) -> Result<Vec<u8>, WireError> {
    let length = i32::try_from(sql.len() + 5).ok().filter(|_| !sql.contains(&0));
    let length = length.ok_or_else(|| WireError::Protocol("a statement that cannot be sent".to_owned()))?;
    Ok([b"Q", &length.to_be_bytes()[..], sql, b"\0"].concat())
}
