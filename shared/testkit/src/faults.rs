//! Scripted faults: which call of which operation on which keys goes wrong, and how.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lifeboat_core::{Error, ErrorKind, Result};
use tokio::sync::watch;

/// What a store is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `put_new`
    PutNew,
    /// `upload_new`
    UploadNew,
    /// `Upload::write`
    UploadWrite,
    /// `Upload::complete`
    UploadComplete,
    /// `open`, and so `read`
    Open,
    /// `ObjectReader::next_block`
    NextBlock,
    /// `list`
    List,
    /// `folders`
    Folders,
    /// `set_tags`
    SetTags,
    /// `tags`
    Tags,
    /// `delete`
    Delete,
    /// `swap`
    Swap,
    /// `sweep_uploads`
    SweepUploads,
    /// `probe`
    Probe,
}

impl Operation {
    /// Everything that changes the store: for "a crash at any write".
    pub const WRITES: [Self; 7] = [
        Self::PutNew,
        Self::UploadNew,
        Self::UploadWrite,
        Self::UploadComplete,
        Self::SetTags,
        Self::Delete,
        Self::Swap,
    ];
}

/// How a call goes wrong.
#[derive(Debug, Clone)]
pub enum Action {
    /// Nothing is done and an error of this kind answers.
    Reject(ErrorKind),
    /// It is done, but the answer is an error of this kind: the answer got lost.
    FailAfterWrite(ErrorKind),
    /// The call waits until the gate is opened, then goes on.
    Hold(Gate),
    /// The call takes this long (tokio's time), then goes on.
    Slow(Duration),
}

/// A gate that held calls wait at.
#[derive(Debug, Clone)]
pub struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { open: watch::channel(false).0, waiting: watch::channel(0).0 }
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything through, from now on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns once a call has come to the gate.
    pub async fn reached(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.waiting.subscribe().wait_for(|n| *n > 0).await;
    }

    async fn pass(&self) {
        self.waiting.send_modify(|n| *n += 1);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// One scripted fault.
#[derive(Debug, Clone)]
pub struct Fault {
    on: Vec<Operation>,
    key_contains: String,
    skip: u64,
    times: u64,
    action: Action,
}

impl Fault {
    /// The next such call goes wrong, once, whatever its key.
    pub fn on(operations: impl IntoIterator<Item = Operation>, action: Action) -> Self {
        Self { on: operations.into_iter().collect(), key_contains: String::new(), skip: 0, times: 1, action }
    }

    /// Only calls whose key (or prefix) contains this text count.
    #[must_use]
    pub fn key(mut self, contains: &str) -> Self {
        contains.clone_into(&mut self.key_contains);
        self
    }

    /// So many calls go well first.
    #[must_use]
    pub fn after(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// So many calls go wrong.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Every such call goes wrong.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }
}

/// The faults a store has been told.
#[derive(Debug, Default)]
pub(crate) struct Script(Mutex<Vec<Fault>>);

impl Script {
    pub(crate) fn add(&self, fault: Fault) {
        self.lock().push(fault);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, operation: Operation, key: &str) -> Option<Action> {
        let mut faults = self.lock();
        for fault in faults.iter_mut() {
            if !fault.on.contains(&operation) || !key.contains(&fault.key_contains) || fault.times == 0 {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times = fault.times.saturating_sub(u64::from(fault.times != u64::MAX));
            return Some(fault.action.clone());
        }
        None
    }

    /// Lets a call begin; the error, if any, that it must answer with after it was done.
    pub(crate) async fn begin(&self, operation: Operation, key: &str) -> Result<Option<Error>> {
        let scripted = |kind| Error::new(kind, format!("scripted fault: {operation:?} {key}"));
        match self.next(operation, key) {
            None => Ok(None),
            Some(Action::Reject(kind)) => Err(scripted(kind)),
            Some(Action::FailAfterWrite(kind)) => Ok(Some(scripted(kind))),
            Some(Action::Hold(gate)) => {
                gate.pass().await;
                Ok(None)
            }
            Some(Action::Slow(time)) => {
                tokio::time::sleep(time).await;
                Ok(None)
            }
        }
    }
}
