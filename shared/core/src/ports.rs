//! The ports: what the operations need from stores, databases, clocks and people, and what each promises.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Error, ErrorKind, Result, cancel::Cancel, ids::RunId};

mod bus;
mod caretaker;
mod instances;
mod ledger;
mod live;
mod people;
mod restore_tests;
mod secrets;
mod source;
mod store;
mod target;
mod tasks;
mod watched;

pub use bus::EventBus;
pub use caretaker::{CareEnd, CareSession, Caretaker, InvalidIndex};
pub use instances::{
    Deletion, Instance, InstanceAddress, InstanceContent, InstanceDatabases, InstanceSnapshot, InstanceWish, Instances,
};
pub use ledger::{LEDGER_SCHEMA, Ledger, LedgerFound, LedgerHead};
pub use live::{
    Beside, DatabaseEntries, Exchange, Exchanged, Hooks, LiveDatabase, LiveFacts, MergeStatement, RescuedTable,
    RowDifference, TableDifference,
};
pub use people::{Channel, Topic};
pub use restore_tests::{RestoreTests, ValidationStatus};
pub use secrets::Secrets;
pub use source::{
    BlockRange, BlockSink, Finding, Preflight, Severity, Snapshot, SnapshotWorker, Source, SourceTable, Unit,
};
pub use store::{BlockSource, Listed, ObjectReader, PART, Removal, Store, Stored, Swap, Thaw, Upload};
pub use target::{
    Classification, Inventory, InventoryItem, LoadStatement, PgRestoreStep, Scratch, ScratchFacts, ScratchProvider,
    ScratchWish, Target, TargetFacts, TargetWorker, ToolMessage,
};
pub use tasks::{TaskPlace, TaskWish, Tasks};
pub use watched::{
    Archiver, Certificate, ClientToolVersions, Connections, Counters, Disk, Hidden, IdAges, LeftScratch,
    OpenTransaction, Outbox, PreparedTransaction, Replay, ScratchReaper, ServerFacts, Slot, Standby, Subscriptions,
    ToolFacts, ToolSet, WatchedRole, WatchedServer, question,
};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
    /// Seconds since some fixed moment, never going back; for durations.
    fn monotonic_seconds(&self) -> f64;
}

/// Gives random numbers for ids.
pub trait Entropy: Send + Sync {
    /// The next random number.
    fn next(&self) -> u64;
}

/// What a long run tells whoever watches. Calls are cheap and never fail.
pub trait Progress: Send + Sync {
    /// A phase begins; `total` bytes where known.
    fn phase(&self, name: &str, total_bytes: Option<u64>);
    /// So many more bytes of the phase are done.
    fn advance(&self, bytes: u64);
    /// Something a person should see once.
    fn note(&self, text: &str);
}

/// What every run is given: its name, time, chance, an audience and a way to be stopped.
#[derive(Clone)]
pub struct RunContext {
    /// Names this execution.
    pub run_id: RunId,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub entropy: Arc<dyn Entropy>,
    /// Who watches.
    pub progress: Arc<dyn Progress>,
    /// Who may stop it.
    pub cancel: Cancel,
}

/// How long a run that is at its end waits for a store: it must come to tell of what happened before its deadline.
const BRIEF: std::time::Duration = std::time::Duration::from_secs(10);

/// What a run does for good order when all is decided; `Store` where that takes more than ten seconds.
pub async fn in_brief<T>(doing: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(BRIEF, work).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Store, format!("{doing}: the store did not answer within {} s", BRIEF.as_secs())))
    })
}

/// A progress that nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

#[async_trait]
impl Progress for Unwatched {
    fn phase(&self, _name: &str, _total_bytes: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn note(&self, _text: &str) {}
}
