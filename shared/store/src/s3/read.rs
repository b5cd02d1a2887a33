//! Reads an object as a stream that survives cuts and stalls: what is missing is asked for again, of the same object.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::{
    operation::get_object::{GetObjectOutput, builders::GetObjectFluentBuilder},
    primitives::ByteStream,
};
use bytes::Bytes;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{ObjectReader, Stored},
};

use super::{
    backoff::Backoff,
    bucket::Bucket,
    failure::{Action, Failure, Fate},
};

/// The port's limit.
const LARGEST_BLOCK: usize = 1024 * 1024;
/// Attempts in a row that bring not one byte.
const FRUITLESS: u32 = 6;

/// An object being read.
pub(super) struct S3Reader {
    bucket: Arc<Bucket>,
    full: String,
    stored: Stored,
    /// Bytes received.
    position: u64,
    /// Received, but not handed out yet.
    spare: Bytes,
    body: Option<ByteStream>,
}

impl S3Reader {
    pub(super) async fn open(bucket: Arc<Bucket>, full: String) -> Result<Self> {
        let answer =
            request(&bucket, &full).send().await.map_err(|e| bucket.error(Failure::of(&e), Action::READ, &full))?;
        let Some(size) = answer.content_length().and_then(|size| u64::try_from(size).ok()) else {
            return Err(Error::new(ErrorKind::Store, format!("{} came without a length", bucket.place(&full))));
        };
        let stored = Stored {
            size,
            version_id: answer.version_id().map(ToOwned::to_owned),
            etag: answer.e_tag().map(ToOwned::to_owned),
        };
        Ok(Self { bucket, full, stored, position: 0, spare: Bytes::new(), body: Some(answer.body) })
    }

    /// Waits for bytes; says why when they stop coming.
    async fn receive(&mut self) -> Result<Bytes, String> {
        let Some(body) = &mut self.body else { return Err("not connected".to_owned()) };
        // Only the waiting counts: a slow reader of ours is no stall.
        match tokio::time::timeout(self.bucket.stall_timeout, body.next()).await {
            Ok(Some(Ok(bytes))) => Ok(bytes),
            Ok(Some(Err(e))) => Err(format!("the connection was cut: {e}")),
            Ok(None) => Err("the answer ended early".to_owned()),
            Err(_) => Err(format!("no byte came for {} s", self.bucket.stall_timeout.as_secs_f32())),
        }
    }

    /// Asks for the rest, from where the stream broke off.
    async fn resume(&mut self) -> Result<(), Failure> {
        let mut rest = request(&self.bucket, &self.full);
        if let Some(etag) = &self.stored.etag {
            rest = rest.if_match(etag);
        }
        if self.position > 0 {
            rest = rest.range(format!("bytes={}-", self.position));
        }
        let answer = rest.send().await.map_err(|e| Failure::of(&e))?;
        if !self.continues(&answer) {
            return Err(Failure::unknown("the server did not answer with the range that was asked for"));
        }
        self.body = Some(answer.body);
        Ok(())
    }

    fn continues(&self, answer: &GetObjectOutput) -> bool {
        let left = answer.content_length().and_then(|left| u64::try_from(left).ok());
        let range = answer.content_range().unwrap_or_default();
        left == Some(self.stored.size - self.position)
            && (self.position == 0 || range.starts_with(&format!("bytes {}-", self.position)))
    }

    fn broken(&self, why: &str) -> Error {
        Error::new(
            ErrorKind::Store,
            format!(
                "read {}: stopped at {} of {} bytes and could not go on: {why}",
                self.bucket.place(&self.full),
                self.position,
                self.stored.size
            ),
        )
    }
}

fn request(bucket: &Bucket, full: &str) -> GetObjectFluentBuilder {
    bucket.clients.retrying.get_object().bucket(&bucket.name).key(full)
}

#[async_trait]
impl ObjectReader for S3Reader {
    fn stored(&self) -> &Stored {
        &self.stored
    }

    async fn next_block(&mut self) -> Result<Option<Bytes>> {
        let mut backoff = Backoff::new();
        let mut fruitless = 0;
        while self.spare.is_empty() {
            if self.position == self.stored.size {
                return Ok(None);
            }
            let why = match self.receive().await {
                Ok(bytes) => {
                    self.position += bytes.len() as u64;
                    if self.position > self.stored.size {
                        return Err(self.broken("more bytes came than the object has"));
                    }
                    self.spare = bytes;
                    continue;
                }
                Err(why) => why,
            };
            self.body = None;
            fruitless += 1;
            if fruitless > FRUITLESS || (fruitless > 1 && !backoff.wait().await) {
                return Err(self.broken(&why));
            }
            tracing::debug!(key = self.full, position = self.position, why, "resume reading");
            match self.resume().await {
                Ok(()) => {}
                Err(failure) => match failure.fate() {
                    Fate::Again | Fate::Unknown => {}
                    Fate::Taken => return Err(self.broken("the object was replaced meanwhile")),
                    Fate::Final => return Err(self.bucket.error(failure, Action::READ, &self.full)),
                },
            }
        }
        let block = self.spare.split_to(self.spare.len().min(LARGEST_BLOCK));
        Ok(Some(block))
    }
}
