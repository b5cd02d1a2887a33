//! A store in memory with the promises of the port: new keys only, tags, compare-and-swap; and scripted faults.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ids::RunId,
    manifest::sha256_hex,
    ports::{Clock, Listed, ObjectReader, Removal, Store, Stored, Swap, Thaw, Upload},
};

use crate::{
    ManualClock,
    faults::{Fault, Operation, Script},
};

/// The most that a reader yields at once, bytes.
const BLOCK: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    body: Bytes,
    run_id: Option<RunId>,
    modified: Timestamp,
    storage_class: String,
    /// Whether a thaw was asked for, and has come to its end.
    thaw: Option<bool>,
    tags: BTreeMap<String, String>,
}

impl Object {
    fn readable(&self) -> bool {
        !matches!(self.storage_class.as_str(), "GLACIER" | "DEEP_ARCHIVE") || self.thaw == Some(true)
    }

    fn stored(&self) -> Stored {
        Stored { size: self.body.len() as u64, version_id: None, etag: Some(sha256_hex(&self.body)) }
    }
}

#[derive(Debug, Default)]
struct Contents {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<u64, (String, Timestamp)>,
    next_upload: u64,
}

struct Inner {
    removal: Removal,
    clock: Arc<dyn Clock>,
    script: Script,
    contents: Mutex<Contents>,
}

/// A store in memory; clones share the contents.
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

impl MemoryStore {
    /// An empty store that removes backups in this way; its clock stands at noon of 2026-11-20.
    pub fn new(removal: Removal) -> Self {
        Self::with_clock(removal, Arc::new(ManualClock::at("2026-11-20T12:00:00Z")))
    }

    /// An empty store whose objects are as old as this clock says.
    pub fn with_clock(removal: Removal, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { removal, clock, script: Script::default(), contents: Mutex::default() }))
    }

    /// Adds a fault to the script.
    pub fn fault(&self, fault: Fault) {
        self.0.script.add(fault);
    }

    /// All goes well from now on.
    pub fn clear_faults(&self) {
        self.0.script.clear();
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.contents().objects.keys().cloned().collect()
    }

    /// An object's bytes.
    pub fn body(&self, key: &str) -> Option<Bytes> {
        self.contents().objects.get(key).map(|o| o.body.clone())
    }

    /// Everything in the store, as text that two states can be compared by.
    pub fn fingerprint(&self) -> Vec<String> {
        self.contents().objects.iter().map(|(k, o)| format!("{k} {} {:?}", sha256_hex(&o.body), o.tags)).collect()
    }

    /// Replaces an object's bytes behind everybody's back, or makes one.
    pub fn tamper(&self, key: &str, body: impl Into<Bytes>) {
        let modified = self.0.clock.now();
        let body = body.into();
        self.contents()
            .objects
            .entry(key.to_owned())
            .and_modify(|o| o.body = body.clone())
            .or_insert_with(|| Object::new(body.clone(), None, modified));
    }

    /// Flips one bit of an object; false if there is no such byte.
    pub fn flip(&self, key: &str, at: usize) -> bool {
        let mut contents = self.contents();
        let Some(object) = contents.objects.get_mut(key) else { return false };
        let mut body = object.body.to_vec();
        let Some(byte) = body.get_mut(at) else { return false };
        *byte ^= 1;
        object.body = body.into();
        true
    }

    /// Cuts an object to `length` bytes.
    pub fn truncate(&self, key: &str, length: usize) {
        if let Some(object) = self.contents().objects.get_mut(key) {
            object.body.truncate(length);
        }
    }

    /// Removes an object behind everybody's back, whatever the store's way of removal.
    pub fn remove(&self, key: &str) {
        self.contents().objects.remove(key);
    }

    /// What lifecycle rules would do by now: remove what is tagged `lifeboat-expire=true`, move what is tagged
    /// `lifeboat-move`. Returns how many objects were removed.
    pub fn run_lifecycle(&self) -> usize {
        let mut contents = self.contents();
        let before = contents.objects.len();
        contents.objects.retain(|_, o| o.tags.get("lifeboat-expire").is_none_or(|v| v != "true"));
        for object in contents.objects.values_mut() {
            if let Some(class) = object.tags.get("lifeboat-move") {
                object.storage_class.clone_from(class);
            }
        }
        before - contents.objects.len()
    }

    /// What was asked for can be read now.
    pub fn finish_thaws(&self) {
        for object in self.contents().objects.values_mut().filter(|o| o.thaw.is_some()) {
            object.thaw = Some(true);
        }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert_new(&self, key: &str, body: Bytes, run_id: &RunId) -> Result<Stored> {
        let modified = self.0.clock.now();
        let mut contents = self.contents();
        if let Some(there) = contents.objects.get(key) {
            if there.run_id.as_ref() == Some(run_id) && there.body == body {
                return Ok(there.stored());
            }
            return Err(Error::new(ErrorKind::AlreadyExists, format!("{key} exists already")));
        }
        let object = Object::new(body, Some(run_id.clone()), modified);
        let stored = object.stored();
        contents.objects.insert(key.to_owned(), object);
        Ok(stored)
    }
}

impl Object {
    fn new(body: Bytes, run_id: Option<RunId>, modified: Timestamp) -> Self {
        Self { body, run_id, modified, storage_class: "STANDARD".to_owned(), thaw: None, tags: BTreeMap::new() }
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(Error::new(ErrorKind::Usage, format!("'{key}' is not a key")));
    }
    Ok(())
}

fn missing(key: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{key} is not in the store"))
}

/// The value of a call that went well, unless the script says that its answer got lost.
fn answer<T>(lost: Option<Error>, value: T) -> Result<T> {
    lost.map_or(Ok(value), Err)
}

#[async_trait]
impl Store for MemoryStore {
    fn url(&self) -> &'static str {
        "memory://"
    }

    fn removal(&self) -> Removal {
        self.0.removal
    }

    async fn probe(&self, _run_id: &RunId) -> Result<()> {
        let lost = self.0.script.begin(Operation::Probe, ".control/probe").await?;
        answer(lost, ())
    }

    async fn put_new(&self, key: &str, body: Bytes, run_id: &RunId) -> Result<Stored> {
        check_key(key)?;
        let lost = self.0.script.begin(Operation::PutNew, key).await?;
        answer(lost, self.insert_new(key, body, run_id)?)
    }

    async fn upload_new(&self, key: &str, run_id: &RunId) -> Result<Box<dyn Upload>> {
        check_key(key)?;
        let lost = self.0.script.begin(Operation::UploadNew, key).await?;
        let begun = self.0.clock.now();
        let id = {
            let mut contents = self.contents();
            let id = contents.next_upload;
            contents.next_upload += 1;
            contents.uploads.insert(id, (key.to_owned(), begun));
            id
        };
        let upload =
            MemoryUpload { store: self.clone(), id, key: key.to_owned(), run_id: run_id.clone(), body: Vec::new() };
        answer(lost, Box::new(upload) as Box<dyn Upload>)
    }

    async fn open(&self, key: &str) -> Result<Box<dyn ObjectReader>> {
        check_key(key)?;
        let lost = self.0.script.begin(Operation::Open, key).await?;
        let object = self.contents().objects.get(key).cloned().ok_or_else(|| missing(key))?;
        if !object.readable() {
            return Err(Error::new(ErrorKind::Store, format!("read {key}: it is in {}", object.storage_class)));
        }
        let reader =
            MemoryReader { store: self.clone(), key: key.to_owned(), stored: object.stored(), rest: object.body };
        answer(lost, Box::new(reader) as Box<dyn ObjectReader>)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let lost = self.0.script.begin(Operation::List, prefix).await?;
        let listed = self
            .contents()
            .objects
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, o)| Listed {
                key: key.clone(),
                size: o.body.len() as u64,
                modified: o.modified,
                storage_class: o.storage_class.clone(),
            })
            .collect();
        answer(lost, listed)
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        let lost = self.0.script.begin(Operation::Folders, prefix).await?;
        let mut folders: Vec<String> = self
            .contents()
            .objects
            .keys()
            .filter_map(|key| Some(key.strip_prefix(prefix)?.split_once('/')?.0.to_owned()))
            .collect();
        folders.dedup();
        answer(lost, folders)
    }

    async fn thaw(&self, key: &str, _days: u32) -> Result<Thaw> {
        let mut contents = self.contents();
        let object = contents.objects.get_mut(key).ok_or_else(|| missing(key))?;
        if !object.readable() {
            object.thaw.get_or_insert(false);
        }
        Ok(if object.readable() { Thaw::Readable } else { Thaw::Underway })
    }

    async fn is_readable(&self, key: &str) -> Result<bool> {
        self.contents().objects.get(key).map(Object::readable).ok_or_else(|| missing(key))
    }

    async fn set_tags(&self, key: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        check_key(key)?;
        let lost = self.0.script.begin(Operation::SetTags, key).await?;
        if self.0.removal == Removal::TagForLifecycle {
            self.contents().objects.get_mut(key).ok_or_else(|| missing(key))?.tags.clone_from(tags);
        }
        answer(lost, ())
    }

    async fn tags(&self, key: &str) -> Result<BTreeMap<String, String>> {
        let lost = self.0.script.begin(Operation::Tags, key).await?;
        let tags = self.contents().objects.get(key).ok_or_else(|| missing(key))?.tags.clone();
        answer(lost, tags)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        check_key(key)?;
        let lost = self.0.script.begin(Operation::Delete, key).await?;
        self.contents().objects.remove(key);
        answer(lost, ())
    }

    async fn swap(&self, key: &str, expected: Option<&str>, body: Bytes) -> Result<Swap> {
        check_key(key)?;
        let lost = self.0.script.begin(Operation::Swap, key).await?;
        let modified = self.0.clock.now();
        let swapped = {
            let mut contents = self.contents();
            let there = contents.objects.get(key).and_then(|o| o.stored().etag);
            if there.as_deref() == expected {
                let object = Object::new(body, None, modified);
                let stored = object.stored();
                contents.objects.insert(key.to_owned(), object);
                Swap::Done(stored)
            } else {
                Swap::Lost
            }
        };
        answer(lost, swapped)
    }

    async fn pending_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        let lost = self.0.script.begin(Operation::List, prefix).await?;
        let pending =
            self.contents().uploads.values().filter(|(key, begun)| key.starts_with(prefix) && *begun < before).count();
        answer(lost, pending as u64)
    }

    async fn sweep_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        let lost = self.0.script.begin(Operation::SweepUploads, prefix).await?;
        let swept = {
            let mut contents = self.contents();
            let all = contents.uploads.len();
            contents.uploads.retain(|_, (key, begun)| !key.starts_with(prefix) || *begun >= before);
            (all - contents.uploads.len()) as u64
        };
        answer(lost, swept)
    }
}

struct MemoryUpload {
    store: MemoryStore,
    id: u64,
    key: String,
    run_id: RunId,
    body: Vec<u8>,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        let lost = self.store.0.script.begin(Operation::UploadWrite, &self.key).await?;
        self.body.extend_from_slice(&block);
        answer(lost, ())
    }

    async fn complete(self: Box<Self>) -> Result<Stored> {
        let lost = self.store.0.script.begin(Operation::UploadComplete, &self.key).await?;
        if self.store.contents().uploads.remove(&self.id).is_none() {
            return Err(Error::new(ErrorKind::Store, format!("the upload of {} was swept away", self.key)));
        }
        let stored = self.store.insert_new(&self.key, self.body.into(), &self.run_id)?;
        answer(lost, stored)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.store.contents().uploads.remove(&self.id);
        Ok(())
    }
}

struct MemoryReader {
    store: MemoryStore,
    key: String,
    stored: Stored,
    rest: Bytes,
}

#[async_trait]
impl ObjectReader for MemoryReader {
    fn stored(&self) -> &Stored {
        &self.stored
    }

    async fn next_block(&mut self) -> Result<Option<Bytes>> {
        let lost = self.store.0.script.begin(Operation::NextBlock, &self.key).await?;
        if self.rest.is_empty() {
            return answer(lost, None);
        }
        let block = self.rest.split_to(self.rest.len().min(BLOCK));
        answer(lost, Some(block))
    }
}
