//! A streamed upload: one PUT if it is small, else parts of which one is on its way while the next one is filled.

use std::{mem, sync::Arc};

use async_trait::async_trait;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    ids::RunId,
    ports::{PART, Stored, Upload},
};
use tokio::task::{JoinHandle, JoinSet};

use super::{
    backoff::Backoff,
    bucket::{Bucket, Mark, RUN, content_type, limit_for},
    checksum::Checksum,
    failure::{Action, Failure, Fate, within},
};

/// S3's limit.
const MOST_PARTS: usize = 10_000;
/// So many parts keep their size; after them parts grow, so that 10,000 make 5 TiB.
const EQUAL_PARTS: usize = 1_000;
/// After so many more parts, parts are larger by one [`PART`].
const GROW_EVERY: usize = 37;

/// The size of the part with this index.
const fn part_size(index: usize) -> usize {
    PART * (1 + index.saturating_sub(EQUAL_PARTS).div_ceil(GROW_EVERY))
}

/// An upload under way. Dropped unfinished, it stops sending; its parts stay, unseen, until they are swept.
pub(super) struct S3Upload {
    bucket: Arc<Bucket>,
    full: String,
    run_id: RunId,
    size: u64,
    checksum: Checksum,
    buffer: BytesMut,
    beginning: Option<Beginning>,
    parts: Option<Parts>,
    /// A write failed, or was dropped on its way: some bytes are missing.
    failed: bool,
}

/// Asks for an upload's id in a task of its own: whoever stops waiting for it can still end the upload.
type Beginning = JoinHandle<Result<String>>;

/// The parts of an upload larger than one PUT.
struct Parts {
    upload_id: String,
    done: Vec<CompletedPart>,
    /// At most one; stopped when dropped.
    flying: JoinSet<Result<CompletedPart>>,
}

impl S3Upload {
    pub(super) fn begin(bucket: Arc<Bucket>, full: String, run_id: RunId) -> Self {
        Self {
            bucket,
            full,
            run_id,
            size: 0,
            checksum: Checksum::new(),
            buffer: BytesMut::new(),
            beginning: None,
            parts: None,
            failed: false,
        }
    }

    fn room(&self) -> usize {
        let index = self.parts.as_ref().map_or(0, |parts| parts.done.len() + parts.flying.len());
        part_size(index) - self.buffer.len()
    }

    /// The upload's parts, begun where there are none yet.
    async fn parts(&mut self) -> Result<&mut Parts> {
        if self.parts.is_none() {
            let beginning = self.beginning.get_or_insert_with(|| {
                let (bucket, full, run_id) = (Arc::clone(&self.bucket), self.full.clone(), self.run_id.clone());
                tokio::spawn(async move { bucket.begin_upload(&full, &run_id).await })
            });
            let begun = beginning.await;
            self.beginning = None;
            self.parts = Some(Parts::new(begun.or_error(ErrorKind::Unexpected, "begin an upload")??));
        }
        self.parts.as_mut().ok_or_else(|| Error::new(ErrorKind::Unexpected, "an upload lost its parts"))
    }

    /// Sends the buffer as the next part, once the part before it has arrived. While it waits everything stays in `self`:
    /// dropped there, the upload can still be aborted.
    async fn send_part(&mut self) -> Result<()> {
        let bucket = Arc::clone(&self.bucket);
        let parts = self.parts().await?;
        parts.land().await?;
        let index = parts.done.len();
        if index >= MOST_PARTS {
            return Err(Error::new(
                ErrorKind::Store,
                format!("{} needs more than 10,000 parts", self.bucket.place(&self.full)),
            )
            .with_hint("an object can have 5 TiB; make smaller chunks"));
        }
        let id = parts.upload_id.clone();
        let flight = bucket.buffers.flight().await?;
        let body = mem::take(&mut self.buffer).freeze();
        let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
        let full = self.full.clone();
        if let Some(parts) = &mut self.parts {
            parts.flying.spawn(async move {
                let part = bucket.put_part(&full, &id, number, &body).await;
                bucket.buffers.sent(body);
                drop(flight);
                part
            });
        }
        Ok(())
    }

    async fn write_on(&mut self, mut block: Bytes) -> Result<()> {
        self.size += block.len() as u64;
        self.checksum.update(&block);
        while !block.is_empty() {
            if self.room() == 0 {
                self.send_part().await?;
            }
            if self.buffer.capacity() == 0 {
                self.buffer = self.bucket.buffers.take(self.room());
            }
            let fits = block.split_to(block.len().min(self.room()));
            self.buffer.extend_from_slice(&fits);
        }
        Ok(())
    }

    /// Sends the last part and waits for it.
    async fn land_all(&mut self) -> Result<()> {
        self.send_part().await?;
        self.parts().await?.land().await
    }

    /// Makes the object of the parts, all of which have arrived.
    async fn put_together(&mut self) -> Result<Stored> {
        let checksum = self.checksum.text();
        let mark = Mark { metadata: (RUN, self.run_id.as_str()), size: self.size, checksum: &checksum };
        let parts = self.parts.as_mut().ok_or_else(|| Error::new(ErrorKind::Unexpected, "an upload lost its parts"))?;
        self.bucket.complete_upload(&self.full, &parts.upload_id, mem::take(&mut parts.done), &mark).await
    }

    /// Ends the upload at the store; without one there is nothing to end.
    async fn abandon(&mut self) -> Result<()> {
        if let Some(beginning) = self.beginning.take()
            && let Ok(Ok(id)) = beginning.await
        {
            self.parts = Some(Parts::new(id));
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        parts.flying.shutdown().await;
        self.bucket.abort_upload(&self.full, &parts.upload_id).await.map(|_| ())
    }

    /// The same, where another error is told.
    async fn abandon_quietly(&mut self) {
        if let Err(e) = self.abandon().await {
            tracing::debug!(key = self.full, error = %e, "the parts stay until they are swept");
        }
    }
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        self.bucket.buffers.give_back(mem::take(&mut self.buffer));
    }
}

impl Parts {
    fn new(upload_id: String) -> Self {
        Self { upload_id, done: Vec::new(), flying: JoinSet::new() }
    }

    /// Waits for the part on its way. Dropped while it waits, it loses nothing.
    async fn land(&mut self) -> Result<()> {
        if let Some(part) = self.flying.join_next().await {
            self.done.push(part.or_error(ErrorKind::Unexpected, "wait for a part")??);
        }
        Ok(())
    }
}

impl Bucket {
    /// Begins an upload in parts and returns its id. Repeating this is harmless: an upload too many is swept.
    async fn begin_upload(&self, full: &str, run_id: &RunId) -> Result<String> {
        let answer = self
            .clients
            .retrying
            .create_multipart_upload()
            .bucket(&self.name)
            .key(full)
            .metadata(RUN, run_id.as_str())
            .content_type(content_type(full))
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .send()
            .await
            .map_err(|e| self.error(Failure::of(&e), Action::WRITE, full))?;
        answer
            .upload_id
            .ok_or_else(|| Error::new(ErrorKind::Store, format!("{}: the upload got no id", self.place(full))))
    }

    /// Sends one part; sending it again replaces it, so no attempt needs to know of another.
    async fn put_part(&self, full: &str, upload_id: &str, number: i32, body: &Bytes) -> Result<CompletedPart> {
        let checksum = Checksum::of(body);
        let mut backoff = Backoff::new();
        loop {
            let request = self
                .clients
                .once
                .upload_part()
                .bucket(&self.name)
                .key(full)
                .upload_id(upload_id)
                .part_number(number)
                .checksum_crc64_nvme(&checksum)
                .body(body.clone().into());
            let limit = limit_for(body.len());
            let answer = if self.clients.tls {
                within(limit, request.customize().disable_payload_signing().send()).await
            } else {
                within(limit, request.send()).await
            };
            let failure = match answer {
                Ok(part) => match part.e_tag {
                    Some(etag) => {
                        let part =
                            CompletedPart::builder().part_number(number).e_tag(etag).checksum_crc64_nvme(checksum);
                        return Ok(part.build());
                    }
                    None => Failure::unknown("a part was answered without an ETag"),
                },
                Err(failure) => failure,
            };
            let again = matches!(failure.fate(), Fate::Again | Fate::Unknown);
            if !again || !backoff.wait().await {
                return Err(self.error(failure, Action::WRITE, full));
            }
        }
    }

    /// Makes the object of its parts, if the key is still free. Once an answer is lost, every next step first looks
    /// whether the object is there: a completed upload may answer as if it had never been.
    async fn complete_upload(
        &self,
        full: &str,
        upload_id: &str,
        parts: Vec<CompletedPart>,
        mark: &Mark<'_>,
    ) -> Result<Stored> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let mut backoff = Backoff::new();
        let mut unknown = false;
        loop {
            let request = self
                .clients
                .once
                .complete_multipart_upload()
                .bucket(&self.name)
                .key(full)
                .upload_id(upload_id)
                .multipart_upload(parts.clone())
                .checksum_crc64_nvme(mark.checksum)
                .checksum_type(ChecksumType::FullObject)
                .if_none_match("*")
                .send();
            // S3 may need minutes to put a large object together.
            let failure = match within(limit_for(PART) * 2, request).await {
                Ok(answer) => match answer.e_tag {
                    Some(etag) => {
                        return Ok(Stored { size: mark.size, version_id: answer.version_id, etag: Some(etag) });
                    }
                    None => Failure::unknown("the upload was completed without an ETag"),
                },
                Err(failure) => failure,
            };
            match failure.fate() {
                Fate::Taken if !unknown => return Err(self.exists_already(full)),
                Fate::Taken => return self.find_own(full, mark).await?.ok_or_else(|| self.exists_already(full)),
                Fate::Final if unknown && failure.has_code("NoSuchUpload") => {
                    let own = self.find_own(full, mark).await?;
                    return own.ok_or_else(|| self.error(failure, Action::WRITE, full));
                }
                Fate::Final => return Err(self.error(failure, Action::WRITE, full)),
                Fate::Unknown => unknown = true,
                Fate::Again => {}
            }
            tracing::debug!(key = full, failure = ?failure, "complete the upload again");
            if !backoff.wait().await {
                return Err(self.error(failure, Action::WRITE, full));
            }
            if unknown && let Some(own) = self.find_own(full, mark).await? {
                return Ok(own);
            }
        }
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, block: Bytes) -> Result<()> {
        if self.failed {
            return Err(Error::new(
                ErrorKind::Store,
                format!("the upload of {} failed before", self.bucket.place(&self.full)),
            ));
        }
        // Should this be dropped while it waits, the rest of the block is lost.
        self.failed = true;
        let written = self.write_on(block).await;
        self.failed = written.is_err();
        written
    }

    async fn complete(mut self: Box<Self>) -> Result<Stored> {
        if self.failed {
            self.abandon_quietly().await;
            return Err(Error::new(
                ErrorKind::Store,
                format!("the upload of {} failed before", self.bucket.place(&self.full)),
            ));
        }
        if self.parts.is_none() {
            let body = mem::take(&mut self.buffer).freeze();
            let stored = self.bucket.put_new(&self.full, body.clone(), &self.run_id).await;
            self.bucket.buffers.sent(body);
            return stored;
        }
        if let Err(e) = self.land_all().await {
            self.abandon_quietly().await;
            return Err(e);
        }
        let done = self.put_together().await;
        // The key is another's: nobody will complete these parts. After any other failure they may yet become ours.
        if done.as_ref().is_err_and(|e| e.kind() == ErrorKind::AlreadyExists) {
            self.abandon_quietly().await;
        }
        done
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.abandon().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_five_tebibytes() {
        let most: u64 = (0..MOST_PARTS).map(|index| part_size(index) as u64).sum();
        assert!(most >= 5 << 40, "{most}");
        assert!((0..MOST_PARTS).all(|index| (5 << 20..=5 << 30).contains(&part_size(index))));
    }

    #[test]
    fn the_first_thousand_parts_are_small() {
        assert!((0..=EQUAL_PARTS).all(|index| part_size(index) == PART));
        assert_eq!(part_size(EQUAL_PARTS + 1), 2 * PART);
    }
}
