//! A control store that is waited for only so long: one that hangs must not keep people from being told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ids::RunId,
    ports::{Listed, ObjectReader, Removal, Store, Stored, Swap, Thaw, Upload},
};

/// How long a run waits for one answer. Once one did not come, the run waits for no other: it may ask hundreds of times.
#[derive(Debug, Clone)]
pub(crate) struct ControlPatience {
    answer: Duration,
    hangs: Arc<AtomicBool>,
}

impl ControlPatience {
    pub(crate) fn of(answer: Duration) -> Self {
        Self { answer, hangs: Arc::default() }
    }

    async fn ask<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let silent = || {
            let waited = self.answer.as_secs();
            Error::new(ErrorKind::Store, format!("the control store gave no answer within {waited} s"))
        };
        if self.hangs.load(Ordering::Relaxed) {
            return Err(silent());
        }
        tokio::time::timeout(self.answer, work).await.unwrap_or_else(|_| {
            self.hangs.store(true, Ordering::Relaxed);
            Err(silent())
        })
    }
}

/// A store that a run has patience with. After a time-out it is unknown whether something was written, as after every other.
pub(crate) struct Patient {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) patience: ControlPatience,
}

#[async_trait]
impl Store for Patient {
    fn url(&self) -> &str {
        self.store.url()
    }

    fn removal(&self) -> Removal {
        self.store.removal()
    }

    async fn probe(&self, run_id: &RunId) -> Result<()> {
        self.patience.ask(self.store.probe(run_id)).await
    }

    async fn put_new(&self, key: &str, body: Bytes, run_id: &RunId) -> Result<Stored> {
        self.patience.ask(self.store.put_new(key, body, run_id)).await
    }

    async fn upload_new(&self, key: &str, run_id: &RunId) -> Result<Box<dyn Upload>> {
        self.patience.ask(self.store.upload_new(key, run_id)).await
    }

    async fn open(&self, key: &str) -> Result<Box<dyn ObjectReader>> {
        self.patience.ask(self.store.open(key)).await
    }

    async fn read(&self, key: &str, limit: u64) -> Result<(Bytes, Stored)> {
        self.patience.ask(self.store.read(key, limit)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.patience.ask(self.store.list(prefix)).await
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        self.patience.ask(self.store.folders(prefix)).await
    }

    async fn thaw(&self, key: &str, days: u32) -> Result<Thaw> {
        self.patience.ask(self.store.thaw(key, days)).await
    }

    async fn is_readable(&self, key: &str) -> Result<bool> {
        self.patience.ask(self.store.is_readable(key)).await
    }

    async fn set_tags(&self, key: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        self.patience.ask(self.store.set_tags(key, tags)).await
    }

    async fn tags(&self, key: &str) -> Result<BTreeMap<String, String>> {
        self.patience.ask(self.store.tags(key)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.patience.ask(self.store.delete(key)).await
    }

    async fn swap(&self, key: &str, expected: Option<&str>, body: Bytes) -> Result<Swap> {
        self.patience.ask(self.store.swap(key, expected, body)).await
    }

    async fn pending_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        self.patience.ask(self.store.pending_uploads(prefix, before)).await
    }

    async fn sweep_uploads(&self, prefix: &str, before: Timestamp) -> Result<u64> {
        self.patience.ask(self.store.sweep_uploads(prefix, before)).await
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_testkit::{Action, Fault, Gate, MemoryStore, Operation};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_answer_that_does_not_come_is_waited_for_and_no_other() {
        let store = MemoryStore::new(Removal::Delete);
        store.put_new("incidents/orders.json", "{}".into(), &RunId::new(1)).await.unwrap();
        let patient =
            Patient { store: Arc::new(store.clone()), patience: ControlPatience::of(Duration::from_secs(15)) };
        // An error is an answer.
        assert_eq!(patient.read("incidents/none.json", 9).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(patient.read("incidents/orders.json", 9).await.unwrap().0, "{}");
        store.fault(Fault::on([Operation::Open], Action::Hold(Gate::new())).always());
        let began = Instant::now();
        for _ in 0..100 {
            let error = patient.read("incidents/orders.json", 9).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store);
            assert!(error.to_string().contains("no answer within 15 s"), "{error}");
        }
        assert_eq!(patient.list("").await.unwrap_err().kind(), ErrorKind::Store);
        assert_eq!(began.elapsed().as_secs(), 15);
    }
}
