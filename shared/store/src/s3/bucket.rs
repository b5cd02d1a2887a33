//! One bucket and prefix, and the conditional writes into it: exactly one writer wins, and a lost answer is looked up.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use aws_sdk_s3::{
    operation::{
        head_object::HeadObjectOutput,
        put_object::{PutObjectOutput, builders::PutObjectFluentBuilder},
    },
    primitives::ByteStream,
    types::ChecksumMode,
};
use bytes::Bytes;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ids::RunId,
    ports::{Stored, Swap},
};

use super::{
    backoff::Backoff,
    buffers::Buffers,
    checksum::Checksum,
    client::Clients,
    failure::{Action, Failure, Fate, within},
};
use crate::key;

/// Object metadata: which run wrote the object.
pub(super) const RUN: &str = "lifeboat-run";
/// Object metadata: which swap wrote the object.
const SWAP: &str = "lifeboat-swap";

/// For an answer to a request without a body.
const ANSWER: Duration = Duration::from_mins(1);
/// The slowest way up that is still served; AWS itself drops slower ones.
const SLOWEST_BYTES_PER_SECOND: u64 = 64 * 1024;

/// How long one attempt to send a body may take.
pub(super) fn limit_for(bytes: usize) -> Duration {
    ANSWER + Duration::from_secs(bytes as u64 / SLOWEST_BYTES_PER_SECOND)
}

/// By what we know an object as our own.
pub(super) struct Mark<'a> {
    pub(super) metadata: (&'static str, &'a str),
    pub(super) size: u64,
    pub(super) checksum: &'a str,
}

impl Mark<'_> {
    fn is_on(&self, object: &HeadObjectOutput) -> bool {
        let (name, value) = self.metadata;
        object.metadata().and_then(|all| all.get(name)).is_some_and(|found| found == value)
            && object.content_length().is_some_and(|size| u64::try_from(size) == Ok(self.size))
            && object.checksum_crc64_nvme().is_none_or(|sum| sum == self.checksum)
    }
}

/// A bucket and a prefix in it.
pub(super) struct Bucket {
    pub(super) clients: Clients,
    pub(super) name: String,
    /// Empty, or ending with '/'.
    prefix: String,
    pub(super) stall_timeout: Duration,
    /// Together they name each swap of this process, so that it recognises its own.
    instance: u64,
    swaps: AtomicU64,
    pub(super) buffers: Buffers,
}

impl Bucket {
    pub(super) fn new(clients: Clients, name: String, prefix: &str, stall_timeout: Duration) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self {
            clients,
            name,
            prefix,
            stall_timeout,
            instance: rand::random(),
            swaps: AtomicU64::new(0),
            buffers: Buffers::default(),
        }
    }

    /// The key in the bucket; refuses what is no key.
    pub(super) fn key_of(&self, key: &str) -> Result<String> {
        key::check(key)?;
        Ok(self.below(key))
    }

    /// A prefix already checked, in the bucket.
    pub(super) fn below(&self, prefix: &str) -> String {
        format!("{}{prefix}", self.prefix)
    }

    /// The other way: a key in the bucket, relative to the store.
    pub(super) fn relative(&self, full: &str) -> Option<String> {
        full.strip_prefix(&self.prefix).map(ToOwned::to_owned)
    }

    /// What messages call an object.
    pub(super) fn place(&self, full: &str) -> String {
        format!("s3://{}/{full}", self.name)
    }

    pub(super) fn error(&self, failure: Failure, action: Action, full: &str) -> Error {
        failure.into_error(action, &self.place(full))
    }

    pub(super) fn exists_already(&self, full: &str) -> Error {
        Error::new(ErrorKind::AlreadyExists, format!("{} exists already", self.place(full)))
    }

    /// Writes a new object in one piece. Only a call whose own attempt may have happened takes what it finds for its
    /// own; so of two calls with the same bytes, even by one run, one loses.
    pub(super) async fn put_new(&self, full: &str, body: Bytes, run_id: &RunId) -> Result<Stored> {
        let checksum = Checksum::of(&body);
        let size = body.len() as u64;
        let mark = Mark { metadata: (RUN, run_id.as_str()), size, checksum: &checksum };
        let mut backoff = Backoff::new();
        let mut unknown = false;
        loop {
            let request = self.put(full, &body, &mark).if_none_match("*");
            let failure = match self.send(request, body.len()).await {
                Ok(answer) => return Ok(stored(size, &answer)),
                Err(failure) => failure,
            };
            match failure.fate() {
                Fate::Taken if !unknown => return Err(self.exists_already(full)),
                Fate::Taken => {
                    return self.find_own(full, &mark).await?.ok_or_else(|| self.exists_already(full));
                }
                Fate::Final => return Err(self.error(failure, Action::WRITE, full)),
                Fate::Unknown => unknown = true,
                Fate::Again => {}
            }
            tracing::debug!(key = full, failure = ?failure, "write again");
            if !backoff.wait().await {
                return Err(self.error(failure, Action::WRITE, full));
            }
        }
    }

    /// Compare-and-swap.
    pub(super) async fn swap(&self, full: &str, expected: Option<&str>, body: Bytes) -> Result<Swap> {
        let checksum = Checksum::of(&body);
        let size = body.len() as u64;
        let name = format!("{:016x}-{}", self.instance, self.swaps.fetch_add(1, Ordering::Relaxed));
        let mark = Mark { metadata: (SWAP, &name), size, checksum: &checksum };
        let mut backoff = Backoff::new();
        let mut unknown = false;
        loop {
            let request = self.put(full, &body, &mark);
            let request = match expected {
                Some(etag) => request.if_match(etag),
                None => request.if_none_match("*"),
            };
            let failure = match self.send(request, body.len()).await {
                Ok(answer) => return Ok(Swap::Done(stored(size, &answer))),
                Err(failure) => failure,
            };
            let lost = match failure.fate() {
                Fate::Taken => true,
                // There is no object whose etag could match; but a missing bucket is an error.
                Fate::Final if failure.is_missing() && expected.is_some() && !failure.has_code("NoSuchBucket") => true,
                Fate::Final => return Err(self.error(failure, Action::WRITE, full)),
                Fate::Unknown => {
                    unknown = true;
                    false
                }
                Fate::Again => false,
            };
            if lost {
                let own = if unknown { self.find_own(full, &mark).await? } else { None };
                return Ok(own.map_or(Swap::Lost, Swap::Done));
            }
            if !backoff.wait().await {
                return Err(self.error(failure, Action::WRITE, full));
            }
        }
    }

    fn put(&self, full: &str, body: &Bytes, mark: &Mark<'_>) -> PutObjectFluentBuilder {
        self.clients
            .once
            .put_object()
            .bucket(&self.name)
            .key(full)
            .metadata(mark.metadata.0, mark.metadata.1)
            .checksum_crc64_nvme(mark.checksum)
            .content_type(content_type(full))
            .body(ByteStream::from(body.clone()))
    }

    async fn send(&self, request: PutObjectFluentBuilder, bytes: usize) -> Result<PutObjectOutput, Failure> {
        if self.clients.tls {
            within(limit_for(bytes), Box::pin(request.customize().disable_payload_signing().send())).await
        } else {
            within(limit_for(bytes), Box::pin(request.send())).await
        }
    }

    /// Looks whether the object there is the one an attempt of ours wrote, whose answer was lost.
    ///
    /// HEAD takes the right to read, which the role that makes backups has for manifests but not for archives (DESIGN
    /// §10). There the listing must do: the key holds the random id of a backup that only this run writes, S3 stored
    /// nothing whose checksum did not fit, and the size is ours.
    pub(super) async fn find_own(&self, full: &str, mark: &Mark<'_>) -> Result<Option<Stored>> {
        let head = self
            .clients
            .retrying
            .head_object()
            .bucket(&self.name)
            .key(full)
            .checksum_mode(ChecksumMode::Enabled)
            .send();
        match within(ANSWER * 3, head).await {
            Ok(object) => Ok(mark.is_on(&object).then(|| Stored {
                size: mark.size,
                version_id: object.version_id().map(ToOwned::to_owned),
                etag: object.e_tag().map(ToOwned::to_owned),
            })),
            Err(failure) if failure.is_missing() => Ok(None),
            Err(failure) if failure.is_denied() => {
                let list = self.clients.retrying.list_objects_v2().bucket(&self.name).prefix(full).max_keys(1).send();
                let page = within(ANSWER * 3, list).await.map_err(|f| self.error(f, Action::LIST, full))?;
                let found = page.contents().iter().find(|object| {
                    object.key() == Some(full) && object.size().is_some_and(|size| u64::try_from(size) == Ok(mark.size))
                });
                Ok(found.map(|object| Stored {
                    size: mark.size,
                    version_id: None,
                    etag: object.e_tag().map(ToOwned::to_owned),
                }))
            }
            Err(failure) => Err(self.error(failure, Action::READ, full)),
        }
    }
}

fn stored(size: u64, answer: &PutObjectOutput) -> Stored {
    Stored { size, version_id: answer.version_id().map(ToOwned::to_owned), etag: answer.e_tag().map(ToOwned::to_owned) }
}

/// So that a browser shows the status page and the reports instead of saving them.
pub(super) fn content_type(key: &str) -> &'static str {
    match key.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("json") => "application/json",
        Some("html") => "text/html; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        _ => "application/octet-stream",
    }
}
