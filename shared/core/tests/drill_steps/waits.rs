//! What is waited for and what is done once: a thaw, and a scheduled time.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use lifeboat_core::{drill::steps, ports::Store, report::PhaseOutcome};

use crate::machine::{EXECUTION, Mishap, World, holds, request};

async fn freeze(world: &World, folder: &str) {
    let tags = BTreeMap::from([("lifeboat-move".to_owned(), "GLACIER".to_owned())]);
    for object in world.store.list(&format!("{folder}archive/")).await.unwrap() {
        world.store.set_tags(&object.key, &tags).await.unwrap();
    }
    world.store.run_lifecycle();
}

#[tokio::test]
async fn a_frozen_backup_is_thawed_before_an_instance_is_made() {
    let (world, manifest) = World::with_backup().await;
    freeze(&world, &manifest.folder()).await;
    let state = world.begin().await.unwrap().unwrap();
    assert!(!state.thawed);
    let asked = steps::data(steps::Step::Thaw, &world.data(), &request(), state, &world.context(5)).await.unwrap();
    assert!(!asked.thawed && asked.wait_seconds >= 60, "a thaw takes hours");
    world.clock.advance(SignedDuration::from_hours(4));
    world.store.finish_thaws();
    let executed = world.execute(asked, Mishap::None).await;
    let report = executed.outcome.unwrap().report;
    let thaw = report.phases.iter().find(|phase| phase.phase == "thaw").unwrap();
    assert!(thaw.outcome == PhaseOutcome::Done && thaw.seconds >= 4.0 * 3600.0, "{thaw:?}");
    assert!(!thaw.counts_for_rto && report.backup.storage_class.value.unwrap().contains("GLACIER"));
    assert!(report.closure.cost.value.unwrap().basis.contains("thawed"));
}

#[tokio::test]
async fn a_thaw_that_takes_too_long_ends_the_drill_before_an_instance_is_made() {
    let (world, manifest) = World::with_backup().await;
    freeze(&world, &manifest.folder()).await;
    let state = world.begin().await.unwrap().unwrap();
    let executed = world.execute(state, Mishap::None).await;
    let report = executed.outcome.unwrap().report;
    let thaw = report.phases.iter().find(|phase| phase.phase == "thaw").unwrap();
    assert!(thaw.note.as_deref().unwrap().contains("not thawed within 2d"), "{thaw:?}");
    assert!(report.closure.torn_down && world.instances.there().is_empty(), "nothing was made");
}

#[tokio::test]
async fn of_two_executions_for_one_time_one_drills() {
    let (world, _) = World::with_backup().await;
    let first = world.begin().await.unwrap().unwrap();
    let other = World::asked("arn:another");
    assert!(steps::select(&world.data(), &other, &world.context(2)).await.unwrap().is_none());
    // The same execution is answered the same, whenever it asks.
    world.clock.advance(SignedDuration::from_mins(5));
    let again = steps::select(&world.data(), &World::asked(EXECUTION), &world.context(3)).await.unwrap();
    assert_eq!(again, Some(first));
    // Health takes a claim without an answer for a run that died; this one's end is told by the machine.
    assert!(holds(&world.control, "runs/drill/orders/20261120T040000Z.answer.json").await);
}

#[tokio::test]
async fn a_selection_that_fails_gives_its_time_back() {
    let (world, manifest) = World::with_backup().await;
    for object in world.store.list(&manifest.folder()).await.unwrap() {
        world.store.remove(&object.key);
    }
    assert!(world.begin().await.is_err());
    assert!(!holds(&world.control, "runs/drill/orders/20261120T040000Z").await);
    assert!(!holds(&world.control, "runs/drill/orders/20261120T040000Z.answer.json").await);
}

#[tokio::test]
async fn the_report_says_when_each_tier_was_last_proven() {
    let (world, _) = World::with_backup().await;
    let proven = lifeboat_testkit::BackupBuilder::new("orders", "2026-11-01T02:00:00Z")
        .tier(lifeboat_core::manifest::Tier::Monthly)
        .store_restored(&world.store)
        .await
        .unwrap();
    let state = world.begin().await.unwrap().unwrap();
    assert_ne!(state.backup_id, proven.backup_id, "the tier that was never proven comes first");
    let report = world.execute(state, Mishap::None).await.outcome.unwrap().report;
    let [daily, monthly] = &report.tiers[..] else { panic!("{:?}", report.tiers) };
    assert!(daily.last_proven.value.is_none() && daily.backups == 1);
    assert!(monthly.last_proven.value.is_some() && monthly.backup_id == Some(proven.backup_id));
}
