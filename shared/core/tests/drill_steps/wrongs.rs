//! What goes wrong: the instance is gone in the end, or health gets it, and the report says in which phase and why.

use jiff::SignedDuration;
use lifeboat_core::{
    ErrorKind,
    config::Span,
    drill::steps::{self, Ended, Step},
    report::{PhaseOutcome, Verdict},
};
use lifeboat_testkit::RdsCall;

use crate::machine::{EXECUTION, Executed, Mishap, World};

/// The phase that a report calls failed, and why.
fn failure(executed: &Executed) -> (String, String) {
    let report = &executed.outcome.as_ref().unwrap().report;
    assert_eq!(report.verdict, Verdict::Failed, "{:?}", report.reasons);
    let failed = report.phases.iter().find(|phase| phase.outcome == PhaseOutcome::Failed).unwrap();
    (failed.phase.clone(), failed.note.clone().unwrap_or_default())
}

async fn drilled(world: &World, mishap: Mishap) -> Executed {
    let state = world.begin().await.unwrap().unwrap();
    world.execute(state, mishap).await
}

#[tokio::test]
async fn a_restore_that_fails_is_told_with_its_phase_and_leaves_no_instance() {
    let (world, manifest) = World::with_backup().await;
    let executed = drilled(&world, Mishap::None).await;
    let (phase, why) = failure(&executed);
    assert_eq!(phase, "restore");
    assert!(why.contains("connect to scratch.example: refused"), "{why}");
    assert_eq!(executed.state.backup_id, manifest.backup_id);
    let report = executed.outcome.unwrap().report;
    assert!(report.reasons.iter().any(|r| r.contains("phase restore failed: ")), "{:?}", report.reasons);
    assert!(
        report.closure.torn_down && report.closure.tear_down_proof.value.unwrap().contains("lifeboat-drill-orders-")
    );
    assert_eq!(report.environment.target_class.value.as_deref(), Some("db.t4g.medium"));
    assert!(report.environment.target_network.value.unwrap().contains("not public"));
    let cost = report.closure.cost.value.unwrap();
    assert!(cost.amount > 0.0 && cost.basis.contains("h of db.t4g.medium"), "{cost:?}");
    assert!(world.instances.there().is_empty());
    // Everything is tried in order, and nothing after what failed.
    assert_eq!(executed.called[..3], [Step::Select, Step::Provision, Step::Await]);
    assert!(!executed.called.contains(&Step::Compare) && executed.called.ends_with(&[Step::Gone, Step::Report]));
}

#[tokio::test]
async fn steps_that_are_delivered_twice_do_their_work_once() {
    let (world, _) = World::with_backup().await;
    let executed = drilled(&world, Mishap::Twice).await;
    assert_eq!(failure(&executed).0, "restore");
    assert!(world.instances.there().is_empty());
    let reports = lifeboat_core::ports::Store::list(&world.store, "orders/drills/").await.unwrap();
    assert_eq!(reports.len(), 3, "one report in three forms: {reports:?}");
}

#[tokio::test]
async fn whatever_rds_refuses_is_told_and_no_instance_outlives_its_time() {
    for (call, phase) in [(RdsCall::Create, "provision"), (RdsCall::Find, "provision"), (RdsCall::Delete, "restore")] {
        let (world, _) = World::with_backup().await;
        world.instances.reject(call, ErrorKind::Store);
        let executed = drilled(&world, Mishap::None).await;
        let (failed, why) = failure(&executed);
        assert_eq!(failed, phase, "{call:?}: {why}");
        let report = &executed.outcome.as_ref().unwrap().report;
        let told = report.reasons.iter().any(|r| r.contains("RDS was told to refuse"));
        assert!(told, "{call:?}: {:?}", report.reasons);
        world.instances.all_is_well();
        let left = world.instances.there();
        assert_eq!(report.closure.torn_down, left.is_empty() && call != RdsCall::Find, "{call:?}");
        assert_eq!(world.reap().await, Vec::<String>::new(), "its time is not over");
        world.clock.advance(SignedDuration::from_hours(7));
        assert_eq!(world.reap().await.len(), left.iter().filter(|i| i.status != "deleting").count(), "{call:?}");
    }
}

#[tokio::test]
async fn an_instance_that_never_becomes_available_ends_the_drill_in_time() {
    let (mut world, _) = World::with_backup().await;
    world.config.times.available_within = Span(600);
    world.instances.hold();
    let state = world.begin().await.unwrap().unwrap();
    let began = lifeboat_core::ports::Clock::now(&*world.clock);
    // Removal is held as well: nothing here ever changes.
    let executed = world.execute(state, Mishap::None).await;
    let (phase, why) = failure(&executed);
    assert!(phase == "provision" && why.contains("not available within 10m: it is creating"), "{phase}: {why}");
    assert_eq!(executed.state.error.as_ref().unwrap().error, "deadline");
    let report = executed.outcome.unwrap().report;
    assert!(!report.closure.torn_down);
    assert!(report.reasons.iter().any(|r| r.contains("was not gone within 1h")), "{:?}", report.reasons);
    let lasted = lifeboat_core::ports::Clock::now(&*world.clock).duration_since(began);
    assert!(lasted < SignedDuration::from_hours(2), "{lasted}");
}

#[tokio::test]
async fn an_instance_that_fails_is_not_waited_for() {
    let (world, _) = World::with_backup().await;
    world.instances.ends_in("incompatible-network");
    let executed = drilled(&world, Mishap::None).await;
    let (phase, why) = failure(&executed);
    assert!(phase == "provision" && why.contains("is incompatible-network"), "{phase}: {why}");
    assert!(executed.called.iter().filter(|step| **step == Step::Await).count() < 4);
    assert!(world.instances.there().is_empty());
}

#[tokio::test]
async fn a_function_that_is_killed_in_any_step_leaves_no_instance_and_a_report_that_says_so() {
    let steps = [Step::Provision, Step::Await, Step::Restore];
    for step in steps {
        for mishap in [Mishap::KilledBefore(step), Mishap::KilledAfter(step)] {
            let (world, _) = World::with_backup().await;
            let executed = drilled(&world, mishap).await;
            let (phase, why) = failure(&executed);
            assert_eq!(phase, step.phase(), "{mishap:?}: {why}");
            assert!(world.instances.there().is_empty(), "{mishap:?}");
        }
    }
    for step in [Step::Compare, Step::Checks, Step::NegativeControl] {
        let (world, _) = World::with_backup().await;
        let state = world.available().await;
        let executed = world.execute_from(step, state, Mishap::KilledBefore(step)).await;
        let (phase, why) = failure(&executed);
        assert_eq!(phase, step.phase());
        assert!(why.contains("Process exited before completing request"), "{step}: {why}");
        assert!(world.instances.there().is_empty(), "{step}");
    }
    for step in [Step::TearDown, Step::Gone] {
        let (world, _) = World::with_backup().await;
        let executed = drilled(&world, Mishap::KilledBefore(step)).await;
        let report = executed.outcome.unwrap().report;
        assert!(!report.closure.torn_down && report.reasons.iter().any(|r| r.contains("phase tear-down failed")));
        world.clock.advance(SignedDuration::from_hours(7));
        world.reap().await;
        assert!(world.instances.there().iter().all(|i| i.status == "deleting"), "{step}");
    }
}

#[tokio::test]
async fn a_step_that_does_not_reach_the_instance_any_more_is_told_with_its_phase() {
    for step in [Step::Compare, Step::Checks] {
        let (world, _) = World::with_backup().await;
        let state = world.available().await;
        let (phase, why) = failure(&world.execute_from(step, state, Mishap::None).await);
        assert!(phase == step.phase() && why.contains("connect to scratch.example: refused"), "{step}: {phase}: {why}");
    }
}

#[tokio::test]
async fn a_removal_that_fails_as_well_does_not_hide_what_failed_first() {
    for step in [Step::Restore, Step::Compare, Step::Checks, Step::NegativeControl] {
        let (world, _) = World::with_backup().await;
        let state = world.available().await;
        world.instances.reject(RdsCall::Delete, ErrorKind::Store);
        // Killed: it could not write down itself that it failed.
        let executed = world.execute_from(step, state, Mishap::KilledBefore(step)).await;
        assert_eq!(executed.state.failed_in.as_deref(), Some(step.name()));
        assert_eq!(executed.state.removal_failed_in.as_deref(), Some("tear-down"));
        let (phase, why) = failure(&executed);
        assert!(phase == step.phase() && why.contains("Process exited"), "{step}: the first failure is {phase}: {why}");
        let report = executed.outcome.unwrap().report;
        let said = |words: &str| report.reasons.iter().position(|reason| reason.contains(words));
        let first = said(&format!("phase {} failed: Lambda.Unknown", step.phase()));
        let then = said("phase tear-down failed: Delete lifeboat-drill-orders-");
        assert!(first.is_some() && first < then, "{step}: {:?}", report.reasons);
        assert!(said("was not torn down").is_some() && !report.closure.torn_down, "{step}: {:?}", report.reasons);
        assert_eq!(world.instances.there().len(), 1);
    }
}

#[tokio::test]
async fn a_removal_that_succeeds_when_it_is_tried_again_did_not_fail() {
    let (world, _) = World::with_backup().await;
    let state = world.available().await;
    world.instances.reject(RdsCall::Delete, ErrorKind::Store);
    let refused = steps::control(Step::TearDown, &world.control(), state.clone(), &world.context(7)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Store);
    world.instances.all_is_well();
    let executed = world.execute_from(Step::TearDown, state, Mishap::None).await;
    let report = executed.outcome.unwrap().report;
    assert!(report.closure.torn_down, "{:?}", report.closure);
    assert!(!report.reasons.iter().any(|reason| reason.contains("tear-down")), "{:?}", report.reasons);
}

#[tokio::test]
async fn an_execution_that_is_aborted_in_its_removal_says_what_had_failed_before() {
    let (world, _) = World::with_backup().await;
    drilled(&world, Mishap::Aborted(Step::TearDown)).await;
    let ended = Ended {
        database: "orders".parse().unwrap(),
        execution: EXECUTION.to_owned(),
        status: "ABORTED".to_owned(),
        cause: None,
        restore_job: None,
    };
    let ending = steps::ended(&world.control(), &ended, &world.context(900)).await.unwrap();
    assert_eq!(ending.phase.as_deref(), Some("restore"));
    assert!(ending.reasons[0].contains("phase restore failed: connect to scratch.example: refused"), "{ending:?}");
    assert!(ending.reasons[1].contains("was aborted"), "{ending:?}");
    assert_eq!(ending.verdict, Some(Verdict::Failed), "the report would have said so");
}

#[tokio::test]
async fn an_execution_that_is_aborted_in_any_step_leaves_no_instance_and_is_told_once() {
    for step in [Step::Provision, Step::Await, Step::Restore, Step::TearDown, Step::Gone, Step::Report] {
        let (world, manifest) = World::with_backup().await;
        drilled(&world, Mishap::Aborted(step)).await;
        let ended = Ended {
            database: "orders".parse().unwrap(),
            execution: EXECUTION.to_owned(),
            status: "ABORTED".to_owned(),
            cause: Some("somebody stopped it".to_owned()),
            restore_job: None,
        };
        let ending = steps::ended(&world.control(), &ended, &world.context(900)).await.unwrap();
        assert_eq!(ending.backup_id.as_ref(), Some(&manifest.backup_id));
        assert!(!ending.told && ending.remaining.is_empty());
        let reasons = ending.reasons.join("; ");
        assert!(reasons.contains("was aborted") && reasons.contains("somebody stopped it"), "{step}: {reasons}");
        assert!(world.instances.there().iter().all(|i| i.status == "deleting"), "{step}");
        steps::told(&*world.control().control, &ended.database, EXECUTION, &world.context(900)).await.unwrap();
        let again = steps::ended(&world.control(), &ended, &world.context(901)).await.unwrap();
        assert!(again.told, "{step}: told once");
    }
}

#[tokio::test]
async fn an_aborted_execution_is_told_though_rds_lists_nothing() {
    let (world, _) = World::with_backup().await;
    drilled(&world, Mishap::Aborted(Step::Restore)).await;
    let ended = Ended {
        database: "orders".parse().unwrap(),
        execution: EXECUTION.to_owned(),
        status: "FAILED".to_owned(),
        cause: None,
        restore_job: None,
    };
    world.instances.reject(RdsCall::Tagged, ErrorKind::Store);
    let ending = steps::ended(&world.control(), &ended, &world.context(900)).await.unwrap();
    assert!(ending.remaining[0].contains("RDS was told to refuse"), "{ending:?}");
    assert!(ending.reasons[1].contains("health removes them"), "{ending:?}");
    world.instances.all_is_well();
    let again = steps::ended(&world.control(), &ended, &world.context(901)).await.unwrap();
    assert!(again.remaining.is_empty() && again.removed.len() == 1, "{again:?}");
}

#[tokio::test]
async fn what_is_provisioned_after_the_execution_ended_is_removed_at_once() {
    let (world, _) = World::with_backup().await;
    let state = world.begin().await.unwrap().unwrap();
    let ended = Ended {
        database: "orders".parse().unwrap(),
        execution: EXECUTION.to_owned(),
        status: "TIMED_OUT".to_owned(),
        cause: None,
        restore_job: None,
    };
    let ending = steps::ended(&world.control(), &ended, &world.context(900)).await.unwrap();
    assert!(ending.removed.is_empty() && ending.reasons[0].contains("ran out of time"));
    let late = steps::control(Step::Provision, &world.control(), state, &world.context(20)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Interrupted);
    assert!(world.instances.there().iter().all(|i| i.status == "deleting"));
}

#[tokio::test]
async fn what_another_deployment_left_is_removed_there() {
    let (world, _) = World::with_backup().await;
    let state = world.begin().await.unwrap().unwrap();
    let made = steps::control(Step::Provision, &world.control(), state, &world.context(20)).await.unwrap();
    let id = made.instance_id.unwrap();
    world.clock.advance(SignedDuration::from_hours(7));
    // A database of the same name, or one that nobody looks after here.
    world.instances.retag(&id, "lifeboat:deployment", "another");
    for database in ["orders", "nobodys"] {
        world.instances.retag(&id, "lifeboat:database", database);
        assert_eq!(world.reap().await, Vec::<String>::new(), "{database}");
    }
    world.instances.retag(&id, "lifeboat:deployment", "lifeboat");
    assert_eq!(world.reap().await, [id]);
}

#[tokio::test]
async fn an_instance_of_somebody_else_is_neither_used_nor_removed() {
    let (world, _) = World::with_backup().await;
    let state = world.begin().await.unwrap().unwrap();
    let first = steps::control(Step::Provision, &world.control(), state.clone(), &world.context(20)).await.unwrap();
    let id = first.instance_id.unwrap();
    let other = world.instances.clone();
    other.retag(&id, "lifeboat:drill", "another");
    let error = steps::control(Step::Provision, &world.control(), state.clone(), &world.context(30)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    other.retag(&id, "lifeboat:execution", "another");
    let torn = steps::control(Step::TearDown, &world.control(), state, &world.context(40)).await.unwrap();
    assert!(torn.gone && other.count(RdsCall::Delete) == 0, "{torn:?}");
    assert_eq!(other.there().len(), 1);
}
