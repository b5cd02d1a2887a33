//! Reads a backup's objects back: length and hash checked against the manifest, decoded, row by row where it is a table.
//! Verify, restore, fetch and the drill's negative control all read through here, so that all see the same damage.

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use lifeboat_archive::{
    checksum::TableChecksum,
    codec::{Codec, Decoder, Progress},
    data_file, names,
};
use sha2::{Digest, Sha256};

use crate::{
    Error, ErrorKind, Result,
    manifest::{Manifest, ObjectRecord, TableRecord},
    ports::{BlockSource, ObjectReader, Store},
    rows::{RowDigest, sorted_order},
};

/// What unfolds of compressed bytes is handed on in blocks of at most this size, however much it is.
const DECODED_BLOCK: usize = 256 * 1024;

/// Small objects (toc, globals, kit, lists) are read whole up to this size: 4 GiB, the TOC reader's own limit.
const WHOLE_LIMIT: u64 = 4 << 30;

fn corrupt(key: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{key}: {what}"))
}

/// One object as a stream of checked blocks. The end is only reached if length, hash and framing are right.
pub struct CheckedReader {
    key: String,
    record: ObjectRecord,
    reader: Box<dyn ObjectReader>,
    hash: Option<Sha256>,
    read: u64,
    decoder: Option<Decoder>,
    input: Bytes,
    /// The decoder has more to give before it takes more.
    unfolding: bool,
    done: bool,
}

impl CheckedReader {
    /// Opens `folder` + the record's key. `codec`: decode, or `None` for the bytes as stored. A missing object and a
    /// wrong length are `Corrupt` at once.
    pub async fn open(store: &dyn Store, folder: &str, record: &ObjectRecord, codec: Option<&Codec>) -> Result<Self> {
        let reader = match store.open(&format!("{folder}{}", record.key)).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(corrupt(&record.key, "is missing")),
            other => other?,
        };
        let size = reader.stored().size;
        if size != record.size {
            return Err(corrupt(&record.key, format!("has {size} bytes, the manifest says {}", record.size)));
        }
        let decoder = codec
            .map(Decoder::new)
            .transpose()
            .map_err(|e| Error::new(ErrorKind::Unexpected, format!("start decompression: {e}")))?;
        Ok(Self {
            key: record.key.clone(),
            record: record.clone(),
            reader,
            hash: Some(Sha256::new()),
            read: 0,
            decoder,
            input: Bytes::new(),
            unfolding: false,
            done: false,
        })
    }

    /// Bytes read so far, as stored.
    pub fn bytes_read(&self) -> u64 {
        self.read
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
        let progress = decoder.write(&mut rest, &mut out, DECODED_BLOCK).map_err(|e| corrupt(&self.key, e))?;
        let taken = self.input.len() - rest.len();
        self.input.advance(taken);
        self.unfolding = progress == Progress::LimitReached;
        Ok((!out.is_empty()).then(|| Bytes::from(out)))
    }

    fn finish(&mut self) -> Result<()> {
        self.done = true;
        if self.read != self.record.size {
            return Err(corrupt(
                &self.key,
                format!("gave {} bytes, the manifest says {}", self.read, self.record.size),
            ));
        }
        let hash = self.hash.take().map(|h| hex::encode(h.finalize())).unwrap_or_default();
        if hash != self.record.sha256 {
            return Err(corrupt(&self.key, "its SHA-256 is not the manifest's"));
        }
        match self.decoder.take() {
            Some(decoder) => decoder.finish().map_err(|e| corrupt(&self.key, e)),
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
            match self.reader.next_block().await? {
                Some(block) => {
                    self.read += block.len() as u64;
                    if let Some(hash) = &mut self.hash {
                        hash.update(&block);
                    }
                    self.input = block;
                }
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
    /// Opens chunk number `index` of a table.
    pub async fn open(store: &dyn Store, manifest: &Manifest, table: &TableRecord, index: usize) -> Result<Self> {
        let record = table
            .chunks
            .get(index)
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, format!("{} has no chunk {index}", table.qualified())))?;
        let codec = codec_of(manifest)?;
        let reader = CheckedReader::open(store, &manifest.folder(), record, Some(&codec)).await?;
        let columns = || table.columns.iter().map(|column| names::bytes(column)).collect::<Vec<_>>();
        let order = table.loads_into.is_some().then(|| sorted_order(&columns()));
        Ok(Self {
            reader,
            digest: Some(RowDigest::new(order)),
            last: index + 1 == table.chunks.len(),
            tail: Vec::new(),
            checksum: None,
        })
    }

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
                return Err(corrupt(&self.reader.key, "does not end as a table's data must"));
            }
            let (checksum, early_end) = digest.finish().map_err(|e| e.context(&self.reader.key))?;
            if early_end {
                return Err(corrupt(&self.reader.key, "the data's end stands before the end"));
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

/// Reads one object whole, checked.
pub async fn read_whole(store: &dyn Store, folder: &str, record: &ObjectRecord) -> Result<Vec<u8>> {
    if record.size > WHOLE_LIMIT {
        return Err(corrupt(&record.key, "is too large to be what the manifest says"));
    }
    let mut reader = CheckedReader::open(store, folder, record, None).await?;
    let mut bytes = Vec::with_capacity(usize::try_from(record.size).unwrap_or(0));
    while let Some(block) = reader.next_block().await? {
        bytes.extend_from_slice(&block);
    }
    Ok(bytes)
}

/// Reads one object to its end, checked, decoded if `codec` is given; returns the size and the SHA-256 of
/// what it decodes to.
pub async fn drain(
    store: &dyn Store,
    folder: &str,
    record: &ObjectRecord,
    codec: Option<&Codec>,
) -> Result<(u64, String)> {
    let mut reader = CheckedReader::open(store, folder, record, codec).await?;
    let mut content = Sha256::new();
    let mut size = 0;
    while let Some(block) = reader.next_block().await? {
        content.update(&block);
        size += block.len() as u64;
    }
    Ok((size, hex::encode(content.finalize())))
}
