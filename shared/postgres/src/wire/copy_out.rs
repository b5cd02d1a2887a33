//! COPY TO STDOUT: bytes in blocks, however long a row is.

use postgres_protocol::message::backend::{COPY_DATA_TAG, Message};

use super::{Exchange, WireError};

/// Bytes of a block, but of the last.
const BLOCK: usize = 256 << 10;

/// A COPY that is under way. Dropped before its end it closes the session.
pub struct CopyOut<'a> {
    exchange: Exchange<'a>,
    block: Vec<u8>,
    /// Bytes of the current message that have not come yet.
    left: usize,
    rows: Option<u64>,
}

impl<'a> CopyOut<'a> {
    pub(super) fn new(exchange: Exchange<'a>) -> Self {
        Self { exchange, block: Vec::new(), left: 0, rows: None }
    }

    /// The next bytes: 256 KiB, cut anywhere, and at the end what is left. `None` once the server has said that it was
    /// all; then the session is ready for another statement. Bytes are lost if the future is dropped. Who keeps the block
    /// leaves another buffer in its place.
    pub async fn next_block(&mut self) -> Result<Option<&mut Vec<u8>>, WireError> {
        self.block.clear();
        if self.exchange.ended {
            return Ok(None);
        }
        loop {
            let frames = self.exchange.frames()?;
            if self.left > 0 {
                let buffered = frames.buffered();
                let part = buffered.len().min(self.left).min(BLOCK - self.block.len());
                self.block.extend_from_slice(&buffered[..part]);
                frames.take(part);
                self.left -= part;
                if self.block.len() == BLOCK {
                    return Ok(Some(&mut self.block));
                }
                if self.left > 0 {
                    frames.fill().await?;
                }
                continue;
            }
            match frames.header()? {
                None => frames.fill().await?,
                Some((COPY_DATA_TAG, length)) => {
                    frames.take_header();
                    self.left = length;
                }
                Some(_) => match self.exchange.next().await? {
                    None => {}
                    Some(Message::CopyDone) => {
                        self.rows = Some(self.exchange.copied().await?);
                        return Ok((!self.block.is_empty()).then_some(&mut self.block));
                    }
                    Some(_) => return Err(WireError::unexpected()),
                },
            }
        }
    }

    /// How many rows the server says it has sent; known at the end.
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }
}
