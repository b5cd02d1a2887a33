//! The negative control: a damaged copy of one object of each kind, given to the code that checks: it must be refused.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lifeboat_archive::encryption::Identities;

use crate::{
    ErrorKind, Result,
    ids::RunId,
    manifest::{MANIFEST_NAME, Manifest},
    ports::{Listed, ObjectReader, Removal, Store, Stored, Swap, Thaw, Upload},
    reading::BackupReader,
    report::NegativeControl,
    verify::{Check, check_object, checks},
};

/// A store through which one object arrives with one bit turned over. Writes are passed on untouched.
pub struct Damaged {
    inner: Arc<dyn Store>,
    key: String,
    at: u64,
    bit: u8,
}

impl Damaged {
    /// Turns over `bit` (0 to 7) of byte `at` of the object `key`.
    pub fn new(inner: Arc<dyn Store>, key: String, at: u64, bit: u8) -> Self {
        Self { inner, key, at, bit: bit % 8 }
    }
}

struct DamagedReader {
    inner: Box<dyn ObjectReader>,
    position: u64,
    at: u64,
    bit: u8,
}

#[async_trait]
impl ObjectReader for DamagedReader {
    fn stored(&self) -> &Stored {
        self.inner.stored()
    }

    async fn next_block(&mut self) -> Result<Option<Bytes>> {
        let Some(block) = self.inner.next_block().await? else { return Ok(None) };
        let start = self.position;
        self.position += block.len() as u64;
        if (start..self.position).contains(&self.at) {
            let mut bytes = block.to_vec();
            if let Some(byte) = usize::try_from(self.at - start).ok().and_then(|i| bytes.get_mut(i)) {
                *byte ^= 1 << self.bit;
            }
            return Ok(Some(Bytes::from(bytes)));
        }
        Ok(Some(block))
    }
}

#[async_trait]
impl Store for Damaged {
    fn url(&self) -> &str {
        self.inner.url()
    }
    fn removal(&self) -> Removal {
        self.inner.removal()
    }
    async fn probe(&self, run_id: &RunId) -> Result<()> {
        self.inner.probe(run_id).await
    }
    async fn put_new(&self, key: &str, body: Bytes, run_id: &RunId) -> Result<Stored> {
        self.inner.put_new(key, body, run_id).await
    }
    async fn upload_new(&self, key: &str, run_id: &RunId) -> Result<Box<dyn Upload>> {
        self.inner.upload_new(key, run_id).await
    }
    async fn open(&self, key: &str) -> Result<Box<dyn ObjectReader>> {
        let inner = self.inner.open(key).await?;
        if key != self.key {
            return Ok(inner);
        }
        Ok(Box::new(DamagedReader { inner, position: 0, at: self.at, bit: self.bit }))
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.inner.list(prefix).await
    }
    async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        self.inner.folders(prefix).await
    }
    async fn thaw(&self, key: &str, days: u32) -> Result<Thaw> {
        self.inner.thaw(key, days).await
    }
    async fn is_readable(&self, key: &str) -> Result<bool> {
        self.inner.is_readable(key).await
    }
    async fn set_tags(&self, key: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        self.inner.set_tags(key, tags).await
    }
    async fn tags(&self, key: &str) -> Result<BTreeMap<String, String>> {
        self.inner.tags(key).await
    }
    async fn delete(&self, key: &str) -> Result<()> {
        self.inner.delete(key).await
    }
    async fn swap(&self, key: &str, expected: Option<&str>, body: Bytes) -> Result<Swap> {
        self.inner.swap(key, expected, body).await
    }
    async fn pending_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        self.inner.pending_uploads(prefix, before).await
    }

    async fn sweep_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        self.inner.sweep_uploads(prefix, before).await
    }
}

/// What a person calls the object.
fn kind(manifest: &Manifest, check: Check<'_>) -> &'static str {
    match check {
        Check::Toc(_) => "table of contents",
        Check::Plain(record) if *record == manifest.globals => "roles (globals.sql)",
        Check::Plain(_) => "recovery kit",
        Check::LargeObjectList(_) => "list of large objects",
        Check::Chunk { .. } => "table data",
        Check::LargeObject(_) => "large object",
    }
}

/// Damages one object of each kind in turn, a place chosen by `random`, and sees whether the same code that verifies and
/// restores refuses it, naming the object.
pub(super) async fn run(
    store: &Arc<dyn Store>,
    manifest: &Manifest,
    identities: &Arc<Identities>,
    random: u64,
) -> Result<Vec<NegativeControl>> {
    let mut by_kind: BTreeMap<&'static str, Vec<Check<'_>>> = BTreeMap::new();
    for check in checks(manifest).into_iter().filter(|c| c.record(manifest).size > 0) {
        by_kind.entry(kind(manifest, check)).or_default().push(check);
    }
    let mut results = vec![manifest_control(store, manifest, random).await?];
    for (object_kind, candidates) in by_kind {
        let pick = |n: usize| usize::try_from(random % (n.max(1) as u64)).unwrap_or(0);
        let check = candidates[pick(candidates.len())];
        let record = check.record(manifest);
        let (at, bit) = (random % record.size, u8::try_from(random % 8).unwrap_or(0));
        let damaged = Damaged::new(Arc::clone(store), format!("{}{}", manifest.folder(), record.key), at, bit);
        let outcome = check_object(BackupReader::new(&damaged, manifest, identities), check).await.map(|_| ());
        results.push(judge(object_kind, &record.key, at, bit, outcome)?);
    }
    Ok(results)
}

async fn manifest_control(store: &Arc<dyn Store>, manifest: &Manifest, random: u64) -> Result<NegativeControl> {
    let key = format!("{}{MANIFEST_NAME}", manifest.folder());
    let (bytes, _) = store.read(&key, crate::catalog::MANIFEST_LIMIT).await?;
    let (at, bit) = (random % (bytes.len() as u64).max(1), u8::try_from(random % 8).unwrap_or(0));
    let damaged = Damaged::new(Arc::clone(store), key.clone(), at, bit);
    let (bytes, _) = damaged.read(&key, crate::catalog::MANIFEST_LIMIT).await?;
    let outcome = Manifest::open(&bytes).map(|_| ());
    judge("manifest", MANIFEST_NAME, at, bit, outcome)
}

/// Refused for the damage and for nothing else: an error of another kind ends the drill.
fn judge(object_kind: &str, object: &str, at: u64, bit: u8, outcome: Result<()>) -> Result<NegativeControl> {
    let (rejected, words) = match outcome {
        Ok(()) => (false, "the damaged object was taken for good".to_owned()),
        Err(error) if error.kind() == ErrorKind::Corrupt => (error.to_string().contains(object), error.to_string()),
        Err(error) => return Err(error.context("negative control")),
    };
    Ok(NegativeControl {
        object_kind: object_kind.to_owned(),
        object: object.to_owned(),
        damage: format!("bit {bit} of byte {at} flipped"),
        rejected,
        words,
    })
}
