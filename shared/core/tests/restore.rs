//! Hooks around a restore, and how long it will take.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use lifeboat_core::{
    Error, ErrorKind, Result, cancel,
    forecast::Extent,
    ports::{Hooks, Removal, Store},
    report::DrillReport,
    restore::{NoHooks, hooked, predict},
};
use lifeboat_testkit::{MemoryStore, context};

/// Hooks that note what becomes of them; what comes before may fail, what comes after may be troubled.
#[derive(Default)]
struct Noted {
    fails: bool,
    troubled: bool,
    seen: Mutex<Vec<String>>,
}

impl Noted {
    fn note(&self, what: &str) {
        self.seen.lock().unwrap().push(what.to_owned());
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

#[async_trait]
impl Hooks for Noted {
    async fn before(&self) -> Result<()> {
        self.note("before");
        if self.fails { Err(Error::new(ErrorKind::Refused, "no such unit")) } else { Ok(()) }
    }

    async fn after(&self, succeeded: bool) -> Vec<String> {
        self.note(&format!("after {succeeded}"));
        if self.troubled { vec!["the shop did not start".to_owned()] } else { Vec::new() }
    }
}

#[tokio::test]
async fn what_comes_after_runs_in_every_ending_and_its_trouble_is_told() {
    let context = context().build();
    let hooks = Noted { troubled: true, ..Noted::default() };
    let done = hooked(&hooks, &context, async { Ok(7) }).await.unwrap();
    assert_eq!(done, (7, vec!["the shop did not start".to_owned()]));
    assert_eq!(hooks.seen(), ["before", "after true"]);

    let hooks = Noted { troubled: true, ..Noted::default() };
    let failing = async { Err::<(), _>(Error::new(ErrorKind::Database, "gone").with_hint("look")) };
    let error = hooked(&hooks, &context, failing).await.unwrap_err();
    assert_eq!(error.to_string(), "gone; and afterwards: the shop did not start");
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Database, "look"));
    assert_eq!(hooks.seen(), ["before", "after false"]);
}

#[tokio::test]
async fn nothing_is_done_where_what_comes_before_fails_or_the_run_is_stopped() {
    let hooks = Noted { fails: true, ..Noted::default() };
    let work = async {
        hooks.note("work");
        Ok(())
    };
    let error = hooked(&hooks, &context().build(), work).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Refused, "no such unit"));
    assert_eq!(hooks.seen(), ["before", "after false"]);

    let (canceller, cancel) = cancel::pair();
    canceller.cancel(ErrorKind::Interrupted);
    let stopped = context().cancel(cancel).build();
    let error = hooked(&NoHooks, &stopped, async { Ok(()) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
}

#[tokio::test]
async fn a_restore_is_predicted_by_the_pace_of_drills_and_without_one_not_at_all() {
    let store = MemoryStore::new(Removal::Delete);
    let fixture = include_bytes!("fixtures/format-1/report.json");
    let report = DrillReport::open(fixture).unwrap();
    let half = Extent { stored_bytes: report.backup.stored_bytes / 2, rows: report.backup.rows / 2 };
    let none = predict(&store, &report.database, half).await.unwrap();
    assert_eq!(none.seconds, None);
    assert!(none.to_string().starts_with("not known: no drill has measured one yet"), "{none}");

    let key = format!("{}/drills/{}/report.json", report.database, report.drill_id);
    store.put_new(&key, Bytes::from_static(fixture), &context().build().run_id).await.unwrap();
    let predicted = predict(&store, &report.database, half).await.unwrap();
    let phases: f64 = report
        .phases
        .iter()
        .filter(|phase| matches!(phase.phase.as_str(), "restore" | "compare"))
        .map(|phase| phase.seconds)
        .sum();
    assert!(phases > 0.0, "the fixture has phases");
    // Half of it takes half as long, but for a row or a byte that does not halve.
    let told = predicted.seconds.unwrap();
    assert!((told / phases - 0.5).abs() < 0.01, "{told} of {phases}");
    let words = predicted.to_string();
    assert!(words.contains("(at the speed of the only drill); comparing every row, about"), "{words}");
    let nothing = Extent { stored_bytes: 0, rows: 0 };
    assert_eq!(predict(&store, &report.database, nothing).await.unwrap().seconds, None);
}
