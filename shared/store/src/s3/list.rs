//! Lists what lies in a bucket below the store's prefix, and aborts uploads nobody will finish.

use aws_sdk_s3::primitives::DateTime;
use jiff::Timestamp;
use lifeboat_core::{Result, ports::Listed};

use super::{
    bucket::Bucket,
    failure::{Action, Failure},
};
use crate::key;

impl Bucket {
    /// One cheap call that fails as every later one would.
    pub(super) async fn check_listing(&self) -> Result<()> {
        let prefix = self.below("");
        let request = self.clients.retrying.list_objects_v2().bucket(&self.name).prefix(&prefix).max_keys(1);
        request.send().await.map_err(|e| self.error(Failure::of(&e), Action::LIST, &prefix))?;
        Ok(())
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        key::check_prefix(prefix)?;
        let full = self.below(prefix);
        let request = self.clients.retrying.list_objects_v2().bucket(&self.name).prefix(&full);
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| self.error(Failure::of(&e), Action::LIST, &full))?;
            for object in page.contents() {
                // Consoles make "folders" of empty objects whose key ends with '/'; they are none of ours.
                let Some(key) = object
                    .key()
                    .and_then(|key| self.relative(key))
                    .filter(|key| !key.ends_with('/') && !key.is_empty())
                else {
                    continue;
                };
                found.push(Listed {
                    key,
                    size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                    modified: object.last_modified().map(time_of).unwrap_or_default(),
                    storage_class: object.storage_class().map_or("STANDARD", |class| class.as_str()).to_owned(),
                });
            }
        }
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    pub(super) async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        key::check_folder(prefix)?;
        let full = self.below(prefix);
        let request = self.clients.retrying.list_objects_v2().bucket(&self.name).prefix(&full).delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| self.error(Failure::of(&e), Action::LIST, &full))?;
            let found = page.common_prefixes().iter().filter_map(|common| common.prefix());
            names.extend(
                found
                    .filter_map(|folder| folder.strip_prefix(&full))
                    .map(|name| name.trim_end_matches('/').to_owned())
                    .filter(|name| !name.is_empty()),
            );
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Unfinished uploads begun before a time: key and upload id of each. `MinIO` lists an upload only for its exact key,
    /// so that there a prefix finds none; it ends stale uploads by itself after a day.
    pub(super) async fn pending_uploads(&self, prefix: &str, before: Timestamp) -> Result<Vec<(String, String)>> {
        key::check_prefix(prefix)?;
        let full = self.below(prefix);
        let client = &self.clients.retrying;
        let (mut key_marker, mut upload_marker) = (None, None);
        let mut pending = Vec::new();
        loop {
            let page = client
                .list_multipart_uploads()
                .bucket(&self.name)
                .prefix(&full)
                .set_key_marker(key_marker)
                .set_upload_id_marker(upload_marker)
                .send()
                .await
                .map_err(|e| self.error(Failure::of(&e), Action::LIST_UPLOADS, &full))?;
            for upload in page.uploads() {
                if let (Some(key), Some(id), Some(begun)) = (upload.key(), upload.upload_id(), upload.initiated())
                    && time_of(begun) < before
                {
                    pending.push((key.to_owned(), id.to_owned()));
                }
            }
            if page.is_truncated() != Some(true) || page.next_key_marker().is_none() {
                return Ok(pending);
            }
            key_marker = page.next_key_marker().map(ToOwned::to_owned);
            upload_marker = page.next_upload_id_marker().map(ToOwned::to_owned);
        }
    }

    /// Aborts unfinished uploads; those that are gone by then do not count.
    pub(super) async fn sweep_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        let mut swept = 0;
        for (key, id) in self.pending_uploads(prefix, before).await? {
            swept += u64::from(self.abort_upload(&key, &id).await?);
        }
        Ok(swept)
    }

    /// Ends one upload; `false` if it was gone.
    pub(super) async fn abort_upload(&self, full: &str, id: &str) -> Result<bool> {
        let request = self.clients.retrying.abort_multipart_upload().bucket(&self.name).key(full).upload_id(id);
        match request.send().await.map_err(|e| Failure::of(&e)) {
            Ok(_) => Ok(true),
            Err(failure) if failure.has_code("NoSuchUpload") => Ok(false),
            Err(failure) => Err(self.error(failure, Action::ABORT, full)),
        }
    }
}

fn time_of(time: &DateTime) -> Timestamp {
    let nanoseconds = i32::try_from(time.subsec_nanos()).unwrap_or(0);
    Timestamp::new(time.secs(), nanoseconds).unwrap_or_default()
}
