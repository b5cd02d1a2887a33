//! What came through the queue and is no event: the queue gives it up after some tries, and people have to hear of that.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    again::TRIED_FOR,
    record::{FORMAT_VERSION, Undelivered},
};
use crate::{
    ErrorKind, Result, ResultExt,
    ports::{RunContext, Store},
};

/// Below the folder of messages, with which they are forgotten.
pub(super) const FOLDER: &str = "messages/unreadable/";
/// So many are read; what comes in such numbers has one reason.
const MOST: usize = 100;
const LIMIT: u64 = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct Unreadable {
    format_version: u32,
    message_id: String,
    at: Timestamp,
    error: String,
}

/// Puts on record that a message of the queue cannot be worked off. Once: later tries change nothing.
pub async fn note_unreadable(
    control: &dyn Store,
    message_id: &str,
    error: &crate::Error,
    context: &RunContext,
) -> Result<()> {
    let record = Unreadable {
        format_version: FORMAT_VERSION,
        message_id: message_id.to_owned(),
        at: context.clock.now(),
        error: error.to_string(),
    };
    let body = serde_json::to_vec_pretty(&record).or_error(ErrorKind::Unexpected, "write a record")?;
    // Ids of SQS fit a key; what somebody makes up may not.
    let name: String = message_id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(80).collect();
    match control.put_new(&format!("{FOLDER}{name}.json"), Bytes::from(body), &context.run_id).await {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e.context("put a message on record")),
        _ => Ok(()),
    }
}

/// All of the last week, in the words of what is undelivered.
pub(super) async fn unreadable(control: &dyn Store, now: Timestamp) -> Result<Vec<Undelivered>> {
    let mut found = Vec::new();
    let listed = control.list(FOLDER).await?.into_iter().filter(|one| now.duration_since(one.modified) <= TRIED_FOR);
    for listed in listed.take(MOST) {
        let record: Unreadable = match control.read(&listed.key, LIMIT).await {
            Ok((bytes, _)) => match serde_json::from_slice(&bytes) {
                Ok(record) => record,
                Err(_) => continue,
            },
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(e.context("read a message's record")),
        };
        let why = format!("{}; after its last try it lies in the dead-letter queue", record.error);
        found.push(Undelivered {
            message_id: record.message_id,
            subject: "an event on the bus that is none of Lifeboat's".to_owned(),
            at: record.at,
            databases: BTreeSet::new(),
            channels: BTreeMap::from([("alert".to_owned(), why)]),
        });
    }
    Ok(found)
}
