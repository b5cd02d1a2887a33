//! The store in an S3 bucket: conditional writes, streamed multipart uploads, reads that resume, tags for lifecycle rules.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_s3::types::{Tag, Tagging};
use bytes::Bytes;
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ids::RunId,
    ports::{Listed, ObjectReader, Removal, Store, Stored, Swap, Thaw, Upload},
};

mod backoff;
mod bucket;
mod buffers;
mod checksum;
mod client;
mod failure;
mod list;
mod read;
mod thaw;
mod upload;

use bucket::Bucket;
pub use client::S3Settings;
use failure::{Action, Failure};

const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A store in a bucket of S3, or of a server that speaks like it.
///
/// Promises beyond the port's: every write carries a CRC-64/NVME of the whole object, which the server checks; failed
/// calls are repeated for about 90 seconds; a body is sent at no less than 64 KiB/s or counts as failed. An upload that
/// is dropped instead of aborted leaves its parts in the bucket, unseen, until `sweep_uploads` or a lifecycle rule
/// removes them.
pub struct S3Store {
    url: String,
    bucket: Arc<Bucket>,
}

impl S3Store {
    /// A store below `prefix` in `bucket`; `url` is what messages and reports call it.
    pub async fn connect(url: &str, bucket: String, prefix: String, settings: &S3Settings) -> Result<Self> {
        let clients = client::connect(settings).await?;
        let stall_timeout = settings.stall_timeout.unwrap_or(STALL_TIMEOUT);
        Ok(Self { url: url.to_owned(), bucket: Arc::new(Bucket::new(clients, bucket, &prefix, stall_timeout)) })
    }

    async fn probe_conditions(&self, run_id: &RunId) -> Result<()> {
        // Tells a missing bucket, a missing right and wrong credentials apart, before anything is written.
        self.bucket.check_listing().await?;
        let key = format!(".control/probe/{run_id}");
        let full = self.bucket.key_of(&key)?;
        let once = |body: &'static str| self.bucket.put_new(&full, Bytes::from_static(body.as_bytes()), run_id);
        let first = once("first").await;
        let second = match first {
            Ok(_) => once("second!").await.map(|_| ()),
            // An earlier probe of this run left it, and it was not overwritten: that is the proof.
            Err(e) => Err(e),
        };
        // The right to delete is welcome here, but most roles have none, and need none.
        if let Err(e) = self.delete(&key).await {
            tracing::debug!(key, error = %e, "the probe's object stays");
        }
        match second {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
            Ok(()) => Err(Error::new(
                ErrorKind::Store,
                "the store ignores If-None-Match: a second write replaced the first",
            )
            .with_hint(
                "backups there could be overwritten; use AWS S3 or a server with conditional writes (MinIO since 2024)",
            )),
        }
    }
}

#[async_trait]
impl Store for S3Store {
    fn url(&self) -> &str {
        &self.url
    }

    fn removal(&self) -> Removal {
        Removal::TagForLifecycle
    }

    async fn probe(&self, run_id: &RunId) -> Result<()> {
        self.probe_conditions(run_id).await.map_err(|e| e.context(format!("probe {}", self.url)))
    }

    async fn put_new(&self, key: &str, body: Bytes, run_id: &RunId) -> Result<Stored> {
        self.bucket.put_new(&self.bucket.key_of(key)?, body, run_id).await
    }

    async fn upload_new(&self, key: &str, run_id: &RunId) -> Result<Box<dyn Upload>> {
        let full = self.bucket.key_of(key)?;
        Ok(Box::new(upload::S3Upload::begin(Arc::clone(&self.bucket), full, run_id.clone())))
    }

    async fn open(&self, key: &str) -> Result<Box<dyn ObjectReader>> {
        let full = self.bucket.key_of(key)?;
        Ok(Box::new(read::S3Reader::open(Arc::clone(&self.bucket), full).await?))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.bucket.list(prefix).await
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        self.bucket.folders(prefix).await
    }

    async fn thaw(&self, key: &str, days: u32) -> Result<Thaw> {
        self.bucket.thaw(&self.bucket.key_of(key)?, days).await
    }

    async fn is_readable(&self, key: &str) -> Result<bool> {
        self.bucket.is_readable(&self.bucket.key_of(key)?).await
    }

    async fn set_tags(&self, key: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        let full = self.bucket.key_of(key)?;
        let tags = tags
            .iter()
            .map(|(name, value)| Tag::builder().key(name).value(value).build())
            .collect::<Result<Vec<_>, _>>()
            .and_then(|tags| Tagging::builder().set_tag_set(Some(tags)).build())
            .map_err(|e| Error::new(ErrorKind::Usage, format!("tag {key}: {e}")))?;
        let client = &self.bucket.clients.retrying;
        let request = client.put_object_tagging().bucket(&self.bucket.name).key(&full).tagging(tags);
        request.send().await.map_err(|e| self.bucket.error(Failure::of(&e), Action::SET_TAGS, &full))?;
        Ok(())
    }

    async fn tags(&self, key: &str) -> Result<BTreeMap<String, String>> {
        let full = self.bucket.key_of(key)?;
        let request = self.bucket.clients.retrying.get_object_tagging().bucket(&self.bucket.name).key(&full);
        let answer = request.send().await.map_err(|e| self.bucket.error(Failure::of(&e), Action::GET_TAGS, &full))?;
        Ok(answer.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let full = self.bucket.key_of(key)?;
        let request = self.bucket.clients.retrying.delete_object().bucket(&self.bucket.name).key(&full);
        match request.send().await.map_err(|e| Failure::of(&e)) {
            Ok(_) => Ok(()),
            Err(failure) if failure.has_code("NoSuchKey") => Ok(()),
            Err(failure) => Err(self.bucket.error(failure, Action::DELETE, &full)),
        }
    }

    async fn swap(&self, key: &str, expected: Option<&str>, body: Bytes) -> Result<Swap> {
        self.bucket.swap(&self.bucket.key_of(key)?, expected, body).await
    }

    async fn pending_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        Ok(self.bucket.pending_uploads(prefix, before).await?.len() as u64)
    }

    async fn sweep_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        self.bucket.sweep_uploads(prefix, before).await
    }
}
