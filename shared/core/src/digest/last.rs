//! What is on record of the last digest: `digest/last.json` in the control store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ErrorKind, Result, ResultExt, ids::DatabaseSlug, incidents::Claim, ports::Store};

/// Its key.
pub(super) const KEY: &str = "digest/last.json";
const LIMIT: u64 = 8 << 20;

/// The last digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDigest {
    /// The version of this record.
    pub format_version: u32,
    /// When it was due.
    pub due: Timestamp,
    /// When one was last sent; none where none was sent since digests are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// Since when digests are wanted.
    pub wanted_since: Timestamp,
    /// The run that is about to send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Bytes stored per database, as the last digest that was sent told.
    #[serde(default)]
    pub stored_bytes: BTreeMap<DatabaseSlug, u64>,
}

impl LastDigest {
    /// Since when people wait for the next digest: that of the last one, or the moment since which they are wanted.
    pub fn waiting_since(&self) -> Timestamp {
        self.sent_at.unwrap_or(self.wanted_since)
    }
}

/// Reads it; none where digests were never wanted, or nothing has run since.
pub async fn last(control: &dyn Store) -> Result<Option<LastDigest>> {
    Ok(read(control).await?.map(|(last, _)| last))
}

pub(super) async fn read(control: &dyn Store) -> Result<Option<(LastDigest, Option<String>)>> {
    match control.read(KEY, LIMIT).await {
        Ok((bytes, stored)) => {
            let last = serde_json::from_slice(&bytes).or_error(ErrorKind::Corrupt, "read the last digest")?;
            Ok(Some((last, stored.etag)))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.context("read the last digest")),
    }
}
