//! The ledger of a restore: what of it is done, kept in the target itself, so that an interrupted one can be resumed.

use std::collections::HashSet;

use async_trait::async_trait;

use crate::Result;

/// The schema that holds the ledger while a restore lasts.
pub const LEDGER_SCHEMA: &str = "lifeboat_restore";

/// What a ledger is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerHead {
    /// The backup, `database/id`.
    pub backup: String,
    /// The hash of its manifest.
    pub manifest_sha256: String,
    /// What was asked for, as far as it decides what is restored.
    pub request: String,
    /// The run that worked on it last.
    pub run: String,
}

/// What a restore that did not end has left on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFound {
    /// What it is of.
    pub head: LedgerHead,
    /// When it was begun, by the server's clock, in RFC 3339.
    pub begun_at: String,
    /// What is done: steps by their names, data by the keys of their objects.
    pub done: HashSet<String>,
}

/// The ledger of one target, over a session of its own. What loads data writes its entries itself, in the transaction of
/// the data ([`TargetWorker::copy_in`](super::TargetWorker::copy_in)).
#[async_trait]
pub trait Ledger: Send + Sync {
    /// What is on record; `None` where there is no ledger.
    async fn read(&self) -> Result<Option<LedgerFound>>;

    /// Makes sure that no other run restores into the same database by a ledger, until this value is dropped;
    /// `AlreadyRunning` where one does. The server lets go of it with the session.
    async fn claim(&self) -> Result<()>;

    /// Ends the sessions that earlier runs have left in the target, such as those of a `pg_restore` that outlived one, waits
    /// until they are gone, and notes that this run goes on. The claim must be held.
    async fn take_over(&self, run: &str) -> Result<()>;

    /// Begins a ledger, in place of one that may be there; `role`, too, may write entries. `false` where this role may not
    /// make a schema: then there is none.
    async fn begin(&self, head: &LedgerHead, role: Option<&str>) -> Result<bool>;

    /// Notes that a step is done. Doing so again changes nothing.
    async fn note(&self, step: &str) -> Result<()>;

    /// Removes the ledger with its schema, as if it had never been: no event trigger of the database acts on it.
    async fn remove(&self) -> Result<()>;
}
