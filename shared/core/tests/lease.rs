//! Leases over a store in memory, in tokio's paused time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use lifeboat_core::{
    ErrorKind, Result,
    cancel::{self, Cancel},
    ids::DatabaseSlug,
    lease::{self, LeaseGuard, LeaseOptions, Occasion, RunClaim},
    ports::{Clock, Removal, RunContext},
};
use lifeboat_testkit::{Action, Fault, Gate, ManualClock, MemoryStore, Operation, context};

const TTL: Duration = Duration::from_secs(30);

struct Runner {
    control: MemoryStore,
    context: RunContext,
    cancel: Cancel,
    canceller: cancel::Canceller,
}

fn runner(control: &MemoryStore, number: u64, clock: &Arc<ManualClock>) -> Runner {
    let (canceller, cancel) = cancel::pair();
    let context = context().run(number).clock(clock.clone()).build();
    Runner { control: control.clone(), context, cancel, canceller }
}

fn orders() -> DatabaseSlug {
    DatabaseSlug::from_name("orders").unwrap()
}

impl Runner {
    async fn acquire(&self, wait: Duration) -> Result<LeaseGuard> {
        let options = LeaseOptions { ttl: TTL, wait, host: Some("db-1".to_owned()) };
        let control = Arc::new(self.control.clone());
        lease::acquire(control, &orders(), "dump", &self.context, self.canceller.clone(), options).await
    }
}

fn world() -> (MemoryStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::following_tokio("2026-11-20T02:00:00Z"));
    (MemoryStore::with_clock(Removal::Delete, clock.clone()), clock)
}

#[tokio::test(start_paused = true)]
async fn a_second_run_is_told_who_holds_the_lease_since_when_and_until_when() {
    let (control, clock) = world();
    let first = runner(&control, 1, &clock);
    let guard = first.acquire(Duration::ZERO).await.unwrap();
    let error = runner(&control, 2, &clock).acquire(Duration::ZERO).await.unwrap_err();
    assert_eq!((error.kind(), error.kind().exit_code()), (ErrorKind::AlreadyRunning, 75));
    let said = error.to_string();
    for part in [first.context.run_id.as_str(), "dump on db-1", "2026-11-20T02:00:00Z", "2026-11-20T02:00:30Z"] {
        assert!(said.contains(part), "{said} lacks {part}");
    }
    guard.release().await.unwrap();
    runner(&control, 2, &clock).acquire(Duration::ZERO).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_held_lease_is_renewed_for_as_long_as_its_holder_lives() {
    let (control, clock) = world();
    let first = runner(&control, 1, &clock);
    let guard = first.acquire(Duration::ZERO).await.unwrap();
    tokio::time::sleep(Duration::from_hours(1)).await;
    let second = runner(&control, 2, &clock);
    assert_eq!(second.acquire(Duration::from_secs(90)).await.unwrap_err().kind(), ErrorKind::AlreadyRunning);
    guard.still_held().await.unwrap();
    first.cancel.check().unwrap();
    let holder = lease::holder(&control, &orders(), clock.now()).await.unwrap().unwrap();
    assert_eq!(holder.run_id, first.context.run_id);
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_dead_holder_lapses_and_a_waiting_run_takes_it() {
    let (control, clock) = world();
    drop(runner(&control, 1, &clock).acquire(Duration::ZERO).await.unwrap());
    let second = runner(&control, 2, &clock);
    assert_eq!(second.acquire(Duration::ZERO).await.unwrap_err().kind(), ErrorKind::AlreadyRunning);
    let guard = second.acquire(Duration::from_mins(1)).await.unwrap();
    guard.still_held().await.unwrap();
    let waited = clock.now().duration_since("2026-11-20T02:00:00Z".parse().unwrap());
    assert!(waited >= SignedDuration::from_secs(30) && waited < SignedDuration::from_secs(34), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_holder_whose_clock_ran_ahead_is_outwaited_by_watching() {
    let (control, clock) = world();
    let ahead = Arc::new(ManualClock::following_tokio("2026-11-21T02:00:00Z"));
    drop(runner(&control, 1, &ahead).acquire(Duration::ZERO).await.unwrap());
    let second = runner(&control, 2, &clock);
    assert!(second.acquire(Duration::from_secs(20)).await.is_err());
    second.acquire(Duration::from_secs(40)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_living_holder_whose_clock_ran_ahead_is_not_robbed() {
    let (control, clock) = world();
    let ahead = Arc::new(ManualClock::following_tokio("2026-11-21T02:00:00Z"));
    let guard = runner(&control, 1, &ahead).acquire(Duration::ZERO).await.unwrap();
    assert!(runner(&control, 2, &clock).acquire(Duration::from_mins(5)).await.is_err());
    guard.still_held().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_paused_holder_that_wakes_finds_its_lease_gone_and_leaves_it_to_its_new_holder() {
    let (control, clock) = world();
    let first = runner(&control, 1, &clock);
    // The holder is frozen: its renewals wait at a gate.
    let gate = Gate::new();
    let guard = first.acquire(Duration::ZERO).await.unwrap();
    control.fault(Fault::on([Operation::Swap], Action::Hold(gate.clone())));
    gate.reached().await;
    clock.advance(SignedDuration::from_mins(5));
    let second = runner(&control, 2, &clock);
    let new_guard = second.acquire(Duration::ZERO).await.unwrap();
    gate.open();

    let error = guard.still_held().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyRunning);
    assert_eq!(first.cancel.check().unwrap_err().kind(), ErrorKind::AlreadyRunning);
    guard.release().await.unwrap();
    new_guard.still_held().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_background_renewal_stops_the_run_when_the_lease_is_lost() {
    let (control, clock) = world();
    let first = runner(&control, 1, &clock);
    let _guard = first.acquire(Duration::ZERO).await.unwrap();
    let other = runner(&control, 2, &clock);
    control.remove("leases/orders.json");
    let _other = other.acquire(Duration::ZERO).await.unwrap();
    assert_eq!(first.cancel.cancelled().await.kind(), ErrorKind::AlreadyRunning);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_renew_stops_when_its_lease_may_have_lapsed() {
    let (control, clock) = world();
    let first = runner(&control, 1, &clock);
    let guard = first.acquire(Duration::ZERO).await.unwrap();
    control.fault(Fault::on([Operation::Swap], Action::Reject(ErrorKind::Store)).always());
    tokio::time::sleep(Duration::from_secs(25)).await;
    first.cancel.check().unwrap();
    // Nobody else may be doing its work: this must be told.
    let error = first.cancel.cancelled().await;
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(clock.now() <= "2026-11-20T02:00:41Z".parse().unwrap());
    assert!(guard.still_held().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_given_up_in_time() {
    let (control, clock) = world();
    let first = runner(&control, 1, &clock);
    let guard = first.acquire(Duration::ZERO).await.unwrap();
    control.fault(Fault::on([Operation::Swap], Action::Hold(Gate::new())).always());
    first.cancel.cancelled().await;
    assert!(clock.now() <= "2026-11-20T02:01:01Z".parse().unwrap(), "{}", clock.now());
    // And it does not keep the run from telling that.
    let before = clock.now();
    assert_eq!(guard.release().await.unwrap_err().kind(), ErrorKind::Store);
    assert!(clock.now().duration_since(before) <= SignedDuration::from_secs(11), "{}", clock.now());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_swap_is_resolved_by_looking() {
    let (control, clock) = world();
    control.fault(Fault::on([Operation::Swap], Action::FailAfterWrite(ErrorKind::Store)).times(3));
    let first = runner(&control, 1, &clock);
    let guard = first.acquire(Duration::ZERO).await.unwrap();
    guard.still_held().await.unwrap();
    guard.still_held().await.unwrap();
    first.cancel.check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_was_cut_off_but_arrived_is_recognised_as_our_own() {
    let (control, clock) = world();
    let first = runner(&control, 1, &clock);
    let guard = first.acquire(Duration::ZERO).await.unwrap();
    // The renewal is written, but its answer, and the look that would resolve it, do not come in time.
    control.fault(Fault::on([Operation::Swap], Action::FailAfterWrite(ErrorKind::Store)));
    control.fault(Fault::on([Operation::Open], Action::Hold(Gate::new())));
    tokio::time::sleep(Duration::from_secs(25)).await;
    guard.still_held().await.unwrap();
    first.cancel.check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_at_once_get_one_lease() {
    let (control, clock) = world();
    let (one, two) = (runner(&control, 1, &clock), runner(&control, 2, &clock));
    // Both have seen that the lease is free before either swaps.
    let gate = Gate::new();
    control.fault(Fault::on([Operation::Swap], Action::Hold(gate.clone())).times(2));
    let (a, b, ()) = tokio::join!(one.acquire(Duration::ZERO), two.acquire(Duration::ZERO), async {
        gate.reached().await;
        tokio::task::yield_now().await;
        gate.open();
    });
    assert_eq!([a.is_ok(), b.is_ok()].iter().filter(|won| **won).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_lease_holds_off_until_nobody_can_be_alive_behind_it() {
    let (control, clock) = world();
    control.tamper("leases/orders.json", "not a lease");
    let error = runner(&control, 1, &clock).acquire(Duration::from_secs(5)).await.unwrap_err();
    assert!(error.hint().contains("delete that object"));
    assert!(lease::holder(&control, &orders(), clock.now()).await.is_err());
    runner(&control, 1, &clock).acquire(Duration::from_secs(70)).await.unwrap();
}

#[tokio::test]
async fn a_scheduled_run_is_claimed_once_but_again_by_the_same_run() {
    let (control, clock) = world();
    let (one, two) = (runner(&control, 1, &clock), runner(&control, 2, &clock));
    let at = "2026-11-20T02:00:00Z".parse().unwrap();
    let claim = |r: Runner, at| async move {
        let claim = RunClaim { run_id: r.context.run_id.clone(), until: "2026-11-20T02:15:00Z".parse().unwrap() };
        lease::claim_run(&r.control, "dump", &orders(), &Occasion::Scheduled(at), &claim).await.unwrap()
    };
    assert!(claim(one, at).await);
    assert!(!claim(two, at).await);
    assert!(claim(runner(&control, 1, &clock), at).await);
    assert!(claim(runner(&control, 2, &clock), at + SignedDuration::from_hours(24)).await);
    assert_eq!(control.keys()[0], "runs/dump/orders/20261120T020000Z");
}
