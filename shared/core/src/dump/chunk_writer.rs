//! Turns blocks into one stored object. A worker only reads: a thread squeezes what is read, and a task uploads it, which
//! comes to its end while the worker reads on.

use std::{io, sync::Arc};

use async_trait::async_trait;
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{Receiver, Sender, channel},
    },
    task::JoinHandle,
};

use super::{
    run::Writing,
    squeezing::{Encoders, Read, Squeezed, Squeezing, Sums},
};
use crate::{
    Error, ErrorKind, Result, ResultExt,
    manifest::ObjectRecord,
    ports::{BlockSink, Progress, Stored, Upload, in_brief},
};

/// Blocks and pieces that wait between two stages: enough that neither stands still, and memory is bounded.
const WAITING: usize = 2;

/// MiB that objects which have been read may still hold until they are in the store.
const LANDING: u32 = 16;

/// Room for uploads that come to their end beside their workers.
#[derive(Clone)]
pub(super) struct Landings(Arc<Semaphore>);

impl Default for Landings {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LANDING as usize)))
    }
}

impl Landings {
    /// Waits for room for an object of so many bytes, before compression.
    async fn room(&self, raw: u64) -> Result<OwnedSemaphorePermit> {
        let needed = u32::try_from(raw >> 20).unwrap_or(LANDING).saturating_add(1).min(LANDING);
        Arc::clone(&self.0).acquire_many_owned(needed).await.or_error(ErrorKind::Unexpected, "wait for uploads")
    }
}

/// An upload under way. Dropped, it stops.
struct Uploading(JoinHandle<Result<(Sums, Stored)>>);

impl Uploading {
    async fn end(&mut self) -> Result<(Sums, Stored)> {
        (&mut self.0).await.or_error(ErrorKind::Unexpected, "wait for an upload")?
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One object being written below a backup's folder.
pub(super) struct ChunkWriter<'a> {
    key: String,
    raw: u64,
    read: Sender<Read>,
    /// Buffers that were read and can be filled again.
    spent: Receiver<Vec<u8>>,
    uploading: Uploading,
    /// The upload has told why it ended.
    failed: bool,
    /// Where it was ended.
    room: Option<OwnedSemaphorePermit>,
    landings: &'a Landings,
    progress: &'a dyn Progress,
}

/// What was written.
pub(super) struct Written {
    pub(super) object: ObjectRecord,
    pub(super) raw_bytes: u64,
    pub(super) content_sha256: Option<String>,
}

/// An object that was read to its end and is on its way to the store. Dropped, it stops.
pub(super) struct Landing {
    key: String,
    raw: u64,
    uploading: Uploading,
    _room: Option<OwnedSemaphorePermit>,
}

impl Landing {
    /// Waits until the object is in the store. On an error the upload was aborted, unless it may have come to its end unheard.
    pub(super) async fn land(mut self) -> Result<Written> {
        let (sums, stored) = self.uploading.end().await?;
        let object =
            ObjectRecord { key: self.key, size: sums.size, sha256: sums.sha256, version_id: stored.version_id };
        Ok(Written { object, raw_bytes: self.raw, content_sha256: sums.content_sha256 })
    }
}

impl<'a> ChunkWriter<'a> {
    /// Begins the object `folder/key`; `hash_content` also hashes the bytes before compression.
    pub(super) async fn begin(writing: &'a Writing, key: String, hash_content: bool) -> Result<ChunkWriter<'a>> {
        let key = writing.sealed_key(key);
        let (out, squeezed) = channel(WAITING);
        let squeezing = Squeezing::new(&writing.encoders, writing.encryption.as_deref(), hash_content, out)
            .or_error(ErrorKind::Unexpected, "start compression")?;
        let upload = writing.store.upload_new(&format!("{}{key}", writing.folder), &writing.context.run_id).await?;
        let uploading = Uploading(tokio::spawn(carry(upload, squeezed, key.clone())));
        let progress = &*writing.context.progress;
        Ok(Self::squeezing(squeezing, uploading, key, writing.encoders.clone(), &writing.landings, progress))
    }

    /// Puts the stages together and begins to squeeze.
    fn squeezing(
        squeezing: Squeezing,
        uploading: Uploading,
        key: String,
        encoders: Encoders,
        landings: &'a Landings,
        progress: &'a dyn Progress,
    ) -> Self {
        let (read, reading) = channel(WAITING);
        let (back, spent) = channel(WAITING + 1);
        tokio::task::spawn_blocking(move || squeezing.run(reading, &back, &encoders));
        Self { key, raw: 0, read, spent, uploading, failed: false, room: None, landings, progress }
    }

    async fn send(&mut self, read: Read) -> Result<()> {
        if !self.failed && self.read.send(read).await.is_ok() {
            return Ok(());
        }
        let broken = || Error::new(ErrorKind::Unexpected, format!("the upload of {} ended too early", self.key));
        if std::mem::replace(&mut self.failed, true) {
            return Err(broken());
        }
        Err(self.uploading.end().await.err().unwrap_or_else(broken))
    }

    /// Adds bytes that are no data of the source (the archive's end marker).
    pub(super) async fn end_marker(&mut self, marker: &'static [u8]) -> Result<()> {
        self.send(Read::Marker(marker)).await
    }

    /// Waits for room to come to its end without its worker, and says that this was all.
    pub(super) async fn end(&mut self) -> Result<()> {
        self.room = Some(self.landings.room(self.raw).await?);
        self.send(Read::End).await
    }

    /// Leaves the object that was ended to itself.
    pub(super) fn landing(self) -> Landing {
        Landing { key: self.key, raw: self.raw, uploading: self.uploading, _room: self.room }
    }

    /// Gives up; what the store holds of the upload is freed, unless that takes long.
    pub(super) async fn abort(mut self) {
        drop(self.read);
        if !self.failed {
            drop(in_brief("give an upload up", self.uploading.end()).await);
        }
    }
}

#[async_trait]
impl BlockSink for ChunkWriter<'_> {
    async fn block(&mut self, block: &mut Vec<u8>) -> Result<()> {
        let length = block.len() as u64;
        let spent = self.spent.try_recv().unwrap_or_default();
        self.send(Read::Block(std::mem::replace(block, spent))).await?;
        self.raw += length;
        self.progress.advance(length);
        Ok(())
    }
}

/// Uploads what is squeezed and makes the object visible. Whatever goes wrong before that, the upload is aborted.
async fn carry(
    mut upload: Box<dyn Upload>,
    mut squeezed: Receiver<io::Result<Squeezed>>,
    key: String,
) -> Result<(Sums, Stored)> {
    let error = loop {
        match squeezed.recv().await {
            Some(Ok(Squeezed::Piece(piece))) => {
                if let Err(error) = upload.write(piece).await {
                    break error;
                }
            }
            Some(Ok(Squeezed::End(sums))) => return Ok((sums, upload.complete().await?)),
            Some(Err(error)) => break Error::new(ErrorKind::Unexpected, format!("compress {key}: {error}")),
            None => break Error::new(ErrorKind::Interrupted, format!("{key} was given up")),
        }
    };
    if let Err(late) = upload.abort().await {
        tracing::warn!(key, error = %late, "an unfinished upload could not be aborted; retention will sweep it");
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use bytes::Bytes;
    use lifeboat_archive::codec::Codec;

    use super::*;
    use crate::ports::Unwatched;

    /// What a store was told, and the first of its calls that fails.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<&'static str>>>, Option<&'static str>);

    impl Told {
        fn tell(&self, call: &'static str) -> Result<()> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
            if self.1 == Some(call) { Err(Error::new(ErrorKind::Store, "the disk is full")) } else { Ok(()) }
        }

        fn last(&self) -> &'static str {
            self.0.lock().unwrap().last().copied().unwrap_or_default()
        }
    }

    #[async_trait]
    impl Upload for Told {
        async fn write(&mut self, _block: Bytes) -> Result<()> {
            self.tell("write")
        }

        async fn complete(self: Box<Self>) -> Result<Stored> {
            self.tell("complete").map(|()| Stored { size: 0, version_id: None, etag: None })
        }

        async fn abort(self: Box<Self>) -> Result<()> {
            self.tell("abort")
        }
    }

    fn writer<'a>(told: &Told, landings: &'a Landings) -> ChunkWriter<'a> {
        let ((out, squeezed), encoders) = (channel(WAITING), Encoders::new(Codec::None));
        let squeezing = Squeezing::new(&encoders, None, false, out).unwrap();
        let uploading = Uploading(tokio::spawn(carry(Box::new(told.clone()), squeezed, "k".to_owned())));
        ChunkWriter::squeezing(squeezing, uploading, "k".to_owned(), encoders, landings, &Unwatched)
    }

    #[tokio::test]
    async fn a_worker_learns_of_its_failed_upload_why_it_failed() {
        let (told, landings) = (Told(Arc::default(), Some("write")), Landings::default());
        let mut writer = writer(&told, &landings);
        let error = loop {
            if let Err(error) = writer.block(&mut vec![7; 1 << 20]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::Store);
        writer.abort().await;
        assert_eq!(told.last(), "abort");
    }

    #[tokio::test]
    async fn what_is_given_up_is_aborted_before_the_worker_goes_on() {
        let (told, landings) = (Told::default(), Landings::default());
        let mut writer = writer(&told, &landings);
        writer.block(&mut vec![7; 1 << 20]).await.unwrap();
        writer.abort().await;
        assert_eq!(told.last(), "abort");
    }

    #[tokio::test]
    async fn an_upload_that_cannot_be_completed_fails_when_it_lands() {
        for fails in [None, Some("complete")] {
            let (told, landings) = (Told(Arc::default(), fails), Landings::default());
            let mut writer = writer(&told, &landings);
            writer.block(&mut vec![7; 1 << 20]).await.unwrap();
            writer.end().await.unwrap();
            let landed = writer.landing().land().await;
            assert_eq!(told.last(), "complete");
            assert_eq!(
                landed.map(|written| (written.raw_bytes, written.object.size)).ok(),
                match fails {
                    None => Some((1 << 20, 1 << 20)),
                    Some(_) => None,
                }
            );
        }
    }

    #[tokio::test]
    async fn only_so_much_is_on_its_way_beside_the_workers() {
        let (told, landings) = (Told::default(), Landings::default());
        let mut large = writer(&told, &landings);
        for _ in 0..LANDING {
            large.block(&mut vec![7; 1 << 20]).await.unwrap();
        }
        large.end().await.unwrap();
        assert_eq!(landings.0.available_permits(), 0);
        large.landing().land().await.unwrap();
        assert_eq!(landings.0.available_permits(), LANDING as usize);
    }
}
