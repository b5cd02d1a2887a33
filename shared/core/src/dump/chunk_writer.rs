//! Turns blocks into one stored object: compressed, encrypted if asked, hashed and uploaded as they come.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use lifeboat_archive::{
    codec::Encoder,
    encryption::{Recipients, Sealer},
};
use sha2::{Digest, Sha256};

use super::run::Writing;
use crate::{
    ErrorKind, Result, ResultExt,
    manifest::ObjectRecord,
    ports::{BlockSink, Progress, Upload},
};

/// Compressed bytes are handed to the upload in pieces of about this size.
const PIECE: usize = 256 * 1024;

fn begin_sealing(recipients: &Recipients) -> Result<Sealer> {
    Sealer::new(recipients).or_error(ErrorKind::Unexpected, "start encryption")
}

/// The last bytes of a sealed object.
fn seal_last(mut sealer: Sealer, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() + (64 << 10));
    sealer.write(bytes, &mut out)?;
    sealer.finish(&mut out)?;
    Ok(out)
}

/// One object being written below a backup's folder.
pub(super) struct ChunkWriter<'a> {
    key: String,
    encoder: Encoder,
    buffer: Vec<u8>,
    sealer: Option<Sealer>,
    hash: Sha256,
    content: Option<Sha256>,
    size: u64,
    raw: u64,
    upload: Box<dyn Upload>,
    progress: &'a dyn Progress,
}

/// What was written.
pub(super) struct Written {
    pub(super) object: ObjectRecord,
    pub(super) raw_bytes: u64,
    pub(super) content_sha256: Option<String>,
}

impl<'a> ChunkWriter<'a> {
    /// Begins the object `folder/key`; `hash_content` also hashes the bytes before compression.
    pub(super) async fn begin(writing: &'a Writing, key: String, hash_content: bool) -> Result<ChunkWriter<'a>> {
        let encoder = Encoder::new(&writing.codec).or_error(ErrorKind::Unexpected, "start compression")?;
        let sealer = writing.encryption.as_deref().map(begin_sealing).transpose()?;
        let key = writing.sealed_key(key);
        let upload = writing.store.upload_new(&format!("{}{key}", writing.folder), &writing.context.run_id).await?;
        Ok(Self {
            encoder,
            sealer,
            key,
            buffer: Vec::with_capacity(PIECE + (64 << 10)),
            hash: Sha256::new(),
            content: hash_content.then(Sha256::new),
            size: 0,
            raw: 0,
            upload,
            progress: &*writing.context.progress,
        })
    }

    async fn send(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = match &mut self.sealer {
            None => std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE + (64 << 10))),
            Some(sealer) => {
                let mut out = Vec::with_capacity(self.buffer.len() + (64 << 10));
                sealer.write(&self.buffer, &mut out).or_error(ErrorKind::Unexpected, "encrypt")?;
                self.buffer.clear();
                out
            }
        };
        let piece = Bytes::from(piece);
        self.hash.update(&piece);
        self.size += piece.len() as u64;
        self.upload.write(piece).await
    }

    /// Adds bytes that are no data of the source (the archive's end marker).
    pub(super) async fn end_marker(&mut self, marker: &[u8]) -> Result<()> {
        self.encoder.write(marker, &mut self.buffer).or_error(ErrorKind::Unexpected, "compress")?;
        self.send().await
    }

    /// Makes the object visible. On an error the upload is aborted, unless it may have come to its end unheard.
    pub(super) async fn finish(mut self) -> Result<Written> {
        let encoder = self.encoder;
        let sealer = self.sealer;
        let mut last = std::mem::take(&mut self.buffer);
        let ended = encoder.finish(&mut last).and_then(|()| match sealer {
            None => Ok(last),
            Some(sealer) => seal_last(sealer, &last),
        });
        let sent = match ended.or_error(ErrorKind::Unexpected, "end the object") {
            Ok(last) => {
                let piece = Bytes::from(last);
                self.hash.update(&piece);
                self.size += piece.len() as u64;
                self.upload.write(piece).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            drop(self.upload.abort().await);
            return Err(error);
        }
        let stored = self.upload.complete().await?;
        Ok(Written {
            object: ObjectRecord {
                key: self.key,
                size: self.size,
                sha256: hex::encode(self.hash.finalize()),
                version_id: stored.version_id,
            },
            raw_bytes: self.raw,
            content_sha256: self.content.map(|c| hex::encode(c.finalize())),
        })
    }

    /// Gives up; what the store holds of the upload is freed.
    pub(super) async fn abort(self) {
        if let Err(error) = self.upload.abort().await {
            tracing::warn!(key = %self.key, %error, "an unfinished upload could not be aborted; retention will sweep it");
        }
    }
}

#[async_trait]
impl BlockSink for ChunkWriter<'_> {
    async fn block(&mut self, block: &[u8]) -> Result<()> {
        self.raw += block.len() as u64;
        if let Some(content) = &mut self.content {
            content.update(block);
        }
        self.encoder.write(block, &mut self.buffer).or_error(ErrorKind::Unexpected, "compress")?;
        self.progress.advance(block.len() as u64);
        if self.buffer.len() >= PIECE {
            self.send().await?;
        }
        Ok(())
    }
}
