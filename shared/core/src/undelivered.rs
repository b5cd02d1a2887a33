//! Events that could not be told when they happened, kept in the control store until somebody can be told.

use bytes::Bytes;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result, ResultExt,
    events::Event,
    ports::{RunContext, Store},
};

/// The folder of the control store in which they lie.
pub const FOLDER: &str = "undelivered/";

/// The most bytes that one document may have.
const LIMIT: u64 = 16 << 20;

/// How many names are tried for one document: one run may keep several within a microsecond of its clock.
const NAMES: u32 = 100;

/// What lies under one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undelivered {
    /// Why they were not delivered.
    pub reason: String,
    /// In the order in which they happened.
    pub events: Vec<Event>,
}

/// Keeps events and gives their key, `undelivered/<time>-<run id>.json`. Durable on return.
pub async fn keep(control: &dyn Store, undelivered: &Undelivered, context: &RunContext) -> Result<String> {
    let body = Bytes::from(serde_json::to_vec(undelivered).or_error(ErrorKind::Unexpected, "write events")?);
    let time = context.clock.now().to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%S%6fZ").to_string();
    for number in 0..NAMES {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        let key = format!("{FOLDER}{time}-{}{suffix}.json", context.run_id);
        match control.put_new(&key, body.clone(), &context.run_id).await {
            Ok(_) => return Ok(key),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e.context("keep events that were not delivered")),
        }
    }
    Err(Error::new(ErrorKind::AlreadyExists, format!("{FOLDER}{time}-{}: every name is taken", context.run_id)))
}

/// The keys of everything that is kept, oldest first.
pub async fn list(control: &dyn Store) -> Result<Vec<String>> {
    let listed = control.list(FOLDER).await.map_err(|e| e.context("list events that were not delivered"))?;
    Ok(listed.into_iter().map(|o| o.key).filter(|key| key.strip_suffix(".json").is_some()).collect())
}

/// Reads what is kept under a key; `Corrupt` where it cannot be understood.
pub async fn read(control: &dyn Store, key: &str) -> Result<Undelivered> {
    let (body, _) = control.read(key, LIMIT).await?;
    serde_json::from_slice(&body).or_error(ErrorKind::Corrupt, format!("read {key}"))
}

/// Removes what has been delivered. It is no error if it is gone.
pub async fn forget(control: &dyn Store, key: &str) -> Result<()> {
    control.delete(key).await
}
