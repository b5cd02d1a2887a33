//! Alerts over a control store and a topic that fail in every way: told once, and nothing lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::SignedDuration;
use lifeboat_core::{
    ErrorKind,
    config::Span,
    deliveries::Target,
    events::{BackupVerified, Body, Event, FORMAT_VERSION, Failure, Severity},
    ids::{BackupId, RunId},
    incidents::{AlertPorts, Outlet, Policy, Received, Terms, close, overview, remind, run},
    messages::{Audience, Change, Kind, Message, Signature},
    ports::{Clock, Entropy, Removal, RunContext},
};
use lifeboat_testkit::{
    Action, BackupBuilder, Fault, FixedEntropy, Gate, ManualClock, MemoryPeople, MemoryStore, Operation, context,
};

struct Bench {
    control: MemoryStore,
    store: MemoryStore,
    topic: MemoryPeople,
    clock: Arc<ManualClock>,
    entropy: Arc<FixedEntropy>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-20T12:00:00Z"));
        Self {
            control: MemoryStore::with_clock(Removal::Delete, Arc::clone(&clock) as Arc<dyn Clock>),
            store: MemoryStore::new(Removal::Delete),
            topic: MemoryPeople::new("topic"),
            clock,
            entropy: Arc::new(FixedEntropy::starting_at(100)),
        }
    }

    fn ports(&self) -> AlertPorts {
        AlertPorts {
            control: Arc::new(self.control.clone()),
            store: Some(Arc::new(self.store.clone())),
            outlet: Outlet::Topic(Arc::new(self.topic.clone())),
            blind: Arc::default(),
            patience: None,
        }
    }

    fn context(&self) -> RunContext {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let entropy = Arc::clone(&self.entropy);
        context().run(entropy.next()).clock(clock).entropy(entropy).build()
    }

    fn failed(&self, database: &str) -> Received {
        let failure = Failure {
            kind: "database".to_owned(),
            message: "connect to db:5432: refused".to_owned(),
            hint: "look".to_owned(),
            backup_id: None,
        };
        self.received(database, Body::BackupFailed(failure))
    }

    fn received(&self, database: &str, body: Body) -> Received {
        let event = Event {
            format_version: FORMAT_VERSION,
            run_id: RunId::new(7),
            database: database.parse().unwrap(),
            at: self.clock.now(),
            body,
        };
        Received { id: format!("{database}/{}", event.body.name()), event }
    }

    fn told(&self) -> Vec<Message> {
        self.topic.told()
    }
}

fn policy() -> Policy {
    Policy {
        terms: Terms {
            reminder: Span(24 * 3600),
            escalate_after: None,
            severity: Severity::Warning,
            per_run: false,
            rpo: None,
        },
        databases: BTreeMap::new(),
        signature: Signature { contacts: vec!["Ann, +49 151 1".to_owned()], ..Signature::default() },
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_databases_failing_together_are_one_message_that_lists_them() {
    let bench = Bench::new();
    let names: Vec<String> = (0..100).map(|n| format!("shop-{n:02}")).collect();
    let batch: Vec<Received> = names.iter().map(|name| bench.failed(name)).collect();
    let outcome = run(&bench.ports(), &policy(), &batch, &bench.context()).await;
    assert!(outcome.failed.is_empty() && outcome.error.is_none(), "{outcome:?}");
    assert_eq!((outcome.opened, outcome.told), (100, 100));
    let told = bench.told();
    assert_eq!(told.len(), 1);
    let listed: BTreeSet<&str> = told[0].entries.iter().map(|e| e.database.as_str()).collect();
    assert_eq!(listed, names.iter().map(String::as_str).collect());
    assert_eq!(told[0].subject, "[lifeboat] CRITICAL 100 databases: backup failed");
    // The same batch again, as queues do.
    let again = run(&bench.ports(), &policy(), &batch, &bench.context()).await;
    assert_eq!((again.opened, again.told, bench.told().len()), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn runs_at_once_tell_everything_once() {
    let bench = Bench::new();
    let policy = policy();
    let batch: Vec<Received> = (0..20).map(|n| bench.failed(&format!("shop-{n:02}"))).collect();
    let (ports, policy, batch) = (&bench.ports(), &policy, &batch[..]);
    let runs = (0..6).map(|_| {
        let context = bench.context();
        async move { run(ports, policy, batch, &context).await }
    });
    for outcome in futures_util::future::join_all(runs).await {
        assert!(outcome.error.is_none(), "{outcome:?}");
    }
    let mut entries: Vec<String> =
        bench.told().iter().flat_map(|m| &m.entries).map(|e| e.database.to_string()).collect();
    assert_eq!(entries.len(), 20);
    entries.sort();
    entries.dedup();
    assert_eq!(entries.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn what_the_topic_does_not_take_stays_marked_is_seen_and_is_sent_later_once() {
    let bench = Bench::new();
    bench.topic.fail(2);
    let batch = [bench.failed("orders"), bench.failed("billing")];
    let outcome = run(&bench.ports(), &policy(), &batch, &bench.context()).await;
    // The queue delivers them again, and after some time puts them aside.
    let failed: BTreeSet<&String> = outcome.failed.iter().collect();
    assert_eq!(failed, batch.iter().map(|r| &r.id).collect());
    let seen = overview(&bench.control, None, bench.clock.now()).await.unwrap();
    assert_eq!((seen.open.len(), seen.unsent.len()), (2, 2));
    assert!(seen.unsent[0].last_error.as_ref().unwrap().contains("topic is away"));
    // The second delivery fails too; the third succeeds.
    let outcome = run(&bench.ports(), &policy(), &batch, &bench.context()).await;
    assert_eq!(outcome.failed.len(), 2);
    let outcome = run(&bench.ports(), &policy(), &batch, &bench.context()).await;
    assert_eq!((outcome.failed.len(), outcome.told), (0, 2));
    assert_eq!(bench.told().len(), 1);
    let seen = overview(&bench.control, None, bench.clock.now()).await.unwrap();
    assert_eq!((seen.open.len(), seen.unsent.len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_is_sent_by_a_later_run_even_if_its_events_never_come_again() {
    let bench = Bench::new();
    bench.topic.fail(1);
    run(&bench.ports(), &policy(), &[bench.failed("orders")], &bench.context()).await;
    bench.clock.advance(SignedDuration::from_mins(11));
    let outcome = run(&bench.ports(), &policy(), &[bench.failed("billing")], &bench.context()).await;
    assert_eq!(outcome.told, 2);
    let told = bench.told();
    let databases: Vec<&str> = told[0].entries.iter().map(|e| e.database.as_str()).collect();
    assert_eq!((told.len(), databases), (1, vec!["billing", "orders"]));
}

#[tokio::test(start_paused = true)]
async fn reminders_come_by_time_alone_with_the_next_run_of_any_database() {
    let bench = Bench::new();
    run(&bench.ports(), &policy(), &[bench.failed("orders")], &bench.context()).await;
    for _ in 0..23 {
        bench.clock.advance(SignedDuration::from_hours(1));
        remind(&bench.ports(), &policy(), &bench.context()).await;
    }
    assert_eq!(bench.told().len(), 1);
    bench.clock.advance(SignedDuration::from_hours(1));
    run(&bench.ports(), &policy(), &[bench.failed("billing")], &bench.context()).await;
    let told = bench.told();
    assert_eq!(told.len(), 2);
    let changes: Vec<(&str, Change)> = told[1].entries.iter().map(|e| (e.database.as_str(), e.change)).collect();
    assert_eq!(changes, [("billing", Change::Opened), ("orders", Change::Reminder)]);
}

#[tokio::test(start_paused = true)]
async fn an_alert_says_what_still_protects_the_database_even_if_no_event_told() {
    let bench = Bench::new();
    let good = BackupBuilder::new("orders", "2026-11-20T02:00:00Z").store_verified(&bench.store).await.unwrap();
    BackupBuilder::new("orders", "2026-11-20T08:00:00Z").store(&bench.store).await.unwrap();
    run(&bench.ports(), &policy(), &[bench.failed("orders"), bench.failed("billing")], &bench.context()).await;
    let told = bench.told();
    let entry = |name: &str| told[0].entries.iter().find(|e| e.database.as_str() == name).unwrap();
    let orders = entry("orders");
    assert_eq!(orders.protection.as_ref().unwrap().backup_id, good.backup_id);
    assert_eq!(orders.severity, Severity::Warning);
    assert_eq!(entry("billing").protection, None);
    assert_eq!(entry("billing").severity, Severity::Critical);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_any_write_of_the_control_store_loses_and_doubles_nothing() {
    for skip in 0..8 {
        for action in [Action::FailAfterWrite(ErrorKind::Store), Action::Reject(ErrorKind::Store)] {
            let bench = Bench::new();
            bench.control.fault(Fault::on([Operation::Swap], action.clone()).key("incidents/").after(skip));
            let batch = [bench.failed("orders"), bench.failed("billing"), bench.failed("users")];
            // As a queue does: until nothing failed.
            for delivery in 0..3 {
                let outcome = run(&bench.ports(), &policy(), &batch, &bench.context()).await;
                if outcome.failed.is_empty() {
                    break;
                }
                assert!(delivery < 2, "{outcome:?}");
            }
            // Claims lapse meanwhile: what was sent must be on record by then.
            bench.clock.advance(SignedDuration::from_mins(10));
            remind(&bench.ports(), &policy(), &bench.context()).await;
            let told: Vec<Message> = bench.told();
            let mut databases: Vec<&str> = told.iter().flat_map(|m| &m.entries).map(|e| e.database.as_str()).collect();
            databases.sort_unstable();
            assert_eq!(databases, ["billing", "orders", "users"], "fault after {skip}: {action:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_control_store_is_away_people_are_told_all_the_same_and_events_stay_in_the_queue() {
    let bench = Bench::new();
    bench.control.fault(Fault::on([Operation::Open], Action::Reject(ErrorKind::Store)).always());
    let ports = bench.ports();
    let batch = [bench.failed("orders")];
    let outcome = run(&ports, &policy(), &batch, &bench.context()).await;
    assert_eq!(outcome.failed, ["orders/BackupFailed"]);
    assert_eq!(bench.told().len(), 1);
    // The same process does not say it again with every delivery.
    run(&ports, &policy(), &batch, &bench.context()).await;
    assert_eq!(bench.told().len(), 1);
    bench.control.clear_faults();
    let outcome = run(&ports, &policy(), &batch, &bench.context()).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    let told = bench.told();
    // Told once more, now on record; with the same id, by which `notify` knows it.
    assert_eq!((told.len(), told[0].id == told[1].id), (2, true));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_read_does_not_silence_its_database() {
    let bench = Bench::new();
    bench.control.tamper("incidents/orders.json", "{ not a ledger");
    let outcome = run(&bench.ports(), &policy(), &[bench.failed("orders")], &bench.context()).await;
    assert!(outcome.error.is_none() && bench.told().len() == 1, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_verify_told_is_remembered_as_protection() {
    let bench = Bench::new();
    let backup_id = BackupId::new(bench.clock.now(), 0);
    let verified = BackupVerified { backup_id: backup_id.clone(), objects: 3, bytes: 100, seconds: 1.0 };
    run(&bench.ports(), &policy(), &[bench.received("orders", Body::BackupVerified(verified))], &bench.context()).await;
    bench.clock.advance(SignedDuration::from_hours(1));
    run(&bench.ports(), &policy(), &[bench.failed("orders")], &bench.context()).await;
    let told = bench.told();
    assert_eq!(told[0].entries[0].protection.as_ref().unwrap().backup_id, backup_id);
}

#[tokio::test(start_paused = true)]
async fn a_control_store_that_hangs_keeps_nobody_from_being_told_in_time() {
    let bench = Bench::new();
    bench.control.fault(Fault::on([Operation::Open], Action::Hold(Gate::new())).always());
    let (away, there) = (MemoryPeople::new("away"), MemoryPeople::new("there"));
    away.fail(1);
    let target = |people: &MemoryPeople| Target { channel: Arc::new(people.clone()), audience: Audience::default() };
    let ports = AlertPorts {
        outlet: Outlet::Channels(vec![target(&away), target(&there)]),
        patience: Some(Duration::from_secs(3)),
        ..bench.ports()
    };
    let batch = [bench.failed("orders")];
    let began = tokio::time::Instant::now();
    let outcome = run(&ports, &policy(), &batch, &bench.context()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(outcome.failed, ["orders/BackupFailed"]);
    assert_eq!((away.told().len(), there.told().len()), (0, 1));
    // The queue delivers it again: who has it does not hear it twice, who does not have it hears it now.
    run(&ports, &policy(), &batch, &bench.context()).await;
    assert_eq!((away.told().len(), there.told().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_the_topic_did_not_take_without_the_control_store_is_told_by_the_next_delivery() {
    let bench = Bench::new();
    bench.control.fault(Fault::on([Operation::Open], Action::Reject(ErrorKind::Store)).always());
    bench.topic.fail(1);
    let (ports, batch) = (bench.ports(), [bench.failed("orders")]);
    run(&ports, &policy(), &batch, &bench.context()).await;
    assert!(bench.told().is_empty());
    run(&ports, &policy(), &batch, &bench.context()).await;
    assert_eq!(bench.told().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_lasts_while_the_control_store_is_away_is_told_once_and_again_as_a_reminder() {
    let bench = Bench::new();
    bench.control.fault(Fault::on([Operation::Open], Action::Reject(ErrorKind::Store)).always());
    let ports = bench.ports();
    // Every hour there is a new event of the same trouble.
    for _ in 0..12 {
        run(&ports, &policy(), &[bench.failed("orders"), bench.failed("billing")], &bench.context()).await;
        bench.clock.advance(SignedDuration::from_hours(1));
    }
    assert_eq!(bench.told().len(), 1);
    bench.clock.advance(SignedDuration::from_hours(13));
    run(&ports, &policy(), &[bench.failed("orders")], &bench.context()).await;
    assert_eq!(bench.told().len(), 2);
    // Once the store was back, what happens when it is away again is news.
    bench.control.clear_faults();
    run(&ports, &policy(), &[bench.failed("orders")], &bench.context()).await;
    let before = bench.told().len();
    bench.control.fault(Fault::on([Operation::Open], Action::Reject(ErrorKind::Store)).always());
    bench.clock.advance(SignedDuration::from_hours(1));
    run(&ports, &policy(), &[bench.failed("orders")], &bench.context()).await;
    assert_eq!(bench.told().len(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_is_closed_by_hand_is_told_once_and_opens_again_if_it_happens_again() {
    let bench = Bench::new();
    run(&bench.ports(), &policy(), &[bench.failed("orders"), bench.failed("billing")], &bench.context()).await;
    let late = bench.failed("orders");
    bench.clock.advance(SignedDuration::from_hours(1));
    let (orders, context) = ("orders".parse().unwrap(), bench.context());
    let wrong = close(&bench.control, &policy(), &orders, Some(&Kind::Drill), &context).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::NotFound);
    assert_eq!(close(&bench.control, &policy(), &orders, Some(&Kind::Backup), &context).await.unwrap(), 1);
    remind(&bench.ports(), &policy(), &bench.context()).await;
    let told = bench.told();
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].subject, "[lifeboat] CLOSED orders: backup failed (closed)");
    assert_eq!((told[1].entries.len(), told[1].entries[0].change), (1, Change::Closed));
    let open = overview(&bench.control, None, bench.clock.now()).await.unwrap().open;
    assert_eq!(open.iter().map(|o| o.database.as_str()).collect::<Vec<_>>(), ["billing"]);
    // What is older than its end does not open it again, and nobody is reminded; what is newer does.
    bench.clock.advance(SignedDuration::from_hours(48));
    run(&bench.ports(), &policy(), &[late], &bench.context()).await;
    let told = bench.told();
    assert!(told[2..].iter().flat_map(|m| &m.entries).all(|e| e.database.as_str() == "billing"), "{told:?}");
    run(&bench.ports(), &policy(), &[bench.failed("orders")], &bench.context()).await;
    assert_eq!(bench.told().last().unwrap().entries[0].change, Change::Opened);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_reminded_for_ever_of_a_database_that_is_gone() {
    let bench = Bench::new();
    BackupBuilder::new("stored", "2026-11-20T02:00:00Z").store_verified(&bench.store).await.unwrap();
    let mut policy = policy();
    policy.databases.insert("configured".parse().unwrap(), policy.terms.clone());
    let batch = [bench.failed("gone"), bench.failed("stored"), bench.failed("configured")];
    run(&bench.ports(), &policy, &batch, &bench.context()).await;
    // What happened long ago and is heard of only now (a queue gave it back) is news all the same.
    let mut late = bench.failed("late");
    late.event.at = "2026-10-01T02:00:00Z".parse().unwrap();
    run(&bench.ports(), &policy, &[late], &bench.context()).await;
    remind(&bench.ports(), &policy, &bench.context()).await;
    let open = overview(&bench.control, None, bench.clock.now()).await.unwrap().open;
    assert!(open.iter().any(|open| open.database.as_str() == "late"), "{open:?}");
    close(&bench.control, &policy, &"late".parse().unwrap(), None, &bench.context()).await.unwrap();
    // While the store does not answer, nothing is taken for gone.
    for _ in 0..8 {
        bench.clock.advance(SignedDuration::from_hours(24));
        bench.store.fault(Fault::on([Operation::Folders], Action::Reject(ErrorKind::Store)));
        remind(&bench.ports(), &policy, &bench.context()).await;
    }
    assert_eq!(overview(&bench.control, None, bench.clock.now()).await.unwrap().open.len(), 3);
    remind(&bench.ports(), &policy, &bench.context()).await;
    let told = bench.told();
    let last = told.last().unwrap();
    assert_eq!((last.entries.len(), last.entries[0].database.as_str()), (1, "gone"));
    assert_eq!(last.entries[0].change, Change::Closed);
    assert_eq!(overview(&bench.control, None, bench.clock.now()).await.unwrap().open.len(), 2);
}
