//! Makes a run happen once, although its request may be delivered several times.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{
    Error, ErrorKind, Result,
    ids::DatabaseSlug,
    lease::{Occasion, RunClaim, answer_key, claim_run, holder, run_key},
    ports::{RunContext, Store, Swap, in_brief},
    runner::FUNCTION_LIMIT,
};
use serde::Serialize;
use serde_json::Value;

use crate::{requests::Answer, telling::Told};

/// The most bytes that an answer on record may have.
const ANSWER_LIMIT: u64 = 4 << 20;

/// The most bytes that a claim may have: a run id and a time.
const CLAIM_LIMIT: u64 = 1 << 10;

/// A run that holds a lease has it by now, or is dead: before it takes the lease it may have to ask a slow store again and
/// again.
const LEASE_BY_NOW: SignedDuration = SignedDuration::from_mins(3);

/// One run of one operation: the one of a scheduled time, or of a request.
pub(crate) struct OneRun<'a> {
    pub(crate) control: &'a dyn Store,
    pub(crate) operation: &'a str,
    pub(crate) database: &'a DatabaseSlug,
    pub(crate) occasion: Occasion,
    /// By what a dead run is told from a running one.
    pub(crate) alive: Alive,
    /// How long a run may take here, in a function or a task.
    pub(crate) longest: SignedDuration,
}

/// By what a dead run is told from a running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alive {
    /// It holds the database's lease.
    Leased,
    /// Its claim says how long it may be at work.
    Claimed,
}

/// How a scheduled run stands, for whoever may not be the one to claim it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// It was made, with this answer.
    Done(Value),
    /// It is being made.
    Running,
    /// It is to be made; since when, if an earlier attempt failed or died.
    Open(Option<Timestamp>),
}

impl OneRun<'_> {
    fn key(&self) -> String {
        run_key(self.operation, self.database, &self.occasion)
    }

    /// Runs `work` unless that was done. A run that fails gives its claim back, so that the next delivery tries again; a
    /// run that died without a word is taken over, by one delivery only.
    pub(crate) async fn once<T: Serialize>(
        &self,
        context: &RunContext,
        work: impl Future<Output = Result<Told<T>>>,
    ) -> Result<Told<Answer<T>>> {
        if let Some(answer) = self.claim(context).await? {
            return Ok(Told::nothing(answer));
        }
        match work.await {
            Ok(done) => {
                let record = serde_json::to_vec(&done.answer).unwrap_or_default();
                let key = answer_key(&self.key());
                if let Err(error) = self.control.put_new(&key, Bytes::from(record), &context.run_id).await {
                    tracing::warn!(%error, key, "the answer was not recorded; a second delivery would run again");
                }
                Ok(done.map(Answer::Done))
            }
            Err(error) => {
                self.give_back(context).await;
                Err(error)
            }
        }
    }

    /// Looks how the run stands, and claims nothing.
    pub(crate) async fn standing(&self, context: &RunContext) -> Result<Standing> {
        let (key, answer) = (self.key(), answer_key(&self.key()));
        let listed = self.control.list(&key).await.map_err(|e| e.context("look how the run stands"))?;
        if listed.iter().any(|object| object.key == answer) {
            let (bytes, _) = self.control.read(&answer, ANSWER_LIMIT).await?;
            return Ok(Standing::Done(serde_json::from_slice(&bytes).unwrap_or(Value::Null)));
        }
        let Some(claim) = listed.iter().find(|object| object.key == key) else { return Ok(Standing::Open(None)) };
        // A claim that was given back is empty.
        if claim.size > 0 && self.is_alive(&key, context).await? {
            return Ok(Standing::Running);
        }
        Ok(Standing::Open(Some(claim.modified)))
    }

    /// Claims the run; what became of it where it is not this delivery's to make.
    async fn claim<T>(&self, context: &RunContext) -> Result<Option<Answer<T>>> {
        let claim = self.claim_of(context);
        let claimed = claim_run(self.control, self.operation, self.database, &self.occasion, &claim).await?;
        // With the claim too: whoever had it before may have given it back, and another have done the work.
        match self.control.read(&answer_key(&self.key()), ANSWER_LIMIT).await {
            Ok((bytes, _)) => {
                let earlier: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                return Ok(Some(Answer::AlreadyDone { earlier }));
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => {
                if claimed {
                    self.give_back(context).await;
                }
                return Err(e.context("read what the run answered before"));
            }
        }
        if claimed { Ok(None) } else { self.take_over(context).await }
    }

    /// This run's claim, from now on.
    fn claim_of(&self, context: &RunContext) -> RunClaim {
        let until = context.clock.now().saturating_add(self.longest).unwrap_or(Timestamp::MAX);
        RunClaim { run_id: context.run_id.clone(), until }
    }

    /// Takes a claim that was given back, or whose run died; of several that try at once, one succeeds.
    async fn take_over<T>(&self, context: &RunContext) -> Result<Option<Answer<T>>> {
        let key = self.key();
        let (given_back, etag) = match self.control.read(&key, CLAIM_LIMIT).await {
            Ok((claim, stored)) => (claim.is_empty(), stored.etag),
            Err(e) if e.kind() == ErrorKind::NotFound => (true, None),
            Err(e) => return Err(e.context("read whose run it is")),
        };
        if !given_back {
            if self.is_alive(&key, context).await? {
                return Ok(Some(Answer::AlreadyRunning));
            }
            tracing::warn!(key, "the earlier run died; taking it over");
        }
        let swapped = self.control.swap(&key, etag.as_deref(), self.claim_of(context).to_json()?).await;
        Ok(match swapped.map_err(|e| e.context("take over the run"))? {
            Swap::Done(_) => None,
            Swap::Lost => Some(Answer::AlreadyRunning),
        })
    }

    async fn is_alive(&self, key: &str, context: &RunContext) -> Result<bool> {
        let now = context.clock.now();
        if self.alive == Alive::Claimed {
            match self.control.read(key, CLAIM_LIMIT).await {
                Ok((claim, _)) => {
                    if let Some(claim) = RunClaim::from_json(&claim) {
                        return Ok(now < claim.until);
                    }
                    // Somebody gives it back in just this moment.
                    if claim.is_empty() {
                        return Ok(false);
                    }
                }
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(e.context("read whose run it is")),
            }
        }
        let listed = self.control.list(key).await?;
        let claimed = listed.iter().find(|o| o.key == key).map(|o| o.modified);
        let age = claimed.map_or(SignedDuration::MAX, |at| now.duration_since(at));
        Ok(match self.alive {
            Alive::Leased => age < LEASE_BY_NOW || holder(self.control, self.database, now).await?.is_some(),
            // The claim of a state machine's execution, which has the answer beside it in a moment.
            Alive::Claimed => age < SignedDuration::try_from(FUNCTION_LIMIT).unwrap_or(SignedDuration::MAX),
        })
    }

    /// Empties the claim if it is still this run's: one that was taken over meanwhile is another's.
    async fn give_back(&self, context: &RunContext) {
        let key = self.key();
        let giving = async {
            let (claim, stored) = self.control.read(&key, CLAIM_LIMIT).await?;
            if RunClaim::from_json(&claim).is_some_and(|claim| claim.run_id == context.run_id) {
                self.control.swap(&key, stored.etag.as_deref(), Bytes::new()).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = in_brief("give the claim back", giving).await {
            tracing::warn!(%error, key, "the claim on the failed run was not given back");
        }
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
