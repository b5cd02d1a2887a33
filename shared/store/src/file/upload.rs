//! A streamed upload into a file store: one batch is written to the disk while the next is gathered.

use std::{io::Write, mem, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    ports::{Stored, Upload},
};
use tokio::task::JoinHandle;

use super::{blocking, failure::failed, publish::Unfinished, root::Root};

/// Bytes gathered before they are written; at most two batches are in memory.
const BATCH: usize = 4 * 1024 * 1024;

/// An upload under way. Dropped unfinished, it removes what it wrote.
pub(super) struct FileUpload {
    root: Arc<Root>,
    key: String,
    size: u64,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    disk: Disk,
}

enum Disk {
    Idle(Unfinished),
    Writing(JoinHandle<Result<Unfinished>>),
    Failed,
}

impl FileUpload {
    pub(super) fn begin(root: Arc<Root>, key: String) -> Result<Self> {
        root.ready()?;
        root.path_of(&key)?;
        let unfinished = Unfinished::create(&root, &key)?;
        Ok(Self { root, key, size: 0, batch: Vec::new(), batch_bytes: 0, disk: Disk::Idle(unfinished) })
    }

    /// Waits until the disk has taken the batch before this one.
    async fn idle(&mut self) -> Result<Unfinished> {
        match mem::replace(&mut self.disk, Disk::Failed) {
            Disk::Idle(unfinished) => Ok(unfinished),
            Disk::Writing(task) => task.await.or_error(ErrorKind::Unexpected, format!("write {}", self.key))?,
            Disk::Failed => Err(Error::new(ErrorKind::Store, format!("the upload of {} failed before", self.key))),
        }
    }

    async fn flush(&mut self) -> Result<()> {
        let mut unfinished = self.idle().await?;
        let batch = mem::take(&mut self.batch);
        let needed = mem::take(&mut self.batch_bytes) as u64;
        let key = self.key.clone();
        self.disk = Disk::Writing(tokio::task::spawn_blocking(move || {
            for block in batch {
                unfinished
                    .file
                    .write_all(&block)
                    .map_err(|e| failed(&format!("write {key}"), unfinished.path(), &e).needing(needed).error())?;
            }
            Ok(unfinished)
        }));
        Ok(())
    }
}

#[async_trait]
impl Upload for FileUpload {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        self.size += block.len() as u64;
        self.batch_bytes += block.len();
        self.batch.push(block);
        if self.batch_bytes >= BATCH { self.flush().await } else { Ok(()) }
    }

    async fn complete(mut self: Box<Self>) -> Result<Stored> {
        self.flush().await?;
        let unfinished = self.idle().await?;
        let (root, key) = (Arc::clone(&self.root), self.key.clone());
        blocking(move || {
            let path = root.path_of(&key)?;
            unfinished.publish_new(&root, &key, &path)
        })
        .await?;
        Ok(Stored { size: self.size, version_id: None, etag: None })
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        // Whether the last batch could be written is all the same now: what there is of the file goes with it.
        if let Disk::Writing(task) = mem::replace(&mut self.disk, Disk::Failed) {
            drop(task.await);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[tokio::test]
    async fn giving_up_after_the_disk_was_full_leaves_nothing_and_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let root = Arc::new(Root::new(folder.path().to_owned()));
        let mut upload = FileUpload::begin(Arc::clone(&root), "a/b".to_owned()).unwrap();
        let Disk::Idle(unfinished) = &mut upload.disk else { panic!("nothing was written yet") };
        let path = unfinished.path().to_owned();
        unfinished.file = File::options().write(true).open("/dev/full").unwrap();
        upload.write(Bytes::from(vec![7; BATCH])).await.unwrap();
        assert!(fs::exists(&path).is_ok());
        Box::new(upload).abort().await.unwrap();
        assert!(!fs::exists(&path).unwrap());
    }
}
