//! Executions that did not come to their end: what their steps had found by then is told, and with the weight that it has.

use lifeboat_core::{
    drill::steps::{self, DrillState, Ended, Ending, Step},
    ports::Inventory,
    report::{SchemaEvidence, Verdict},
};
use serde_json::{Value, json};

use crate::machine::{EXECUTION, Mishap, World, differing};

async fn ending(world: &World, status: &str) -> Ending {
    let ended = Ended {
        database: "orders".parse().unwrap(),
        execution: EXECUTION.to_owned(),
        status: status.to_owned(),
        cause: Some("store: SlowDown".to_owned()),
        restore_job: None,
    };
    steps::ended(&world.control(), &ended, &world.context(900)).await.unwrap()
}

/// A drill whose report could not be written, after its steps had left this on record.
async fn unreported(records: &[(&str, Value)]) -> (World, DrillState) {
    let (world, _) = World::with_backup().await;
    let state = world.available().await;
    let begun = json!({ "at": "2026-11-20T12:30:00Z" });
    for (name, found) in records {
        world.record(&state, name, found).await;
    }
    world.record(&state, "report.begun", &begun).await;
    (world, state)
}

/// A step that failed, with an error of this kind.
fn failed(phase: &str, kind: &str) -> Value {
    let phase = json!({
        "phase": phase, "outcome": "failed", "started_at": null, "ended_at": null, "seconds": 1.0, "counts_for_rto": false,
        "note": "it went wrong",
    });
    json!({ "phases": [phase], "cause": kind })
}

#[tokio::test]
async fn differences_that_were_found_are_told_though_there_is_no_report() {
    let (world, _) =
        Box::pin(unreported(&[("restore", json!({})), ("compare", differing()), ("checks", json!({}))])).await;
    let ending = ending(&world, "FAILED").await;
    assert_eq!((ending.verdict, ending.phase.as_deref()), (Some(Verdict::Failed), Some("compare")), "{ending:?}");
    let reasons = ending.reasons.join("; ");
    for told in
        ["shop.orders: 2 instead of 3", "trigger shop.customers.touch is missing", "failed in phase report: store"]
    {
        assert!(reasons.contains(told), "{told}: {reasons}");
    }
}

#[tokio::test]
async fn what_ended_with_nothing_found_was_broken_off_and_says_nothing_against_the_backup() {
    let alike = SchemaEvidence::compare(&Inventory::default(), &Inventory::default());
    let (world, _) = Box::pin(unreported(&[("restore", json!({})), ("compare", json!({ "schema": alike }))])).await;
    let ending = ending(&world, "FAILED").await;
    assert_eq!((ending.verdict, ending.phase.as_deref()), (None, Some("report")), "{ending:?}");
    assert_eq!(ending.reasons.len(), 1, "{ending:?}");
}

#[tokio::test]
async fn a_backup_that_could_not_be_restored_is_told_as_such_and_a_restore_that_was_stopped_is_not() {
    for (kind, verdict) in [
        ("corrupt", Some(Verdict::Failed)),
        ("database", Some(Verdict::Failed)),
        ("interrupted", None),
        ("deadline", None),
    ] {
        let (world, _) = Box::pin(unreported(&[("restore.failed", failed("restore", kind))])).await;
        let ending = ending(&world, "FAILED").await;
        assert_eq!((ending.verdict, ending.phase.as_deref()), (verdict, Some("restore")), "{kind}: {ending:?}");
        assert_eq!(ending.reasons[0], "phase restore failed: it went wrong", "{kind}");
    }
}

#[tokio::test]
async fn a_record_that_nobody_can_read_is_named_and_keeps_nothing_from_being_told() {
    let (world, state) = Box::pin(unreported(&[("compare", differing())])).await;
    world.record(&state, "checks", &json!({ "checks": 1 })).await;
    let ending = ending(&world, "FAILED").await;
    let reasons = ending.reasons.join("; ");
    assert!(
        reasons.contains("2 instead of 3") && reasons.contains("checks.json of the drill cannot be read"),
        "{reasons}"
    );
    assert_eq!(ending.removed.len(), 1, "{ending:?}");
}

#[tokio::test]
async fn a_report_knows_what_was_found_before_something_else_ended_the_drill() {
    for found in [true, false] {
        let (world, _) = World::with_backup().await;
        let state = world.available().await;
        if found {
            world.record(&state, "compare", &differing()).await;
        }
        // The instance is out of reach.
        let executed = world.execute_from(Step::Checks, state, Mishap::None).await;
        let report = executed.outcome.unwrap().report;
        assert_eq!(report.verdict, Verdict::Failed);
        assert_eq!(report.found_wrong(), found, "{:?}", report.reasons);
    }
}
