//! The store port: immutable objects, streamed uploads, tags, and compare-and-swap for the control store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::{Error, ErrorKind, Result, ids::RunId};

/// An object up to this size goes to S3 in one request, and a larger one in parts of it: the least that S3 takes, for each
/// upload holds one or two. Bytes.
pub const PART: usize = 5 << 20;

/// What a store says of an object it has written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Bytes, as stored.
    pub size: u64,
    /// The version, where the store keeps versions.
    pub version_id: Option<String>,
    /// Opaque; changes whenever the object's content changes. Input of [`Store::swap`].
    pub etag: Option<String>,
}

/// One object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Full key, relative to the store's root.
    pub key: String,
    /// Bytes, as stored.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub modified: Timestamp,
    /// S3's storage class; `STANDARD` where the store has none.
    pub storage_class: String,
}

/// How a store gets rid of backups (DESIGN §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Objects are tagged and a lifecycle rule removes them; Lifeboat holds no right to delete.
    TagForLifecycle,
    /// Lifeboat deletes: manifest first, data after.
    Delete,
}

/// The answer to a compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// Written.
    Done(Stored),
    /// Another value is there; nothing was written.
    Lost,
}

/// Whether an object in an archive storage class can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thaw {
    /// It can be read, for now or always.
    Readable,
    /// It was asked for, now or before, and cannot be read yet.
    Underway,
}

/// A store: keys are relative, `/`-separated, without `.` or `..` segments (refused with [`ErrorKind::Usage`]).
///
/// Errors: [`ErrorKind::NotFound`] where an object or bucket is missing, [`ErrorKind::AlreadyExists`] where
/// a new key exists, [`ErrorKind::Store`] for the rest, retried within the implementation where that can help.
#[async_trait]
pub trait Store: Send + Sync {
    /// The URL as a person wrote it; never holds a secret.
    fn url(&self) -> &str;

    /// How backups are removed here.
    fn removal(&self) -> Removal;

    /// Checks that the store exists, can be written and refuses a second write of the same key; leaves nothing
    /// behind but `.control/probe` objects. Run by preflight, before anything is written. The key is the run's: not to be
    /// called twice at the same time for one run.
    async fn probe(&self, run_id: &RunId) -> Result<()>;

    /// Writes a new object in one piece, durable on return. Idempotent for one `run_id`: a lost answer is resolved by
    /// looking, and finding our own bytes is success. Fails with `AlreadyExists` if another's object is there.
    async fn put_new(&self, key: &str, body: Bytes, run_id: &RunId) -> Result<Stored>;

    /// Begins a streamed upload of a new object. Nothing is visible under the key until [`Upload::complete`].
    async fn upload_new(&self, key: &str, run_id: &RunId) -> Result<Box<dyn Upload>>;

    /// Opens an object for reading from its start; a cut connection is resumed with a range within the reader.
    async fn open(&self, key: &str) -> Result<Box<dyn ObjectReader>>;

    /// Reads a small object whole; `Corrupt` if it is larger than `limit` bytes.
    async fn read(&self, key: &str, limit: u64) -> Result<(Bytes, Stored)> {
        let mut reader = self.open(key).await?;
        let stored = reader.stored().clone();
        if stored.size > limit {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{key} has {} bytes, more than the {limit} it may have", stored.size),
            ));
        }
        let mut body = Vec::with_capacity(usize::try_from(stored.size).unwrap_or(0));
        while let Some(block) = reader.next_block().await? {
            body.extend_from_slice(&block);
        }
        Ok((Bytes::from(body), stored))
    }

    /// Every object whose key begins with `prefix`, sorted by key.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>>;

    /// The folder names directly below `prefix` (which is empty or ends with `/`), sorted.
    async fn folders(&self, prefix: &str) -> Result<Vec<String>>;

    /// Asks for an object in an archive storage class to be readable for so many days, and says whether it is. Idempotent:
    /// what was asked for before is not asked for again. Where there are no such classes, everything is readable.
    async fn thaw(&self, _key: &str, _days: u32) -> Result<Thaw> {
        Ok(Thaw::Readable)
    }

    /// Whether an object can be read; asks for nothing.
    async fn is_readable(&self, _key: &str) -> Result<bool> {
        Ok(true)
    }

    /// Replaces the object's whole tag set. Does nothing on a store with [`Removal::Delete`].
    async fn set_tags(&self, key: &str, tags: &BTreeMap<String, String>) -> Result<()>;

    /// The object's tags.
    async fn tags(&self, key: &str) -> Result<BTreeMap<String, String>>;

    /// Deletes an object; it is no error if it is gone. Used on control objects, and on backups only where
    /// [`Store::removal`] says [`Removal::Delete`].
    async fn delete(&self, key: &str) -> Result<()>;

    /// Compare-and-swap for the control store: writes if the object's etag is `expected`, or if there is no object and
    /// `expected` is `None`. After a time-out it is unknown whether it was written: read again.
    async fn swap(&self, key: &str, expected: Option<&str>, body: Bytes) -> Result<Swap>;

    /// How many unfinished uploads below `prefix` were begun before `before`; changes nothing.
    async fn pending_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64>;

    /// Ends unfinished uploads below `prefix` begun before `before`; returns how many.
    async fn sweep_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64>;
}

/// A streamed upload. Dropped without `complete`, it leaves no object; `abort` also frees what the store holds of it.
#[async_trait]
pub trait Upload: Send {
    /// Adds bytes. Memory stays bounded: at most a few parts are in flight.
    async fn write(&mut self, block: Bytes) -> Result<()>;
    /// Makes the object visible, durable on return; `AlreadyExists` if the key was taken meanwhile.
    async fn complete(self: Box<Self>) -> Result<Stored>;
    /// Gives up.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// An object being read.
#[async_trait]
pub trait ObjectReader: Send {
    /// Size and version of what is being read.
    fn stored(&self) -> &Stored;
    /// The next block, at most 1 MiB; `None` at the end. A short object is [`ErrorKind::Store`], never a silent end.
    async fn next_block(&mut self) -> Result<Option<Bytes>>;
}

/// Anything that yields blocks of bytes until it ends.
#[async_trait]
pub trait BlockSource: Send {
    /// The next block; `None` at the end.
    async fn next_block(&mut self) -> Result<Option<Bytes>>;
}
