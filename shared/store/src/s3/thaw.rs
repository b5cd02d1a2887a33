//! Objects in archive storage classes: whether they can be read, and asking for a copy that can.

use aws_sdk_s3::types::{GlacierJobParameters, RestoreRequest, StorageClass, Tier};
use lifeboat_core::{Error, ErrorKind, Result, ports::Thaw};

use super::{
    bucket::Bucket,
    failure::{Action, Failure},
};

/// How an object stands.
enum Standing {
    Readable,
    Underway,
    Frozen,
}

impl Bucket {
    async fn standing(&self, full: &str) -> Result<Standing> {
        let head = self.clients.retrying.head_object().bucket(&self.name).key(full);
        let object = head.send().await.map_err(|e| self.error(Failure::of(&e), Action::READ, full))?;
        let archived = matches!(object.storage_class(), Some(StorageClass::Glacier | StorageClass::DeepArchive));
        // `ongoing-request="true"`, or `ongoing-request="false", expiry-date="…"` once the copy is there.
        Ok(match object.restore() {
            _ if !archived => Standing::Readable,
            Some(restore) if restore.contains("ongoing-request=\"false\"") => Standing::Readable,
            Some(_) => Standing::Underway,
            None => Standing::Frozen,
        })
    }

    pub(super) async fn is_readable(&self, full: &str) -> Result<bool> {
        Ok(matches!(self.standing(full).await?, Standing::Readable))
    }

    pub(super) async fn thaw(&self, full: &str, days: u32) -> Result<Thaw> {
        match self.standing(full).await? {
            Standing::Readable => return Ok(Thaw::Readable),
            Standing::Underway => return Ok(Thaw::Underway),
            Standing::Frozen => {}
        }
        let wrong = |e| Error::new(ErrorKind::Unexpected, format!("ask for a thaw of {full}: {e}"));
        let way = GlacierJobParameters::builder().tier(Tier::Standard).build().map_err(wrong)?;
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let wish = RestoreRequest::builder().days(days).glacier_job_parameters(way).build();
        let request = self.clients.retrying.restore_object().bucket(&self.name).key(full).restore_request(wish);
        match request.send().await.map_err(|e| Failure::of(&e)) {
            Ok(_) => Ok(Thaw::Underway),
            // Somebody else asked in this moment.
            Err(failure) if failure.has_code("RestoreAlreadyInProgress") => Ok(Thaw::Underway),
            Err(failure) => Err(self.error(failure, Action::THAW, full)),
        }
    }
}
