//! Reads and decodes what is loaded beside the session that loads it, so that neither waits for the other.

use async_trait::async_trait;
use bytes::Bytes;
use lifeboat_archive::checksum::TableChecksum;
use tokio::{
    sync::mpsc::{self, Receiver},
    task::JoinHandle,
};

use crate::{Error, ErrorKind, Result, ports::BlockSource};

/// Blocks that wait to be loaded: with them, memory is bounded.
const WAITING: usize = 4;

/// What a reader hands over.
enum Said {
    Block(Bytes),
    /// All of it was read and is right; of rows, with their checksum.
    End(Option<TableChecksum>),
    Failed(Error),
}

/// One object that is being read. Dropped before its end, it ends the reading.
pub(super) struct Ahead {
    said: Receiver<Said>,
    reading: JoinHandle<()>,
    ended: bool,
    checksum: Option<TableChecksum>,
}

impl Ahead {
    /// Begins to read at once. `open` opens the object; `checksum` gives the sum of its rows once they are read.
    pub(super) fn begin<R, O>(open: O, checksum: fn(&R) -> Option<TableChecksum>) -> Self
    where
        R: BlockSource + 'static,
        O: Future<Output = Result<R>> + Send + 'static,
    {
        let (saying, said) = mpsc::channel(WAITING);
        let reading = tokio::spawn(async move {
            let mut reader = match open.await {
                Ok(reader) => reader,
                Err(error) => return drop(saying.send(Said::Failed(error)).await),
            };
            loop {
                let (say, last) = match reader.next_block().await {
                    Ok(Some(block)) => (Said::Block(block), false),
                    Ok(None) => (Said::End(checksum(&reader)), true),
                    Err(error) => (Said::Failed(error), true),
                };
                // Whoever has gone does not want to know.
                if saying.send(say).await.is_err() || last {
                    return;
                }
            }
        });
        Self { said, reading, ended: false, checksum: None }
    }

    /// Rows and checksum, once all was read.
    pub(super) fn checksum(&self) -> Option<TableChecksum> {
        self.checksum
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

#[async_trait]
impl BlockSource for Ahead {
    async fn next_block(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        match self.said.recv().await {
            Some(Said::Block(block)) => Ok(Some(block)),
            Some(Said::End(checksum)) => {
                (self.ended, self.checksum) = (true, checksum);
                Ok(None)
            }
            Some(Said::Failed(error)) => Err(error),
            // No end was said: a reader that broke down must not be taken for one that came to its end.
            None => Err(Error::new(ErrorKind::Unexpected, "reading the backup broke off")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Blocks(Vec<Result<Bytes>>);

    #[async_trait]
    impl BlockSource for Blocks {
        async fn next_block(&mut self) -> Result<Option<Bytes>> {
            assert!(!self.0.is_empty(), "broken");
            self.0.remove(0).map(|block| (!block.is_empty()).then_some(block))
        }
    }

    fn block(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    async fn read(blocks: Vec<Result<Bytes>>) -> (Vec<u8>, Result<Option<TableChecksum>>) {
        let sum = |_: &Blocks| Some(TableChecksum { rows: 7, sum: 8 });
        let mut ahead = Ahead::begin(async { Ok(Blocks(blocks)) }, sum);
        let mut all = Vec::new();
        loop {
            match ahead.next_block().await {
                Ok(Some(block)) => all.extend_from_slice(&block),
                Ok(None) => return (all, Ok(ahead.checksum())),
                Err(error) => return (all, Err(error)),
            }
        }
    }

    #[tokio::test]
    async fn all_comes_in_order_and_only_a_true_end_is_one() {
        let many = (0..20).map(|_| "x").chain(["y", ""]).map(|text| Ok(block(text))).collect();
        let (all, ended) = read(many).await;
        assert_eq!((all.len(), all[20], ended.unwrap().unwrap().rows), (21, b'y', 7));
        let cut = vec![Ok(block("x")), Err(Error::new(ErrorKind::Corrupt, "cut")), Ok(block("y"))];
        assert_eq!(read(cut).await.1.unwrap_err().kind(), ErrorKind::Corrupt);
        // It panics after the first block.
        assert_eq!(read(vec![Ok(block("x"))]).await.1.unwrap_err().kind(), ErrorKind::Unexpected);
        let mut unopened = Ahead::begin(async { Err::<Blocks, _>(Error::new(ErrorKind::Keys, "no key")) }, |_| None);
        assert_eq!(unopened.next_block().await.unwrap_err().kind(), ErrorKind::Keys);
    }
}
