//! Deliveries: each channel gets each message once, whatever fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod sample_messages;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::SignedDuration;
use lifeboat_core::{
    Error, ErrorKind,
    deliveries::{Again, Target, Undelivered, deliver, deliver_again, forget, note_unreadable, undelivered},
    events::Severity,
    incidents::overview,
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

    async fn again(&self) -> Again {
        self.again_but(&[], BUDGET).await
    }

    async fn again_but(&self, but: &[&str], budget: Duration) -> Again {
        let but: BTreeSet<String> = but.iter().map(|name| (*name).to_owned()).collect();
        deliver_again(&self.control, &self.targets(), &but, budget, &self.context()).await.unwrap()
    }

    async fn undelivered(&self) -> Vec<Undelivered> {
        undelivered(&self.control, self.clock.now()).await.unwrap()
    }
}

const BUDGET: Duration = Duration::from_mins(1);

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
    let seen = bench.undelivered().await;
    assert_eq!((seen.len(), seen[0].channels.contains_key("pager")), (1, true));
    assert_eq!(seen[0].subject, mixed().subject);
    // A later run, about something else, tries it again: in vain, then not.
    for left in [1, 0] {
        assert_eq!(bench.again().await, Again { delivered: 1 - left, left });
        assert_eq!(bench.undelivered().await.len() as u64, left);
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

#[tokio::test(start_paused = true)]
async fn a_channel_that_fails_is_tried_once_by_a_run_however_many_messages_wait_for_it() {
    let bench = Bench::new();
    bench.team.fail(3);
    bench.pager.fail(2);
    for message in [mixed(), one(), resolved()] {
        deliver(&bench.control, &bench.targets(), &message, &bench.context()).await.unwrap();
    }
    let waiting = bench.undelivered().await.len() as u64;
    assert_eq!(waiting, 3);
    // Both are still away: each is asked once, not three times.
    bench.team.fail(1);
    bench.pager.fail(1);
    assert_eq!(bench.again().await, Again { delivered: 0, left: 3 });
    assert!(bench.team.told().is_empty() && bench.pager.told().is_empty());
    // One that has failed in this run already is not asked at all, and the other gets what is its own.
    assert_eq!(bench.again_but(&["team"], BUDGET).await.delivered, 0);
    assert!(bench.team.told().is_empty() && !bench.pager.told().is_empty());
    let pager = bench.pager.told().len();
    assert_eq!(bench.again().await, Again { delivered: 3, left: 0 });
    assert_eq!((bench.team.told().len(), bench.pager.told().len()), (3, pager));
    assert!(bench.undelivered().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_attempt_ends_with_its_time_and_loses_nothing() {
    let bench = Bench::new();
    bench.team.fail(1);
    deliver(&bench.control, &bench.targets(), &one(), &bench.context()).await.unwrap();
    assert_eq!(bench.again_but(&[], Duration::ZERO).await, Again { delivered: 0, left: 1 });
    assert_eq!((bench.undelivered().await.len(), bench.team.told().len()), (1, 0));
    assert_eq!(bench.again().await, Again { delivered: 1, left: 0 });
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_could_not_be_written_down_is_no_error_and_is_not_sent_again_at_once() {
    let bench = Bench::new();
    // The claim succeeds, and nothing is saved after it.
    let fault = Fault::on([Operation::Swap], Action::Reject(ErrorKind::Store)).key("messages/").after(1).always();
    bench.control.fault(fault);
    let sent = deliver(&bench.control, &bench.targets(), &one(), &bench.context()).await.unwrap();
    assert!(sent.unrecorded.is_some() && sent.is_complete() && sent.failed.is_empty(), "{sent:?}");
    assert!(sent.sent.contains(&"team".to_owned()));
    bench.control.clear_faults();
    // Nor later: it is not among the unsent any more.
    bench.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(bench.again().await, Again::default());
    assert_eq!(bench.team.told().len(), 1);
    assert!(bench.undelivered().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_on_a_channel_is_not_told_of_for_ever() {
    let bench = Bench::new();
    bench.pager.fail(1);
    bench.team.fail(1);
    deliver(&bench.control, &bench.targets(), &one(), &bench.context()).await.unwrap();
    assert_eq!(bench.undelivered().await.len(), 1);
    // The channel that failed is taken out of the configuration.
    let only_pager = bench.targets().split_off(1);
    deliver_again(&bench.control, &only_pager, &BTreeSet::new(), BUDGET, &bench.context()).await.unwrap();
    assert!(bench.undelivered().await.is_empty());
    // After a week nobody tries any more, and nobody is told of it any more.
    let bench = Bench::new();
    bench.team.fail(10);
    deliver(&bench.control, &bench.targets(), &one(), &bench.context()).await.unwrap();
    bench.clock.advance(SignedDuration::from_hours(8 * 24));
    assert!(bench.undelivered().await.is_empty());
    assert_eq!(bench.again().await, Again::default());
    assert!(bench.control.keys().iter().all(|key| !key.starts_with("messages/unsent/")));
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_run_died_and_one_with_a_damaged_record_are_seen_and_hide_no_other() {
    let bench = Bench::new();
    let gate = Gate::new();
    bench.control.fault(Fault::on([Operation::Swap], Action::Hold(gate.clone())).key("messages/").after(1));
    let (targets, message, run) = (bench.targets(), one(), bench.context());
    let mut slow = Box::pin(deliver(&bench.control, &targets, &message, &run));
    tokio::select! {
        _ = &mut slow => panic!("it must wait at the gate"),
        () = gate.reached() => {}
    }
    // Under way is not lost.
    assert!(bench.undelivered().await.is_empty());
    drop(slow);
    bench.clock.advance(SignedDuration::from_mins(6));
    let seen = bench.undelivered().await;
    assert_eq!((seen.len(), seen[0].subject.as_str()), (1, one().subject.as_str()));
    assert!(seen[0].channels["all"].contains("ended without a word"), "{seen:?}");

    bench.pager.fail(1);
    deliver(&bench.control, &bench.targets(), &mixed(), &bench.context()).await.unwrap();
    bench.control.tamper(&format!("messages/{}.json", one().id), "{ no record");
    let seen = bench.undelivered().await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().any(|m| m.message_id == one().id && m.channels["all"].contains("record")), "{seen:?}");
    // And it is delivered all the same.
    let told = bench.team.told().len();
    assert_eq!(bench.again().await, Again { delivered: 2, left: 0 });
    assert_eq!(bench.team.told().len(), told + 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_concerns_the_databases_that_it_tells_of() {
    let bench = Bench::new();
    bench.team.fail(1);
    deliver(&bench.control, &bench.targets(), &one(), &bench.context()).await.unwrap();
    let concerned = one().entries[0].database.clone();
    for (database, expected) in [(Some(concerned), 1), (Some("another".parse().unwrap()), 0), (None, 1)] {
        let seen = overview(&bench.control, database.as_ref(), bench.clock.now()).await.unwrap();
        assert_eq!(seen.undelivered.len(), expected, "{database:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_is_seen_once_for_a_week_and_then_forgotten() {
    let bench = Bench::new();
    let error = Error::new(ErrorKind::Usage, "read an event's detail: missing field `run_id`");
    for id in ["19dd0b57-b21e-4ac1-bd88-01bbb068cb04", "19dd0b57-b21e-4ac1-bd88-01bbb068cb04", "../made/up"] {
        note_unreadable(&bench.control, id, &error, &bench.context()).await.unwrap();
    }
    let seen = bench.undelivered().await;
    assert_eq!(seen.len(), 2, "{seen:#?}");
    for part in ["missing field", "dead-letter queue"] {
        assert!(seen[0].channels["alert"].contains(part), "{seen:#?}");
    }
    assert_eq!(bench.again().await, Again::default());
    assert!(bench.team.told().is_empty());
    bench.clock.advance(SignedDuration::from_hours(6 * 24));
    assert_eq!(forget(&bench.control, bench.clock.now()).await.unwrap(), 0);
    bench.clock.advance(SignedDuration::from_hours(2 * 24));
    assert_eq!(forget(&bench.control, bench.clock.now()).await.unwrap(), 2);
    assert!(bench.undelivered().await.is_empty());
}
