//! The bytes of one object as they are stored, counted and hashed: their end is only reached if they are the manifest's.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::corrupt;
use crate::{
    ErrorKind, Result,
    manifest::ObjectRecord,
    ports::{ObjectReader, Store},
};

pub(super) struct StoredBytes {
    record: ObjectRecord,
    reader: Box<dyn ObjectReader>,
    hash: Option<Sha256>,
    read: u64,
}

impl StoredBytes {
    /// Opens `folder` + the record's key. A missing object and a wrong length are `Corrupt` at once.
    pub(super) async fn open(store: &dyn Store, folder: &str, record: &ObjectRecord) -> Result<Self> {
        let reader = match store.open(&format!("{folder}{}", record.key)).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(corrupt(&record.key, "is missing")),
            other => other?,
        };
        let size = reader.stored().size;
        if size != record.size {
            return Err(corrupt(&record.key, format!("has {size} bytes, the manifest says {}", record.size)));
        }
        Ok(Self { record: record.clone(), reader, hash: Some(Sha256::new()), read: 0 })
    }

    pub(super) fn key(&self) -> &str {
        &self.record.key
    }

    /// Bytes so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// The next of them; `None` at their end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(hash) = &mut self.hash else { return Ok(None) };
        if let Some(block) = self.reader.next_block().await? {
            self.read += block.len() as u64;
            hash.update(&block);
            return Ok(Some(block));
        }
        if self.read != self.record.size {
            let what = format!("gave {} bytes, the manifest says {}", self.read, self.record.size);
            return Err(corrupt(self.key(), what));
        }
        let hash = self.hash.take().map(|h| hex::encode(h.finalize())).unwrap_or_default();
        if hash != self.record.sha256 {
            return Err(corrupt(self.key(), "its SHA-256 is not the manifest's"));
        }
        Ok(None)
    }
}
