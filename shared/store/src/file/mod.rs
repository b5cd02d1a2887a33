//! The store in a folder: keys are paths, new objects appear by a rename that replaces nothing, swaps hold a file lock.

use std::{collections::BTreeMap, io::Write, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    ids::RunId,
    ports::{Listed, ObjectReader, Removal, Store, Stored, Swap, Upload},
};

use crate::key;

mod failure;
mod list;
mod publish;
mod read;
mod root;
mod upload;

use failure::failed;
use root::Root;

/// A store in a folder of this machine's file system.
///
/// Promises beyond the port's: what is written is synced to the disk together with its folder before a call returns;
/// symbolic links below the root are neither followed nor listed; unfinished writes lie in `.control/tmp`, which no
/// listing shows. The root itself is created by the first write, its parent never is.
#[derive(Debug, Clone)]
pub struct FileStore {
    url: String,
    root: Arc<Root>,
}

impl FileStore {
    /// A store below `root`; `url` is what messages and reports call it.
    pub fn new(url: &str, root: PathBuf) -> Self {
        Self { url: url.to_owned(), root: Arc::new(Root::new(root)) }
    }
}

/// Runs file system calls where they may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.or_error(ErrorKind::Unexpected, "wait for the file system")?
}

fn put_new(root: &Root, key: &str, body: &[u8]) -> Result<Stored> {
    root.ready()?;
    let path = root.path_of(key)?;
    let mut unfinished = publish::Unfinished::create(root, key)?;
    unfinished
        .file
        .write_all(body)
        .map_err(|e| failed(&format!("write {key}"), unfinished.path(), &e).needing(body.len() as u64).error())?;
    unfinished.publish_new(root, key, &path)?;
    Ok(Stored { size: body.len() as u64, version_id: None, etag: Some(read::etag(body)) })
}

fn swap(root: &Root, key: &str, expected: Option<&str>, body: &[u8]) -> Result<Swap> {
    root.ready()?;
    let path = root.path_of(key)?;
    let _lock = publish::lock(root)?;
    let done = Swap::Done(Stored { size: body.len() as u64, version_id: None, etag: Some(read::etag(body)) });
    let Some(expected) = expected else {
        return match put_new(root, key, body) {
            Ok(_) => Ok(done),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(Swap::Lost),
            Err(e) => Err(e),
        };
    };
    if read::etag_of_file(&path)?.as_deref() != Some(expected) {
        return Ok(Swap::Lost);
    }
    let mut unfinished = publish::Unfinished::create(root, key)?;
    unfinished
        .file
        .write_all(body)
        .map_err(|e| failed(&format!("write {key}"), unfinished.path(), &e).needing(body.len() as u64).error())?;
    unfinished.replace(key, &path)?;
    Ok(done)
}

fn probe(root: &Root, run_id: &RunId) -> Result<()> {
    let key = format!(".control/probe/{run_id}");
    // Left by an earlier probe of the same run that died.
    publish::delete(root, &key)?;
    put_new(root, &key, run_id.as_str().as_bytes())?;
    let second = put_new(root, &key, b"second");
    publish::delete(root, &key)?;
    match second {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
        Ok(_) => Err(Error::new(
            ErrorKind::Store,
            format!("the file system of {} lets a new file replace an existing one", root.path().display()),
        )
        .with_hint("choose a folder on a local disk or on NFS 4")),
    }
}

#[async_trait]
impl Store for FileStore {
    fn url(&self) -> &str {
        &self.url
    }

    fn removal(&self) -> Removal {
        Removal::Delete
    }

    async fn probe(&self, run_id: &RunId) -> Result<()> {
        let (root, run_id) = (Arc::clone(&self.root), run_id.clone());
        blocking(move || {
            root.ready()?;
            probe(&root, &run_id)
        })
        .await
        .map_err(|e| e.context(format!("probe {}", self.url)))
    }

    async fn put_new(&self, key: &str, body: Bytes, _run_id: &RunId) -> Result<Stored> {
        let (root, key) = (Arc::clone(&self.root), key.to_owned());
        blocking(move || put_new(&root, &key, &body)).await
    }

    async fn upload_new(&self, key: &str, _run_id: &RunId) -> Result<Box<dyn Upload>> {
        let (root, key) = (Arc::clone(&self.root), key.to_owned());
        Ok(Box::new(blocking(move || upload::FileUpload::begin(root, key)).await?))
    }

    async fn open(&self, key: &str) -> Result<Box<dyn ObjectReader>> {
        let (root, key) = (Arc::clone(&self.root), key.to_owned());
        Ok(Box::new(blocking(move || read::FileReader::open(&root, &key)).await?))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let (root, prefix) = (Arc::clone(&self.root), prefix.to_owned());
        blocking(move || list::list(&root, &prefix)).await
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        let (root, prefix) = (Arc::clone(&self.root), prefix.to_owned());
        blocking(move || list::folders(&root, &prefix)).await
    }

    async fn set_tags(&self, key: &str, _tags: &BTreeMap<String, String>) -> Result<()> {
        key::check(key)
    }

    async fn tags(&self, key: &str) -> Result<BTreeMap<String, String>> {
        key::check(key)?;
        Ok(BTreeMap::new())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let (root, key) = (Arc::clone(&self.root), key.to_owned());
        blocking(move || {
            root.existing()?;
            // A swap must not resurrect what is being deleted.
            let _lock = publish::lock(&root)?;
            publish::delete(&root, &key)
        })
        .await
    }

    async fn swap(&self, key: &str, expected: Option<&str>, body: Bytes) -> Result<Swap> {
        let (root, key, expected) = (Arc::clone(&self.root), key.to_owned(), expected.map(ToOwned::to_owned));
        blocking(move || swap(&root, &key, expected.as_deref(), &body)).await
    }

    async fn pending_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        let (root, prefix) = (Arc::clone(&self.root), prefix.to_owned());
        blocking(move || Ok(list::pending(&root, &prefix, before)?.len() as u64)).await
    }

    async fn sweep_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        let (root, prefix) = (Arc::clone(&self.root), prefix.to_owned());
        blocking(move || list::sweep(&root, &prefix, before)).await
    }
}
