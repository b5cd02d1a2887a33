//! The digest: sent once when it is due, with what the store says, and again only when the next is due.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::sync::Arc;

use jiff::SignedDuration;
use lifeboat_core::{
    ErrorKind,
    config::{Config, DatabaseConfig, DigestEvery, Setting},
    digest::{DigestOutcome, DigestPorts, last, run},
    ids::RunId,
    incidents::Outlet,
    ports::{Clock, Removal, RunContext, Store},
};
use lifeboat_testkit::{Action, BackupBuilder, Fault, ManualClock, MemoryPeople, MemoryStore, Operation, context};

struct Bench {
    store: MemoryStore,
    control: MemoryStore,
    topic: MemoryPeople,
    clock: Arc<ManualClock>,
    config: Config,
}

impl Bench {
    /// On a Friday at noon, with a digest due on Mondays at seven.
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-20T12:00:00Z"));
        let config = Config {
            databases: [("orders".parse().unwrap(), DatabaseConfig::with_defaults(None))].into(),
            ..Config::default()
        };
        Self {
            store: MemoryStore::with_clock(Removal::Delete, Arc::clone(&clock) as Arc<dyn Clock>),
            control: MemoryStore::with_clock(Removal::Delete, Arc::clone(&clock) as Arc<dyn Clock>),
            topic: MemoryPeople::new("topic"),
            clock,
            config,
        }
    }

    fn context(&self, number: u64) -> RunContext {
        context().run(number).clock(Arc::clone(&self.clock) as Arc<dyn Clock>).build()
    }

    async fn run(&self, asked: bool) -> lifeboat_core::Result<DigestOutcome> {
        let ports = DigestPorts {
            store: Arc::new(self.store.clone()),
            control: Arc::new(self.control.clone()),
            outlet: Outlet::Topic(Arc::new(self.topic.clone())),
        };
        run(&ports, &self.config, asked, &self.context(7)).await
    }

    async fn due(&self) -> bool {
        matches!(self.run(false).await.unwrap(), DigestOutcome::Sent(_))
    }
}

#[tokio::test]
async fn a_digest_is_sent_once_a_week_and_tells_what_the_store_holds() {
    let bench = Bench::new();
    // Digests begin with the next time that one is due.
    assert!(!bench.due().await);
    BackupBuilder::new("orders", "2026-11-21T02:00:00Z").store_verified(&bench.store).await.unwrap();
    BackupBuilder::new("orders", "2026-11-22T02:00:00Z").store(&bench.store).await.unwrap();
    BackupBuilder::new("billing", "2026-11-01T02:00:00Z").store(&bench.store).await.unwrap();
    bench.clock.advance(SignedDuration::from_hours(66));
    assert!(!bench.due().await, "an hour early");
    bench.clock.advance(SignedDuration::from_hours(1));
    assert!(bench.due().await && !bench.due().await);
    let told = bench.topic.told();
    let digest = told[0].digest.as_ref().unwrap();
    let of = |name: &str| digest.databases.iter().find(|d| d.database.as_str() == name).unwrap();
    assert_eq!((of("orders").made, of("orders").verified), (2, 1));
    assert_eq!(of("orders").newest_good.as_ref().unwrap().backup_id.as_str().get(..8), Some("20261121"));
    assert_eq!((of("billing").made, of("billing").newest_good.clone(), of("billing").growth_bytes), (0, None, None));
    assert!(of("orders").stored_bytes > 0 && !of("orders").storage.is_empty());
    assert!(told[0].subject.contains("2 databases") && told[0].subject.contains("without a good backup"));
    assert_eq!(last(&bench.control).await.unwrap().unwrap().sent_at, Some(bench.clock.now()));
    // A week later, with what has changed since.
    BackupBuilder::new("orders", "2026-11-25T02:00:00Z").store_verified(&bench.store).await.unwrap();
    bench.clock.advance(SignedDuration::from_hours(7 * 24));
    assert!(bench.due().await);
    let told = bench.topic.told();
    let orders = told[1].digest.as_ref().unwrap().databases.iter().find(|d| d.database.as_str() == "orders").unwrap();
    assert_eq!((orders.made, orders.growth_bytes.unwrap() > 0), (1, true));
    assert_ne!(told[0].id, told[1].id);
}

#[tokio::test]
async fn a_digest_that_could_not_be_sent_is_sent_by_the_next_run() {
    let bench = Bench::new();
    assert!(!bench.due().await);
    bench.clock.advance(SignedDuration::from_hours(72));
    bench.topic.fail(1);
    assert!(bench.run(false).await.is_err());
    assert!(bench.due().await);
    assert_eq!(bench.topic.told().len(), 1);
}

#[tokio::test]
async fn a_digest_that_somebody_asks_for_comes_at_once_and_off_is_off() {
    let mut bench = Bench::new();
    bench.config.alerts.digest = Setting::default_of(DigestEvery::Off);
    assert!(!bench.due().await);
    assert!(bench.control.keys().is_empty());
    assert!(matches!(bench.run(true).await.unwrap(), DigestOutcome::Sent(_)));
}

#[tokio::test]
async fn a_database_that_cannot_be_read_hides_no_other() {
    let bench = Bench::new();
    BackupBuilder::new("orders", "2026-11-20T02:00:00Z").store_verified(&bench.store).await.unwrap();
    bench.store.put_new("broken/drills/20261120T020000Z-abcd/x", "x".into(), &RunId::new(1)).await.unwrap();
    bench.store.fault(Fault::on([Operation::Folders], Action::Reject(ErrorKind::Store)).key("broken/").always());
    bench.run(true).await.unwrap();
    let told = bench.topic.told();
    let digest = told[0].digest.as_ref().unwrap();
    assert_eq!(digest.databases.len(), 1);
    assert!(digest.problems[0].contains("broken"), "{:?}", digest.problems);
    assert!(told[0].subject.ends_with("1 database, 1 could not be looked at"), "{}", told[0].subject);
}

#[tokio::test]
async fn nothing_is_well_because_nothing_could_be_read_and_the_next_growth_is_not_lost() {
    let bench = Bench::new();
    BackupBuilder::new("orders", "2026-11-20T02:00:00Z").store_verified(&bench.store).await.unwrap();
    bench.run(true).await.unwrap();
    let before = last(&bench.control).await.unwrap().unwrap().stored_bytes;
    assert!(before.values().all(|bytes| *bytes > 0) && before.len() == 1, "{before:?}");
    bench.store.fault(Fault::on([Operation::Folders], Action::Reject(ErrorKind::Store)).always());
    bench.run(true).await.unwrap();
    assert_eq!(last(&bench.control).await.unwrap().unwrap().stored_bytes, before);
    bench.store.clear_faults();
    BackupBuilder::new("orders", "2026-11-20T11:00:00Z").store_verified(&bench.store).await.unwrap();
    bench.run(true).await.unwrap();
    let told = bench.topic.told();
    let subjects: Vec<&str> = told.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "[lifeboat] digest: 1 database, all is well",
            "[lifeboat] digest: 0 databases, 2 could not be looked at",
            "[lifeboat] digest: 1 database, all is well",
        ]
    );
    let grown = told[2].digest.as_ref().unwrap().databases[0].growth_bytes;
    assert!(grown.is_some_and(|bytes| bytes > 0), "{grown:?}");
}
