//! Tests of scheduled runs on a store in memory.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use lifeboat_core::ports::Removal;
use lifeboat_testkit::{ManualClock, MemoryStore, context};

use super::*;

struct Stage {
    store: MemoryStore,
    clock: Arc<ManualClock>,
    database: DatabaseSlug,
    runs: AtomicU32,
}

impl Stage {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-20T02:00:05Z"));
        Self {
            store: MemoryStore::with_clock(Removal::Delete, clock.clone()),
            clock,
            database: "orders".parse().unwrap(),
            runs: AtomicU32::new(0),
        }
    }

    fn scheduled(&self) -> OneRun<'_> {
        let occasion = Occasion::Scheduled("2026-11-20T02:00:00Z".parse().unwrap());
        let (alive, longest) = (Alive::Leased, SignedDuration::from_mins(15));
        OneRun { control: &self.store, operation: "dump", database: &self.database, occasion, alive, longest }
    }

    /// A run without a lease, in whatever lets it run so long.
    fn verify(&self, longest: SignedDuration) -> OneRun<'_> {
        OneRun { operation: "verify", alive: Alive::Claimed, longest, ..self.scheduled() }
    }

    async fn deliver(&self, run: u64, result: Result<u32>) -> Result<Answer<u32>> {
        self.deliver_working(run, async { result }).await
    }

    async fn deliver_working(&self, run: u64, work: impl Future<Output = Result<u32>>) -> Result<Answer<u32>> {
        let context = context().run(run).clock(self.clock.clone()).build();
        let work = async {
            self.runs.fetch_add(1, Ordering::Relaxed);
            work.await.map(Told::nothing)
        };
        self.scheduled().once(&context, work).await.map(|told| told.answer)
    }

    /// A run that claimed its time, and has not been heard of since.
    async fn silent(&self, run: u64) {
        let context = context().run(run).clock(self.clock.clone()).build();
        assert_eq!(self.scheduled().claim::<u32>(&context).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_second_delivery_answers_what_the_first_did_and_runs_nothing() {
    let stage = Stage::new();
    assert_eq!(stage.deliver(1, Ok(7)).await.unwrap(), Answer::Done(7));
    let second = stage.deliver(2, Ok(8)).await.unwrap();
    assert_eq!(second, Answer::AlreadyDone { earlier: serde_json::json!(7) });
    assert_eq!(stage.runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_run_that_failed_is_tried_again_by_the_next_delivery() {
    let stage = Stage::new();
    let failed = stage.deliver(1, Err(Error::new(ErrorKind::Database, "no answer"))).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Database);
    assert_eq!(stage.deliver(2, Ok(8)).await.unwrap(), Answer::Done(8));
}

#[tokio::test]
async fn a_claim_without_an_answer_is_a_running_run_at_first_and_a_dead_one_later() {
    let stage = Stage::new();
    stage.silent(1).await;
    assert_eq!(stage.deliver(2, Ok(8)).await.unwrap(), Answer::AlreadyRunning);
    stage.clock.advance(SignedDuration::from_mins(4));
    assert_eq!(stage.deliver(3, Ok(9)).await.unwrap(), Answer::Done(9));
}

fn already_running() -> Error {
    Error::new(ErrorKind::AlreadyRunning, "another run holds the lease")
}

#[tokio::test]
async fn a_run_that_was_only_slow_is_not_made_again_by_whoever_took_it_for_dead() {
    let stage = Stage::new();
    stage.silent(1).await;
    stage.clock.advance(SignedDuration::from_mins(4));
    // The second delivery takes it over and finds the lease taken: the first lives, and comes to its end.
    let answered = format!("{}.answer.json", stage.scheduled().key());
    let second = stage.deliver_working(2, async {
        stage.store.tamper(&answered, "7");
        Err(already_running())
    });
    assert_eq!(second.await.unwrap_err().kind(), ErrorKind::AlreadyRunning);
    assert_eq!(stage.deliver(3, Ok(9)).await.unwrap(), Answer::AlreadyDone { earlier: serde_json::json!(7) });
    assert_eq!(stage.runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_dead_run_is_taken_over_by_one_of_two_deliveries_at_once() {
    let stage = Stage::new();
    stage.silent(1).await;
    stage.clock.advance(SignedDuration::from_mins(4));
    let second = stage.deliver_working(2, async {
        assert_eq!(stage.deliver(3, Ok(9)).await.unwrap(), Answer::AlreadyRunning);
        Ok(8)
    });
    assert_eq!(second.await.unwrap(), Answer::Done(8));
    assert_eq!(stage.runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_failed_run_does_not_give_back_what_another_has_taken_over() {
    let stage = Stage::new();
    let first = stage.deliver_working(1, async {
        stage.clock.advance(SignedDuration::from_mins(4));
        // It seemed dead, and another goes on in its place while it fails.
        stage.store.tamper(&stage.scheduled().key(), "another");
        Err(already_running())
    });
    first.await.unwrap_err();
    assert_eq!(stage.store.body(&stage.scheduled().key()).unwrap(), "another");
}

#[tokio::test]
async fn a_run_without_a_lease_is_dead_when_what_ran_it_must_have_ended_it() {
    let (minutes, hours) = (SignedDuration::from_mins, SignedDuration::from_hours);
    // Where a task may run half a day, a function's run may not: the claim says which it is.
    for (longest, alive_after, dead_after) in
        [(minutes(15), minutes(14), minutes(16)), (hours(30), hours(29), hours(31))]
    {
        let stage = Stage::new();
        let context = |run| context().run(run).clock(stage.clock.clone()).build();
        assert_eq!(stage.verify(longest).claim::<u32>(&context(1)).await.unwrap(), None);
        stage.clock.advance(alive_after);
        for looks in [minutes(15), hours(12)] {
            let standing = stage.verify(looks).standing(&context(2)).await.unwrap();
            assert_eq!(standing, Standing::Running, "{longest} after {alive_after}");
        }
        stage.clock.advance(dead_after - alive_after);
        let standing = stage.verify(hours(12)).standing(&context(2)).await.unwrap();
        assert!(matches!(standing, Standing::Open(Some(_))), "{longest} after {dead_after}: {standing:?}");
        assert_eq!(stage.verify(hours(12)).claim::<u32>(&context(2)).await.unwrap(), None);
        let third = stage.verify(minutes(15)).claim::<u32>(&context(3)).await.unwrap();
        assert_eq!(third, Some(Answer::AlreadyRunning), "it is the second run's now");
    }
}
