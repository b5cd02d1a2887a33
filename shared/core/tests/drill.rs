//! Which backup a drill takes, and what it does where no scratch target can be made.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use lifeboat_core::{
    Error, ErrorKind, Result,
    drill::{self, DrillOutcome, DrillPorts, DrillRequest, Selection},
    manifest::Manifest,
    ports::{Removal, RunContext, Scratch, ScratchProvider, ScratchWish, Store},
    report::Verdict,
};
use lifeboat_testkit::{Action, BackupBuilder, Fault, MemoryStore, Operation, context};

/// A server that cannot be reached.
struct Unreachable;

#[async_trait]
impl ScratchProvider for Unreachable {
    fn describe(&self) -> String {
        "a server that is away".to_owned()
    }

    async fn provision(&self, _: &ScratchWish<'_>, _: &RunContext) -> Result<Box<dyn Scratch>> {
        Err(Error::new(ErrorKind::Database, "connect to scratch:5432: refused"))
    }
}

async fn freeze(store: &MemoryStore, manifest: &Manifest) {
    let tags = BTreeMap::from([("lifeboat-move".to_owned(), "GLACIER".to_owned())]);
    for object in store.list(&format!("{}archive/", manifest.folder())).await.unwrap() {
        store.set_tags(&object.key, &tags).await.unwrap();
    }
    store.run_lifecycle();
}

async fn drilled(store: &MemoryStore, selection: Selection) -> Result<DrillOutcome> {
    let ports =
        DrillPorts { store: Arc::new(store.clone()), identities: Arc::default(), scratch: Arc::new(Unreachable) };
    let request = DrillRequest {
        database: "orders".parse()?,
        selection,
        checks: Vec::new(),
        rpo_seconds: None,
        rto_seconds: None,
        jobs: 1,
        trigger: "request".to_owned(),
        operator: None,
        thaw_within: None,
        origin: None,
    };
    drill::run(&ports, &request, &context().build()).await
}

#[tokio::test]
async fn a_frozen_backup_is_passed_over_and_said_so_unless_it_is_named() {
    let store = MemoryStore::new(Removal::TagForLifecycle);
    let frozen = BackupBuilder::new("orders", "2026-11-01T02:00:00Z").store_verified(&store).await.unwrap();
    freeze(&store, &frozen).await;
    let readable = BackupBuilder::new("orders", "2026-11-10T02:00:00Z").store_verified(&store).await.unwrap();
    let report = drilled(&store, Selection::Oldest).await.unwrap().report;
    assert_eq!(report.backup.backup_id, readable.backup_id);
    let said = report.closure.deviations.iter().any(|d| d.contains(frozen.backup_id.as_str()) && d.contains("GLACIER"));
    assert!(said, "{:?}", report.closure.deviations);
}

#[tokio::test]
async fn a_scratch_server_out_of_reach_is_no_damaged_backup() {
    let store = MemoryStore::new(Removal::Delete);
    BackupBuilder::new("orders", "2026-11-10T02:00:00Z").store_verified(&store).await.unwrap();
    let outcome = drilled(&store, Selection::Latest).await.unwrap();
    assert_eq!((outcome.report.verdict, outcome.cause), (Verdict::Failed, Some(ErrorKind::Database)));
    assert!(outcome.report.closure.torn_down, "nothing was made");
    let states = lifeboat_core::catalog::list(&store, None).await.unwrap();
    assert!(states[0].good, "the backup was not at fault");
}

#[tokio::test]
async fn a_report_that_cannot_be_read_just_now_is_not_passed_over_for_an_older_one() {
    let store = MemoryStore::new(Removal::Delete);
    let orders = "orders".parse().unwrap();
    BackupBuilder::new("orders", "2026-11-10T02:00:00Z").store_verified(&store).await.unwrap();
    let report = drilled(&store, Selection::Latest).await.unwrap().report;
    store.fault(Fault::on([Operation::Open], Action::Reject(ErrorKind::Store)).key("report.json"));
    assert_eq!(drill::latest_report(&store, &orders).await.unwrap_err().kind(), ErrorKind::Store);
    let read = drill::latest_report(&store, &orders).await.unwrap().unwrap();
    assert_eq!(read.drill_id, report.drill_id);
    // A damaged one is: no waiting mends it.
    store.tamper(&format!("orders/drills/{}/report.json", report.drill_id), "{}");
    assert!(drill::latest_report(&store, &orders).await.unwrap().is_none());
}
