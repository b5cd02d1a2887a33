//! Reads a backup's objects back: length and hash checked against the manifest, opened where they are encrypted, decoded,
//! row by row where it is a table. Verify, restore, fetch and the drill's negative control all read through here, so that
//! all see the same damage.

mod opening;
mod stored;
mod unopened;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use lifeboat_archive::{
    checksum::TableChecksum,
    codec::{Codec, Decoder, Progress},
    data_file,
    encryption::{Identities, Kind, OpenError},
    names,
    toc::{self, Toc},
};
use sha2::{Digest, Sha256};

use crate::{
    Error, ErrorKind, Result, ResultExt,
    manifest::{Encryption, KEY_NAME, Manifest, ObjectRecord, TableRecord},
    ports::{BlockSource, Store},
    rows::{RowDigest, sorted_order},
};
use opening::Opening;
use stored::StoredBytes;
pub use unopened::unfit;
use unopened::{keys, no_key, not_opened};

/// What unfolds of compressed bytes is handed on in blocks of at most this size, however much it is.
const DECODED_BLOCK: usize = 256 * 1024;

/// Small objects (toc, globals, kit, lists) are read whole up to this size: 4 GiB, the TOC reader's own limit.
const WHOLE_LIMIT: u64 = 4 << 30;

fn corrupt(key: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{key}: {what}"))
}

/// A backup to be read: where it lies, what it must be, and what opens it where it is encrypted.
#[derive(Clone, Copy)]
pub struct BackupReader<'a> {
    store: &'a dyn Store,
    manifest: &'a Manifest,
    identities: &'a Arc<Identities>,
}

impl<'a> BackupReader<'a> {
    /// Nothing is read yet.
    pub fn new(store: &'a dyn Store, manifest: &'a Manifest, identities: &'a Arc<Identities>) -> Self {
        Self { store, manifest, identities }
    }

    /// Where it lies.
    pub fn store(&self) -> &'a dyn Store {
        self.store
    }

    /// What it must be.
    pub fn manifest(&self) -> &'a Manifest {
        self.manifest
    }

    /// Whether its objects can be opened as far as can be told without reading: it is not encrypted, or there are keys.
    pub fn can_be_opened(&self) -> bool {
        self.manifest.encryption.is_none() || !self.identities.is_empty()
    }

    /// `Keys` where it is encrypted and there is no key at all: known before anything is read.
    pub fn must_open(&self) -> Result<()> {
        if self.can_be_opened() {
            return Ok(());
        }
        let manifest = self.manifest;
        let name = format!("backup {}/{}", manifest.database, manifest.backup_id);
        Err(no_key(manifest, &name, "it is encrypted, and no key is given"))
    }

    /// An object's content, decoded if `decode` says so.
    pub async fn open(&self, record: &ObjectRecord, decode: bool) -> Result<CheckedReader> {
        let codec = if decode { Some(codec_of(self.manifest)?) } else { None };
        let opening = match kind_of(self.manifest)? {
            Some(kind) if record.key.ends_with(kind.suffix()) && record.key != KEY_NAME => {
                if self.identities.is_empty() {
                    return Err(no_key(self.manifest, &record.key, "it is encrypted, and no key is given"));
                }
                self.unseal().await?;
                Some(Opening::begin(kind, Arc::clone(self.identities)))
            }
            _ => None,
        };
        let folder = self.manifest.folder();
        Ok(CheckedReader {
            opening,
            encryption: self.manifest.encryption.clone(),
            ..CheckedReader::open(self.store, &folder, record, codec.as_ref()).await?
        })
    }

    /// Opens the backup's own key, where a passphrase keeps it and there is one: once, for that takes a second.
    async fn unseal(&self) -> Result<()> {
        let Some(encryption) = &self.manifest.encryption else { return Ok(()) };
        let Some(record) = &encryption.key else { return Ok(()) };
        if !self.identities.has_passphrase() || self.identities.hold(&encryption.recipients) {
            return Ok(());
        }
        let mut reader = self.stored(record).await?;
        let mut file = Vec::new();
        while let Some(block) = reader.next_block().await? {
            file.extend_from_slice(&block);
        }
        let identities = Arc::clone(self.identities);
        let unsealed = tokio::task::spawn_blocking(move || identities.unseal(&file)).await;
        match unsealed.or_error(ErrorKind::Unexpected, "open the key")? {
            Ok(()) => Ok(()),
            Err(OpenError::NoMatch) => {
                Err(keys(Some(encryption), format!("{}: the passphrase does not open it", record.key)))
            }
            Err(error) => Err(corrupt(&record.key, error)),
        }
    }

    /// An object's bytes as they are stored.
    pub async fn stored(&self, record: &ObjectRecord) -> Result<CheckedReader> {
        CheckedReader::open(self.store, &self.manifest.folder(), record, None).await
    }

    /// Chunk number `index` of a table, row by row.
    pub async fn rows(&self, table: &TableRecord, index: usize) -> Result<RowsReader> {
        let record = table
            .chunks
            .get(index)
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, format!("{} has no chunk {index}", table.qualified())))?;
        let reader = self.open(record, true).await?;
        let columns = || table.columns.iter().map(|column| names::bytes(column)).collect::<Vec<_>>();
        let order = table.loads_into.is_some().then(|| sorted_order(&columns()));
        Ok(RowsReader {
            reader,
            digest: Some(RowDigest::new(order)),
            last: index + 1 == table.chunks.len(),
            tail: Vec::new(),
            checksum: None,
        })
    }

    /// A small object whole.
    pub async fn whole(&self, record: &ObjectRecord) -> Result<Vec<u8>> {
        if record.size > WHOLE_LIMIT {
            return Err(corrupt(&record.key, "is too large to be what the manifest says"));
        }
        let mut reader = self.open(record, false).await?;
        let mut bytes = Vec::with_capacity(usize::try_from(record.size).unwrap_or(0));
        while let Some(block) = reader.next_block().await? {
            bytes.extend_from_slice(&block);
        }
        Ok(bytes)
    }

    /// The table of contents.
    pub async fn toc(&self) -> Result<Toc> {
        let record = &self.manifest.toc;
        toc::read(&self.whole(record).await?).map_err(|e| corrupt(&record.key, e))
    }
}

/// One object as a stream of checked blocks. The end is only reached if length, hash and framing are right.
pub struct CheckedReader {
    stored: StoredBytes,
    opening: Option<Opening>,
    /// How the backup is encrypted, for messages.
    encryption: Option<Encryption>,
    decoder: Option<Decoder>,
    input: Bytes,
    /// The decoder has more to give before it takes more.
    unfolding: bool,
    done: bool,
}

impl CheckedReader {
    /// Opens `folder` + the record's key, which is not encrypted. `codec`: decode, or `None` for the bytes as stored. A
    /// missing object and a wrong length are `Corrupt` at once.
    pub async fn open(store: &dyn Store, folder: &str, record: &ObjectRecord, codec: Option<&Codec>) -> Result<Self> {
        let stored = StoredBytes::open(store, folder, record).await?;
        let decoder = codec
            .map(Decoder::new)
            .transpose()
            .map_err(|e| Error::new(ErrorKind::Unexpected, format!("start decompression: {e}")))?;
        Ok(Self {
            stored,
            opening: None,
            encryption: None,
            decoder,
            input: Bytes::new(),
            unfolding: false,
            done: false,
        })
    }

    /// Bytes read so far, as stored.
    pub fn bytes_read(&self) -> u64 {
        self.stored.read()
    }

    /// The next block of what the input decodes to; `None` where that takes more input.
    fn decoded(&mut self) -> Result<Option<Bytes>> {
        let Some(decoder) = &mut self.decoder else {
            let block = std::mem::take(&mut self.input);
            return Ok((!block.is_empty()).then_some(block));
        };
        if self.input.is_empty() && !self.unfolding {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(DECODED_BLOCK);
        let mut rest = &self.input[..];
        // A damaged object can fail to decode before its hash is known: either way it is this object.
        let progress = decoder.write(&mut rest, &mut out, DECODED_BLOCK).map_err(|e| corrupt(self.stored.key(), e))?;
        let taken = self.input.len() - rest.len();
        self.input.advance(taken);
        self.unfolding = progress == Progress::LimitReached;
        Ok((!out.is_empty()).then(|| Bytes::from(out)))
    }

    /// The next of what the stored bytes open to; `None` at its end.
    async fn next_opened(&mut self) -> Result<Option<Bytes>> {
        let Some(opening) = &mut self.opening else { return self.stored.next().await };
        let opened = loop {
            let Some(sealed) = &opening.sealed else { break opening.opened.recv().await };
            let ended = tokio::select! {
                biased;
                opened = opening.opened.recv() => break opened,
                room = sealed.reserve() => match (room, self.stored.next().await?) {
                    (Ok(room), Some(block)) => {
                        room.send(block);
                        false
                    }
                    // All of it was read, or what opens it takes no more and says why at once.
                    _ => true,
                },
            };
            if ended {
                opening.sealed = None;
            }
        };
        match opened {
            Some(Ok(block)) if !block.is_empty() => return Ok(Some(block)),
            _ => {}
        }
        // What is damaged is damaged, whatever it opens to: that is only known at the end of it.
        while self.stored.next().await?.is_some() {}
        match opened {
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(not_opened(self.encryption.as_ref(), self.stored.key(), &error)),
            None => Err(Error::new(ErrorKind::Unexpected, format!("{}: opening it broke off", self.stored.key()))),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.done = true;
        match self.decoder.take() {
            Some(decoder) => decoder.finish().map_err(|e| corrupt(self.stored.key(), e)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl BlockSource for CheckedReader {
    async fn next_block(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(block) = self.decoded()? {
                return Ok(Some(block));
            }
            if self.done {
                return Ok(None);
            }
            match self.next_opened().await? {
                Some(block) => self.input = block,
                None => self.finish()?,
            }
        }
    }
}

/// A table's rows in one chunk: COPY text without the archive's end marker, counted and hashed on the way.
pub struct RowsReader {
    reader: CheckedReader,
    digest: Option<RowDigest>,
    /// Whether this is the table's last chunk, which must end with the marker.
    last: bool,
    tail: Vec<u8>,
    checksum: Option<TableChecksum>,
}

impl RowsReader {
    /// Rows and checksum of the chunk, once it has been read to its end.
    pub fn checksum(&self) -> Option<TableChecksum> {
        self.checksum
    }

    /// Bytes read so far, as stored.
    pub fn bytes_read(&self) -> u64 {
        self.reader.bytes_read()
    }

    /// Reads to the end for the checksum alone.
    pub async fn drain(mut self) -> Result<TableChecksum> {
        while self.next_block().await?.is_some() {}
        self.checksum.ok_or_else(|| Error::new(ErrorKind::Unexpected, "a chunk ended without a checksum"))
    }

    /// Holds the last bytes back until it is known whether they are the end marker.
    fn without_marker(&mut self, block: Bytes) -> Option<Bytes> {
        if !self.last {
            return Some(block);
        }
        let keep = data_file::END.len();
        self.tail.extend_from_slice(&block);
        if self.tail.len() <= keep {
            return None;
        }
        let rest = self.tail.split_off(self.tail.len() - keep);
        Some(Bytes::from(std::mem::replace(&mut self.tail, rest)))
    }
}

#[async_trait]
impl BlockSource for RowsReader {
    async fn next_block(&mut self) -> Result<Option<Bytes>> {
        while let Some(block) = self.reader.next_block().await? {
            if let Some(rows) = self.without_marker(block) {
                if let Some(digest) = &mut self.digest {
                    digest.push(&rows);
                }
                return Ok(Some(rows));
            }
        }
        if let Some(digest) = self.digest.take() {
            if self.last && self.tail != data_file::END {
                return Err(corrupt(self.reader.stored.key(), "does not end as a table's data must"));
            }
            let (checksum, early_end) = digest.finish().map_err(|e| e.context(self.reader.stored.key()))?;
            if early_end {
                return Err(corrupt(self.reader.stored.key(), "the data's end stands before the end"));
            }
            self.checksum = Some(checksum);
        }
        Ok(None)
    }
}

/// The codec that a manifest names.
pub fn codec_of(manifest: &Manifest) -> Result<Codec> {
    manifest.compression.parse().map_err(|_| {
        Error::new(
            ErrorKind::Unexpected,
            format!("the manifest names an unknown compression '{}'", manifest.compression),
        )
        .with_hint("use a newer Lifeboat")
    })
}

/// How a manifest says that its objects are encrypted.
fn kind_of(manifest: &Manifest) -> Result<Option<Kind>> {
    let Some(encryption) = &manifest.encryption else { return Ok(None) };
    Kind::from_name(&encryption.kind).map(Some).ok_or_else(|| {
        Error::new(ErrorKind::Unexpected, format!("the manifest names an unknown encryption '{}'", encryption.kind))
            .with_hint("use a newer Lifeboat")
    })
}

/// Reads one object to its end; returns the size and the SHA-256 of what it gives.
pub async fn drain(mut reader: CheckedReader) -> Result<(u64, String)> {
    let mut content = Sha256::new();
    let mut size = 0;
    while let Some(block) = reader.next_block().await? {
        content.update(&block);
        size += block.len() as u64;
    }
    Ok((size, hex::encode(content.finalize())))
}
