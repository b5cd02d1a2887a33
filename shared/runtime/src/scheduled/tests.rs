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

    async fn deliver(&self, run: u64, result: Result<u32>) -> Result<Answer<u32>> {
        let context = context().run(run).clock(self.clock.clone()).build();
        let at = "2026-11-20T02:00:00Z".parse().unwrap();
        let scheduled =
            Scheduled { control: &self.store, operation: "dump", database: &self.database, at, leased: true };
        scheduled
            .once(&context, async {
                self.runs.fetch_add(1, Ordering::Relaxed);
                result.map(Told::nothing)
            })
            .await
            .map(|told| told.answer)
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
    let context = context().run(1).clock(stage.clock.clone()).build();
    let at = "2026-11-20T02:00:00Z".parse().unwrap();
    assert!(claim_run(&stage.store, "dump", &stage.database, at, &context).await.unwrap());
    assert_eq!(stage.deliver(2, Ok(8)).await.unwrap(), Answer::AlreadyRunning);
    stage.clock.advance(SignedDuration::from_mins(2));
    assert_eq!(stage.deliver(3, Ok(9)).await.unwrap(), Answer::Done(9));
}
