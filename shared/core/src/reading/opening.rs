//! Opens an encrypted object beside the run: `age` and `pgp` pull their input, so a thread of its own sits between two queues.

use std::{
    io::{self, BufRead, Read},
    sync::Arc,
};

use bytes::{Buf, Bytes};
use lifeboat_archive::encryption::{Identities, Kind, OpenError, open};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Blocks that wait in each of the two queues: enough that neither side stands still, and memory is bounded.
const WAITING: usize = 2;

/// The two ends. When both are dropped, the thread comes to its end by itself.
pub(super) struct Opening {
    /// Takes the bytes as stored; dropped at their end.
    pub(super) sealed: Option<Sender<Bytes>>,
    /// Gives what they open to, and at last an error, or an empty block where all of it was opened.
    pub(super) opened: Receiver<Result<Bytes, OpenError>>,
}

impl Opening {
    /// Begins to wait for bytes.
    pub(super) fn begin(kind: Kind, identities: Arc<Identities>) -> Self {
        let (sealed, input) = channel(WAITING);
        let (output, opened) = channel(WAITING);
        tokio::task::spawn_blocking(move || {
            let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
            let take = |block| output.blocking_send(Ok(Bytes::from(block))).map_err(|_| gone());
            let ended = open(kind, &identities, Queue { input, block: Bytes::new() }, take);
            // Whoever has gone does not want to know.
            drop(output.blocking_send(ended.map(|()| Bytes::new())));
        });
        Self { sealed: Some(sealed), opened }
    }
}

/// A queue of blocks as `Read`; its end is the input's end.
struct Queue {
    input: Receiver<Bytes>,
    block: Bytes,
}

impl BufRead for Queue {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.block.is_empty() {
            match self.input.blocking_recv() {
                Some(block) => self.block = block,
                None => break,
            }
        }
        Ok(&self.block)
    }

    fn consume(&mut self, amount: usize) {
        self.block.advance(amount);
    }
}

impl Read for Queue {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let block = self.fill_buf()?;
        let taken = block.len().min(out.len());
        out[..taken].copy_from_slice(&block[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}
