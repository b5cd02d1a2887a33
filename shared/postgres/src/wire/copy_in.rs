//! COPY FROM STDIN: bytes in blocks, and the server heard while they go, because it may refuse in their middle.

use bytes::BytesMut;
use postgres_protocol::message::{
    backend::{COMMAND_COMPLETE_TAG, COPY_DATA_TAG},
    frontend,
};

use super::{Exchange, WireError, frames::Moved};

/// A COPY that is under way. Dropped before its end it closes the session, and the server undoes the COPY.
pub struct CopyIn<'a> {
    exchange: Exchange<'a>,
    /// Whether a message may be on its way in part: what was sent behind it would be taken for the rest of it.
    torn: bool,
    /// Whether all was sent, so that the server's answer may come.
    done: bool,
}

impl<'a> CopyIn<'a> {
    pub(super) fn new(exchange: Exchange<'a>) -> Self {
        Self { exchange, torn: false, done: false }
    }

    /// Sends bytes, cut anywhere, as one message. After an error, or if the future is dropped, there is nothing more to
    /// send; where it was the server that refused, the session is ready for another statement.
    pub async fn send(&mut self, block: &[u8]) -> Result<(), WireError> {
        let too_long = || WireError::Protocol("a block that cannot be sent".to_owned());
        let length = i32::try_from(block.len() + 4).map_err(|_| too_long())?;
        let mut header = [COPY_DATA_TAG; 5];
        header[1..].copy_from_slice(&length.to_be_bytes());
        self.put(&header, block).await?;
        self.flush().await
    }

    /// Says that it was all, and gives the number of rows that the server has taken.
    pub async fn finish(mut self) -> Result<u64, WireError> {
        let mut message = BytesMut::new();
        frontend::copy_done(&mut message);
        self.put(&message, b"").await?;
        self.done = true;
        self.flush().await?;
        self.exchange.copied().await
    }

    /// Has the server refuse what was sent. Without an error the session is ready for another statement.
    pub async fn fail(mut self, reason: &str) -> Result<(), WireError> {
        let mut message = BytesMut::new();
        frontend::copy_fail(reason, &mut message).map_err(|e| WireError::Protocol(e.to_string()))?;
        let refused = async {
            self.put(&message, b"").await?;
            self.flush().await?;
            self.exchange.message().await.map(drop)
        }
        .await;
        match refused {
            Err(WireError::Refused { .. }) if self.exchange.ended => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(WireError::unexpected()),
        }
    }

    /// Sends a message in two parts.
    async fn put(&mut self, first: &[u8], second: &[u8]) -> Result<(), WireError> {
        if std::mem::replace(&mut self.torn, true) {
            return Err(WireError::Closed);
        }
        self.listen(b"", b"").await?;
        for (mut rest, then) in [(first, second), (second, b"")] {
            while !rest.is_empty() {
                rest = &rest[self.some(rest, then).await?..];
            }
        }
        Ok(())
    }

    /// Sees to it that a message is on its way: an encrypted connection may hold some of it back.
    async fn flush(&mut self) -> Result<(), WireError> {
        while self.exchange.frames()?.flush_or_read().await? == Moved::In {
            self.listen(b"", b"").await?;
            if self.is_answered()? {
                break;
            }
        }
        self.torn = false;
        Ok(())
    }

    /// Whether the answer to all that was sent has come.
    fn is_answered(&mut self) -> Result<bool, WireError> {
        let header = self.exchange.frames()?.header()?;
        Ok(self.done && header.is_some_and(|(tag, _)| tag == COMMAND_COMPLETE_TAG))
    }

    /// Sends some of `rest`, behind which `then` belongs to the same message, and hears what there is to hear before.
    async fn some(&mut self, rest: &[u8], then: &[u8]) -> Result<usize, WireError> {
        match self.exchange.frames()?.write_or_read(rest).await {
            Ok(Moved::Out(count)) => Ok(count),
            Ok(Moved::In) => self.listen(rest, then).await.map(|()| 0),
            // Who ended the session has perhaps said why.
            Err(error) => {
                let said = loop {
                    if let Err(said) = self.exchange.next().await {
                        break said;
                    }
                };
                self.exchange.ended = false;
                Err(if matches!(said, WireError::Refused { .. }) { said } else { error })
            }
        }
    }

    /// Hears all that has come, but the answer. A message that has begun to come is on its way whole, so it may be waited for. If the server
    /// has refused, it is ready for another statement already, but for the rest of the message, which it will pass over.
    async fn listen(&mut self, rest: &[u8], then: &[u8]) -> Result<(), WireError> {
        while self.exchange.frames()?.header()?.is_some() && !self.is_answered()? {
            match self.exchange.next().await {
                Ok(None) => {}
                Ok(Some(_)) => {
                    self.exchange.ended = false;
                    return Err(WireError::unexpected());
                }
                Err(refused) => {
                    if std::mem::take(&mut self.exchange.ended) {
                        let frames = self.exchange.frames()?;
                        let sent = match frames.send(rest).await {
                            Ok(()) => frames.send(then).await,
                            error => error,
                        };
                        self.exchange.ended = sent.is_ok();
                    }
                    return Err(refused);
                }
            }
        }
        Ok(())
    }
}
