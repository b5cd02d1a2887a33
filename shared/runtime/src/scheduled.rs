//! Makes a scheduled run happen once, although its request may be delivered several times.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{
    Error, ErrorKind, Result,
    ids::DatabaseSlug,
    lease::{claim_run, holder, run_key},
    ports::{RunContext, Store},
};
use serde::Serialize;
use serde_json::Value;

use crate::{requests::Answer, telling::Told};

/// The most bytes that an answer on record may have.
const ANSWER_LIMIT: u64 = 4 << 20;

/// No function runs longer than this: AWS ends it.
const LONGEST_RUN: SignedDuration = SignedDuration::from_mins(15);

/// A run that holds a lease has it by now, or is dead.
const LEASE_BY_NOW: SignedDuration = SignedDuration::from_mins(1);

/// One scheduled run of one operation.
pub(crate) struct Scheduled<'a> {
    pub(crate) control: &'a dyn Store,
    pub(crate) operation: &'a str,
    pub(crate) database: &'a DatabaseSlug,
    pub(crate) at: Timestamp,
    /// Whether the operation holds the database's lease, by which a dead run is told from a running one.
    pub(crate) leased: bool,
}

impl Scheduled<'_> {
    fn key(&self) -> String {
        run_key(self.operation, self.database, self.at)
    }

    /// Runs `work` unless that was done. A run that fails gives its claim back, so that the next delivery tries again; a
    /// run that died without a word is taken over.
    pub(crate) async fn once<T: Serialize>(
        &self,
        context: &RunContext,
        work: impl Future<Output = Result<Told<T>>>,
    ) -> Result<Told<Answer<T>>> {
        if !claim_run(self.control, self.operation, self.database, self.at, context).await?
            && let Some(answer) = self.earlier(context).await?
        {
            return Ok(Told::nothing(answer));
        }
        match work.await {
            Ok(done) => {
                let record = serde_json::to_vec(&done.answer).unwrap_or_default();
                let key = format!("{}.answer.json", self.key());
                if let Err(error) = self.control.put_new(&key, Bytes::from(record), &context.run_id).await {
                    tracing::warn!(%error, key, "the answer was not recorded; a second delivery would run again");
                }
                Ok(done.map(Answer::Done))
            }
            Err(error) => {
                if let Err(again) = self.control.delete(&self.key()).await {
                    tracing::warn!(error = %again, key = self.key(), "the claim on the failed run was not given back");
                }
                Err(error)
            }
        }
    }

    /// What became of the run that holds the claim; `None` where it died and is to be taken over.
    async fn earlier<T>(&self, context: &RunContext) -> Result<Option<Answer<T>>> {
        match self.control.read(&format!("{}.answer.json", self.key()), ANSWER_LIMIT).await {
            Ok((bytes, _)) => {
                let earlier: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                return Ok(Some(Answer::AlreadyDone { earlier }));
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e.context("read what the run answered before")),
        }
        let key = self.key();
        let listed = self.control.list(&key).await?;
        let claimed = listed.iter().find(|o| o.key == key).map(|o| o.modified);
        let now = context.clock.now();
        let age = claimed.map_or(SignedDuration::MAX, |at| now.duration_since(at));
        let alive = if self.leased {
            age < LEASE_BY_NOW || holder(self.control, self.database, now).await?.is_some()
        } else {
            age < LONGEST_RUN
        };
        if !alive {
            tracing::warn!(key, "the earlier run of this time died; taking it over");
        }
        Ok(alive.then_some(Answer::AlreadyRunning))
    }
}

/// An error as a program sees it, wherever it is printed.
pub fn error_document(error: &Error) -> Value {
    serde_json::json!({
        "error": { "kind": error.kind().name(), "message": error.to_string(), "hint": error.hint() }
    })
}

#[cfg(test)]
mod tests;
