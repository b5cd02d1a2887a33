//! Deliveries: each channel gets each message once, whatever fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod sample_messages;

use std::sync::Arc;

use jiff::SignedDuration;
use lifeboat_core::{
    ErrorKind,
    deliveries::{Target, deliver, deliver_again, forget, undelivered},
    events::Severity,
    messages::Audience,
    ports::{Clock, Entropy, Removal, RunContext},
};
use lifeboat_testkit::{Action, Fault, FixedEntropy, Gate, ManualClock, MemoryPeople, MemoryStore, Operation, context};
use sample_messages::{mixed, one, resolved};

struct Bench {
    control: MemoryStore,
    clock: Arc<ManualClock>,
    entropy: FixedEntropy,
    team: MemoryPeople,
    pager: MemoryPeople,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-20T12:00:00Z"));
        Self {
            control: MemoryStore::with_clock(Removal::Delete, Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
            entropy: FixedEntropy::starting_at(1),
            team: MemoryPeople::new("team"),
            pager: MemoryPeople::new("pager"),
        }
    }

    fn targets(&self) -> Vec<Target> {
        let target = |people: &MemoryPeople, audience| Target { channel: Arc::new(people.clone()), audience };
        vec![
            target(&self.team, Audience::default()),
            target(&self.pager, Audience { severity: Severity::Critical, ..Audience::default() }),
        ]
    }

    fn context(&self) -> RunContext {
        context().run(self.entropy.next()).clock(Arc::clone(&self.clock) as Arc<dyn Clock>).build()
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_delivered_again_reaches_nobody_twice() {
    let bench = Bench::new();
    let first = deliver(&bench.control, &bench.targets(), &mixed(), &bench.context()).await.unwrap();
    assert_eq!((first.sent.len(), first.failed.len()), (2, 0));
    let again = deliver(&bench.control, &bench.targets(), &mixed(), &bench.context()).await.unwrap();
    assert_eq!((again.had, again.sent.len()), (vec!["team".to_owned(), "pager".to_owned()], 0));
    assert_eq!((bench.team.told().len(), bench.pager.told().len()), (1, 1));
    assert!(bench.pager.told()[0].entries.len() < bench.team.told()[0].entries.len());
}

#[tokio::test(start_paused = true)]
async fn only_the_channel_that_failed_is_tried_again_and_until_then_it_is_seen() {
    let bench = Bench::new();
    bench.pager.fail(2);
    let first = deliver(&bench.control, &bench.targets(), &mixed(), &bench.context()).await.unwrap();
    assert!(first.failed["pager"].contains("pager is away"));
    let seen = undelivered(&bench.control).await.unwrap();
    assert_eq!((seen.len(), seen[0].channels.contains_key("pager")), (1, true));
    assert_eq!(seen[0].subject, mixed().subject);
    // A later run, about something else, tries it again: in vain, then not.
    for left in [1, 0] {
        deliver_again(&bench.control, &bench.targets(), &bench.context()).await.unwrap();
        assert_eq!(undelivered(&bench.control).await.unwrap().len(), left);
    }
    assert_eq!((bench.team.told().len(), bench.pager.told().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn while_one_run_delivers_another_leaves_it_and_takes_over_when_it_died() {
    let bench = Bench::new();
    let gate = Gate::new();
    bench.control.fault(Fault::on([Operation::Swap], Action::Hold(gate.clone())).key("messages/").after(1));
    let (targets, message, run) = (bench.targets(), one(), bench.context());
    let mut slow = Box::pin(deliver(&bench.control, &targets, &message, &run));
    tokio::select! {
        _ = &mut slow => panic!("it must wait at the gate"),
        () = gate.reached() => {}
    }
    let other = deliver(&bench.control, &targets, &message, &bench.context()).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::AlreadyRunning);
    // It dies there, with its message sent but not on record.
    drop(slow);
    bench.clock.advance(SignedDuration::from_mins(6));
    deliver(&bench.control, &targets, &message, &bench.context()).await.unwrap();
    assert_eq!(bench.team.told().len(), 2);
    assert_eq!(bench.team.told()[0].id, bench.team.told()[1].id);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_the_control_store_makes_no_second_message() {
    for skip in 0..2 {
        let bench = Bench::new();
        let fault = Fault::on([Operation::Swap], Action::FailAfterWrite(ErrorKind::Store)).after(skip);
        bench.control.fault(fault);
        deliver(&bench.control, &bench.targets(), &one(), &bench.context()).await.unwrap();
        bench.clock.advance(SignedDuration::from_mins(6));
        deliver(&bench.control, &bench.targets(), &one(), &bench.context()).await.unwrap();
        assert_eq!(bench.team.told().len(), 1, "after {skip}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_a_month_is_forgotten() {
    let bench = Bench::new();
    deliver(&bench.control, &bench.targets(), &one(), &bench.context()).await.unwrap();
    bench.clock.advance(SignedDuration::from_hours(24 * 29));
    deliver(&bench.control, &bench.targets(), &resolved(), &bench.context()).await.unwrap();
    bench.clock.advance(SignedDuration::from_hours(24 * 2));
    assert_eq!(forget(&bench.control, bench.clock.now()).await.unwrap(), 1);
    assert_eq!(bench.control.keys().iter().filter(|key| key.starts_with("messages/")).count(), 1);
}
