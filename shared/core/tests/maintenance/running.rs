//! How a run keeps to its limits, with a caretaker that does what it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use lifeboat_core::{
    ErrorKind, Result,
    cancel::{self, Cancel},
    lease::{LeaseOptions, acquire},
    maintenance::{
        Action, Facts, Limits, MaintenanceOutcome, MaintenancePorts, MaintenanceReport, MaintenanceRequest, Operation,
        Outcome, Remedy, Size, Thresholds, execute, prepare,
    },
    ports::{CareEnd, CareSession, Caretaker, InvalidIndex, Removal, Store},
};
use lifeboat_testkit::{ManualClock, MemoryStore};

use super::{facts, half_bloated, index, named, request, table};

/// What the server will do, and what it was asked to.
#[derive(Default)]
struct Script {
    ends: VecDeque<CareEnd>,
    /// Invalid indexes of the table, as each look finds them.
    invalid: VecDeque<Vec<InvalidIndex>>,
    in_the_way: Option<String>,
    seconds_each: u64,
    done: Vec<String>,
}

struct Scripted {
    facts: Facts,
    script: Arc<Mutex<Script>>,
    clock: Arc<ManualClock>,
}

struct Session {
    script: Arc<Mutex<Script>>,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Caretaker for Scripted {
    async fn facts(&self, _: &Thresholds, _: bool) -> Result<Facts> {
        Ok(self.facts.clone())
    }

    fn statement(&self, action: &Action) -> String {
        action.doing()
    }

    fn remedy(&self, remedy: &Remedy) -> Vec<String> {
        vec![format!("{remedy:?}")]
    }

    async fn begin(&self, _: &Limits) -> Result<Box<dyn CareSession>> {
        Ok(Box::new(Session { script: Arc::clone(&self.script), clock: Arc::clone(&self.clock) }))
    }
}

#[async_trait]
impl CareSession for Session {
    async fn in_the_way(&mut self, _: &Action, _: u32) -> Result<Option<String>> {
        Ok(self.script.lock().unwrap().in_the_way.clone())
    }

    async fn size(&mut self, _: &lifeboat_core::maintenance::ObjectName) -> Result<Option<Size>> {
        Ok(Some(Size { bytes: 100, dead_tuples: 5 }))
    }

    async fn invalid_indexes(&mut self, _: u32) -> Result<Vec<InvalidIndex>> {
        Ok(self.script.lock().unwrap().invalid.pop_front().unwrap_or_default())
    }

    async fn execute(&mut self, action: &Action, time: Duration, cancel: &Cancel) -> Result<CareEnd> {
        let mut script = self.script.lock().unwrap();
        script.done.push(action.doing());
        if cancel.check().is_err() {
            return Ok(CareEnd::Stopped);
        }
        let takes = Duration::from_secs(script.seconds_each);
        self.clock.advance(takes.min(time).try_into().unwrap());
        if takes > time {
            return Ok(CareEnd::OutOfTime);
        }
        Ok(script.ends.pop_front().unwrap_or(CareEnd::Done { warnings: Vec::new() }))
    }
}

struct Stage {
    script: Arc<Mutex<Script>>,
    clock: Arc<ManualClock>,
    control: Arc<MemoryStore>,
    facts: Facts,
    cancel: Cancel,
}

impl Stage {
    /// Three tables to vacuum and a bloated index.
    fn new() -> Self {
        let tables: Vec<_> = (1..=3)
            .map(|n| {
                let mut t = table(n, &format!("t{n}"));
                t.dead_tuples = 100_000 - u64::from(n);
                t
            })
            .collect();
        let mut bloated = index(9, "t1_i", &tables[0]);
        bloated.bloat = Some(half_bloated(bloated.bytes));
        Self {
            script: Arc::default(),
            clock: Arc::new(ManualClock::at(super::NOW)),
            control: Arc::new(MemoryStore::new(Removal::Delete)),
            facts: facts(tables, vec![bloated]),
            cancel: Cancel::never(),
        }
    }

    fn context(&self) -> lifeboat_core::ports::RunContext {
        lifeboat_testkit::context().clock(Arc::clone(&self.clock) as _).cancel(self.cancel.clone()).build()
    }

    fn ends(&self, ends: impl IntoIterator<Item = CareEnd>) {
        self.script.lock().unwrap().ends.extend(ends);
    }

    fn done(&self) -> Vec<String> {
        self.script.lock().unwrap().done.clone()
    }

    async fn run(&self, request: MaintenanceRequest) -> MaintenanceOutcome {
        let caretaker =
            Scripted { facts: self.facts.clone(), script: Arc::clone(&self.script), clock: Arc::clone(&self.clock) };
        let ports = MaintenancePorts { caretaker: Arc::new(caretaker), control: Some(Arc::clone(&self.control) as _) };
        let context = self.context();
        let prepared = prepare(&ports, request, &context).await.unwrap();
        execute(&ports, prepared, &context).await.unwrap()
    }
}

fn locked() -> CareEnd {
    CareEnd::Locked("session 7 holds a lock on it".to_owned())
}

fn outcomes(outcome: &MaintenanceOutcome) -> Vec<Outcome> {
    outcome.report.statements.iter().map(|s| s.outcome).collect()
}

#[tokio::test(start_paused = true)]
async fn what_gets_no_lock_is_tried_so_often_and_then_skipped() {
    let stage = Stage::new();
    stage.ends([locked(), CareEnd::Done { warnings: vec!["mind".to_owned()] }, locked(), locked(), locked()]);
    let outcome = stage.run(request(&[Operation::Vacuum])).await;
    assert_eq!(outcomes(&outcome), [Outcome::Done, Outcome::Skipped, Outcome::Done]);
    let [first, second, _] = &outcome.report.statements[..] else { panic!() };
    assert_eq!((first.attempts, first.detail.as_deref()), (2, Some("mind")));
    assert_eq!(second.attempts, 3);
    assert_eq!(second.detail.as_deref(), Some("session 7 holds a lock on it; tried 3 times"));
    assert!(outcome.failure.is_none());
    let event = outcome.report.completed();
    assert_eq!((event.statements, event.skipped), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_the_statement_under_way_and_begins_no_other() {
    let stage = Stage::new();
    stage.script.lock().unwrap().seconds_each = 40;
    let mut request = request(&[Operation::Vacuum]);
    request.limits.time_budget_seconds = 60;
    let outcome = stage.run(request).await;
    assert_eq!(outcomes(&outcome), [Outcome::Done, Outcome::Skipped, Outcome::Skipped]);
    assert_eq!(stage.done().len(), 2);
    let ended = "the time budget of 1 min ended";
    assert_eq!(outcome.report.statements[1].detail, Some(format!("cancelled after its begin: {ended}")));
    assert_eq!(outcome.report.statements[2].detail.as_deref(), Some(ended));
    assert_eq!(outcome.report.ended_by.as_deref(), Some(ended));
    assert!(outcome.failure.is_none(), "the end of the budget is no failure");
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_it_gets_the_report_and_an_error_and_a_deadline_only_the_report() {
    for (reason, fails) in [(ErrorKind::Interrupted, true), (ErrorKind::Deadline, false)] {
        let (canceller, cancel) = cancel::pair();
        let mut stage = Stage::new();
        let caretaker =
            Scripted { facts: stage.facts.clone(), script: Arc::clone(&stage.script), clock: Arc::clone(&stage.clock) };
        stage.cancel = cancel;
        let ports = MaintenancePorts { caretaker: Arc::new(caretaker), control: Some(Arc::clone(&stage.control) as _) };
        let prepared = prepare(&ports, request(&[Operation::Vacuum]), &stage.context()).await.unwrap();
        canceller.cancel(reason);
        let outcome = execute(&ports, prepared, &stage.context()).await;
        match outcome {
            Ok(outcome) => {
                assert!(outcomes(&outcome).iter().all(|o| *o == Outcome::Skipped));
                assert_eq!(outcome.failure.map(|e| e.kind()), fails.then_some(reason));
                assert!(outcome.report_key.is_some());
            }
            // Stopped before its sessions were open.
            Err(error) => assert_eq!(error.kind(), reason),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_reindex_leaves_is_dropped_and_what_was_there_before_is_not() {
    let stage = Stage::new();
    let invalid = |oid, called: &str| InvalidIndex { oid, name: super::name(called) };
    let old = invalid(70, "old_ccnew");
    stage
        .script
        .lock()
        .unwrap()
        .invalid
        .extend([vec![old.clone()], vec![old, invalid(71, "t1_i_ccnew"), invalid(72, "t1_i_ccold")]]);
    stage.ends([CareEnd::Failed("disk full".to_owned()), locked()]);
    let outcome = stage.run(request(&[Operation::Reindex])).await;
    let asked = stage.done();
    assert_eq!(
        asked,
        [
            "reindex shop.t1_i",
            "drop leftover shop.t1_i_ccnew",
            "drop leftover shop.t1_i_ccnew",
            "drop leftover shop.t1_i_ccold"
        ]
    );
    assert_eq!(outcomes(&outcome), [Outcome::Failed]);
    let failure = outcome.failure.unwrap();
    assert!(failure.to_string().contains("disk full"), "{failure}");
    assert!(!outcome.report.recommendations.iter().any(|r| r.code == "invalid_index"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_dropped_is_told_with_the_statement() {
    let stage = Stage::new();
    let left = InvalidIndex { oid: 71, name: super::name("t1_i_ccnew") };
    stage.script.lock().unwrap().invalid.extend([vec![], vec![left]]);
    stage.script.lock().unwrap().seconds_each = 2;
    stage.ends(std::iter::once(CareEnd::Failed("x".to_owned())).chain(std::iter::repeat_n(locked(), 50)));
    let outcome = stage.run(request(&[Operation::Reindex])).await;
    let told = &outcome.report.recommendations[0];
    assert_eq!((told.code.as_str(), told.object.as_deref()), ("invalid_index", Some("shop.t1_i_ccnew")));
    assert!(stage.done().len() < 15, "the time for it is limited");
}

#[tokio::test(start_paused = true)]
async fn an_open_transaction_or_a_dump_lets_what_waits_for_it_be_skipped_before_it_begins() {
    let all = [Operation::Vacuum, Operation::Reindex];
    let stage = Stage::new();
    stage.script.lock().unwrap().in_the_way = Some("session 5 has had a transaction open for 9 min".to_owned());
    let outcome = stage.run(request(&all)).await;
    assert_eq!(outcomes(&outcome), [Outcome::Done, Outcome::Done, Outcome::Done, Outcome::Skipped]);
    assert!(!stage.done().iter().any(|d| d.starts_with("reindex")));

    let stage = Stage::new();
    let (canceller, _cancel) = cancel::pair();
    let control: Arc<dyn Store> = Arc::clone(&stage.control) as _;
    let dump = lifeboat_testkit::context().run(99).clock(Arc::clone(&stage.clock) as _).build();
    let guard =
        acquire(control, &"orders".parse().unwrap(), "dump", &dump, canceller, LeaseOptions::default()).await.unwrap();
    let mut full = named(&[Operation::Full, Operation::Vacuum], &["t2"]);
    full.limits.attempts = 1;
    let outcome = stage.run(full).await;
    assert_eq!(outcomes(&outcome), [Outcome::Skipped]);
    let detail = outcome.report.statements[0].detail.as_deref().unwrap();
    assert!(detail.contains(&format!("the dump of run {} is under way", dump.run_id)), "{detail}");
    let outcome = stage.run(request(&[Operation::Vacuum])).await;
    assert_eq!(outcomes(&outcome), [Outcome::Done; 3], "a dump does not keep VACUUM from what it can do");
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn the_report_is_kept_and_read_back() {
    let stage = Stage::new();
    let outcome = stage.run(request(&[Operation::Vacuum, Operation::Reindex])).await;
    let key = outcome.report_key.unwrap();
    assert!(key.starts_with("maintenance/orders/20261120T120000Z-"), "{key}");
    let (bytes, _) = stage.control.read(&key, 1 << 20).await.unwrap();
    let read: MaintenanceReport = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(read, outcome.report);
    assert_eq!(read.tables.len(), 3);
    assert!(read.overview.after.is_some());
}
