//! What health finds, tells, remembers and removes.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use jiff::SignedDuration;
use lifeboat_core::{
    Error, ErrorKind,
    attestation::Statement,
    cancel,
    events::{Body, Failure, Severity},
    health::{self, ServerSeen, last_findings, not_looked},
    lease::{Occasion, RunClaim, claim_run, run_key},
    ports::{LeftScratch, Store},
};
use lifeboat_testkit::{Action, BackupBuilder, Fault, Operation, attestation, context, store_attestation};

use crate::world::{Mail, Unconfirmed, World, codes, server_facts, told, url};

#[tokio::test]
async fn a_database_that_is_well_is_remembered_and_said_to_be_well() {
    let world = World::new().await;
    let outcome = world.look().await;
    assert_eq!((codes(&outcome), told(&outcome)), (Vec::new(), vec![("HealthRecovered", Vec::new())]));
    let remembered = world.remembered();
    assert_eq!((remembered.at, &remembered.findings), (outcome.state.at, &outcome.state.findings));
    assert_eq!(remembered.facts.backups, outcome.state.facts.backups);
    let backups = outcome.state.facts.backups.as_ref().unwrap();
    assert_eq!((backups.points.len(), backups.status.backups.verified), (7, 7));
    assert_eq!(outcome.state.facts.retention.as_ref().unwrap().storage.len(), 2);
}

#[tokio::test]
async fn what_is_the_matter_is_told_every_time_and_so_is_that_it_is_over() {
    let world = World::new().await;
    world.pass(20);
    let first = world.look().await;
    assert_eq!(told(&first), [("HealthDegraded", vec!["backup_too_old".to_owned()])]);
    let since = first.state.since["backup_too_old"];
    world.pass(1);
    let again = world.look().await;
    assert_eq!(told(&again).len(), 1);
    assert_eq!(again.state.since["backup_too_old"], since);
    assert_eq!(last_findings(&world.control, &world.request.database).await, again.state.findings);
    BackupBuilder::new("orders", "2026-11-21T09:00:00Z")
        .table("users", 1000, b"many")
        .store_verified(&world.store)
        .await
        .unwrap();
    let well = world.look().await;
    assert_eq!(told(&well), [("HealthRecovered", vec!["backup_too_old".to_owned()])]);
    // Whoever looked before may have had nobody to tell: what is still open ends with the next look.
    assert_eq!(told(&world.look().await), [("HealthRecovered", Vec::new())]);
}

#[tokio::test]
async fn damage_is_not_over_because_nobody_can_look() {
    let world = World::new().await;
    let rotten = BackupBuilder::new("orders", "2026-11-20T03:00:00Z").store_verified(&world.store).await.unwrap();
    let corrupt = Statement::Corrupt { objects: Vec::new() };
    let statement = attestation(&rotten, "2026-11-20T04:00:00Z".parse().unwrap(), corrupt);
    store_attestation(&world.store, &statement).await.unwrap();
    assert_eq!(codes(&world.look().await), ["backup_corrupt"]);
    world.store.fault(Fault::on([Operation::Folders], Action::Reject(ErrorKind::Store)).always());
    let blind = world.look().await;
    assert_eq!(codes(&blind), ["store_unreachable", "backup_corrupt"]);
    assert_eq!(told(&blind)[0].0, "HealthDegraded");
    // The last known backup still grows older.
    world.pass(30);
    assert!(codes(&world.look().await).contains(&"backup_too_old"));
    world.store.clear_faults();
    assert!(!codes(&world.look().await).contains(&"store_unreachable"));
}

#[tokio::test]
async fn each_part_that_fails_is_one_finding_and_hides_no_other() {
    let world = World::new().await;
    world.answer(Err(ErrorKind::Database));
    assert_eq!(codes(&world.look().await), ["source_unreachable"]);

    let nothing_opens = health::HealthPorts {
        store: Err(Error::new(ErrorKind::Config, "no store is named")),
        control: Err(Error::new(ErrorKind::Config, "no store is named")),
        server: Some(Err(Error::new(ErrorKind::Store, "the secret cannot be read"))),
        scratch: vec![Err(Error::new(ErrorKind::Config, "no URL"))],
        ..world.ports()
    };
    let outcome = world.look_through(&nothing_opens).await;
    let mut found = codes(&outcome);
    found.sort_unstable();
    assert_eq!(found, ["control_store_unreachable", "scratch_left", "source_unreachable", "store_unreachable"]);
    assert!(matches!(&outcome.state.facts.server,
        ServerSeen::Unreachable { failure } if failure.message.contains("secret")));
    // What could be asked is there all the same.
    assert_eq!(outcome.state.facts.tools.found.len(), 1);
}

#[tokio::test]
async fn a_store_that_is_read_only_is_named_as_such() {
    let world = World::new().await;
    world.store.fault(Fault::on([Operation::Probe], Action::Reject(ErrorKind::Store)).always());
    assert_eq!(codes(&world.look().await), ["store_not_writable"]);
    world.store.clear_faults();
    world.control.fault(Fault::on([Operation::Swap], Action::Reject(ErrorKind::Store)).always());
    let outcome = world.look().await;
    assert_eq!(codes(&outcome), ["control_store_not_writable"]);
    assert_eq!(told(&outcome)[0].0, "HealthDegraded");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_given_up() {
    let world = World::new().await;
    let never = Action::Slow(std::time::Duration::from_secs(100_000));
    world.store.fault(Fault::on([Operation::Folders], never).always());
    let outcome = world.look().await;
    assert_eq!(codes(&outcome), ["store_unreachable"]);
    assert!(outcome.state.findings[0].message.contains("did not answer within 60 s"));
}

#[tokio::test]
async fn rows_that_vanish_are_found_in_the_manifests() {
    let world = World::new().await;
    BackupBuilder::new("orders", "2026-11-20T11:00:00Z")
        .table("users", 499, b"many")
        .store_verified(&world.store)
        .await
        .unwrap();
    let outcome = world.look().await;
    assert_eq!(codes(&outcome), ["rows_collapsed"]);
    assert!(outcome.state.findings[0].message.contains("public.users has 499 rows, usually 1,000"));
    assert!(outcome.state.findings[0].remedy.contains("lifeboat hold orders/20261120T020000Z-aaaa"));
}

#[tokio::test]
async fn scratch_targets_past_their_time_are_removed_unless_somebody_uses_them() {
    let world = World::new().await;
    let left = |name: &str, hours: i64, in_use: Option<&str>| LeftScratch {
        kind: "database".to_owned(),
        name: name.to_owned(),
        made_at: world.now() - jiff::SignedDuration::from_hours(hours),
        expires_at: None,
        in_use: in_use.map(str::to_owned),
    };
    *world.reaper.left.lock().unwrap() =
        vec![left("young", 2, None), left("old", 30, None), left("busy", 30, Some("2 sessions are connected to it"))];
    let outcome = world.look().await;
    assert_eq!(*world.reaper.removed.lock().unwrap(), ["old"]);
    assert_eq!(codes(&outcome), ["scratch_left"]);
    let finding = &outcome.state.findings[0];
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.message.contains("busy") && finding.message.contains("2 sessions"), "{}", finding.message);
}

#[tokio::test]
async fn what_could_not_be_told_is_told_again_and_what_still_waits_is_found() {
    let world = World::new().await;
    let run = lifeboat_core::ids::RunId::new(3);
    world.control.put_new("undelivered/20261120T020000000000Z-x.json", "{}".into(), &run).await.unwrap();
    let broken = Arc::new(Mail(AtomicU32::new(0), false));
    let ports = health::HealthPorts {
        outbox: Some(Arc::clone(&broken) as _),
        subscriptions: Some(Ok(Arc::new(Unconfirmed))),
        ..world.ports()
    };
    let outcome = world.look_through(&ports).await;
    assert_eq!(broken.0.load(Ordering::Relaxed), 1);
    assert_eq!(codes(&outcome), ["events_undelivered", "subscription_unconfirmed"]);
    assert!(outcome.state.findings[0].message.contains("the bus is down"));
    assert!(outcome.state.findings[1].message.contains("ann@example.com"));
    world.control.delete("undelivered/20261120T020000000000Z-x.json").await.unwrap();
    let works = health::HealthPorts { outbox: Some(Arc::new(Mail(AtomicU32::new(0), true))), ..world.ports() };
    let outcome = world.look_through(&works).await;
    assert_eq!(codes(&outcome), Vec::<&str>::new());
    assert_eq!(outcome.state.facts.control.unwrap().told_again, 3);
}

#[tokio::test]
async fn a_topic_that_cannot_be_opened_is_found_and_told_until_it_can() {
    let world = World::new().await;
    let nowhere = lifeboat_core::Error::new(lifeboat_core::ErrorKind::Config, "no AWS region is set");
    let ports = health::HealthPorts { subscriptions: Some(Err(nowhere.with_hint("set AWS_REGION"))), ..world.ports() };
    let outcome = world.look_through(&ports).await;
    assert_eq!(told(&outcome), [("HealthDegraded", vec!["topic_unreachable".to_owned()])]);
    let finding = &outcome.state.findings[0];
    assert_eq!((finding.severity, finding.remedy.as_str()), (Severity::Critical, "set AWS_REGION"));
    assert!(
        finding.message.contains("reach nobody") && finding.message.contains("no AWS region"),
        "{}",
        finding.message
    );
    assert_eq!(told(&world.look().await), [("HealthRecovered", vec!["topic_unreachable".to_owned()])]);
}

/// Claims a run of an operation that may be at work for so many minutes.
async fn claimed(world: &World, operation: &str, minutes: i64) -> String {
    let run_id = lifeboat_core::ids::RunId::new(3);
    let (occasion, database) = (Occasion::Scheduled(world.now()), &world.request.database);
    let until = world.now().checked_add(SignedDuration::from_mins(minutes)).unwrap();
    let claim = RunClaim { run_id, until };
    assert!(claim_run(&world.control, operation, database, &occasion, &claim).await.unwrap());
    run_key(operation, database, &occasion)
}

#[tokio::test]
async fn a_run_that_died_without_a_word_is_found_for_a_day() {
    let world = World::new().await;
    let key = claimed(&world, "dump", 15).await;
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
    world.pass(1);
    let outcome = world.look().await;
    assert_eq!(codes(&outcome), ["run_died"]);
    assert!(outcome.state.findings[0].message.contains("dump of 20261120T120000Z"));
    // Answered after all.
    let run = lifeboat_core::ids::RunId::new(3);
    world.control.put_new(&format!("{key}.answer.json"), "{}".into(), &run).await.unwrap();
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
}

#[tokio::test]
async fn what_a_task_may_be_at_work_at_for_hours_has_not_died_before() {
    let world = World::new().await;
    for operation in ["verify", "restore"] {
        claimed(&world, operation, 12 * 60).await;
    }
    // A state machine claims its drill by the name of its execution.
    let occasion = Occasion::Scheduled(world.now());
    let drill = run_key("drill", &world.request.database, &occasion);
    world.control.put_new(&drill, "execution".into(), &lifeboat_core::ids::RunId::new(3)).await.unwrap();
    world.pass(11);
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
    claimed(&world, "retention", 15).await;
    let died = |outcome: &health::HealthOutcome| {
        let finding = outcome.state.findings.iter().find(|finding| finding.code == "run_died");
        let died = outcome.state.facts.control.as_ref().map(|control| control.died.clone()).unwrap_or_default();
        finding.map(|_| died.into_iter().map(|(operation, _)| operation).collect::<Vec<_>>()).unwrap_or_default()
    };
    world.clock.advance(SignedDuration::from_mins(19));
    assert_eq!(died(&world.look().await), Vec::<String>::new());
    world.clock.advance(SignedDuration::from_mins(2));
    assert_eq!(died(&world.look().await), ["retention"]);
    world.pass(1);
    assert_eq!(died(&world.look().await), ["drill", "restore", "retention", "verify"]);
}

#[tokio::test]
async fn unfinished_dumps_are_found_once_they_are_old() {
    let world = World::new().await;
    BackupBuilder::new("orders", "2026-11-20T10:00:00Z").store_unfinished(&world.store).await.unwrap();
    drop(world.store.upload_new("orders/x/archive/1.dat", &lifeboat_core::ids::RunId::new(3)).await.unwrap());
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
    world.pass(27);
    let outcome = world.look().await;
    let finding = outcome.state.findings.iter().find(|f| f.code == "unfinished_uploads").unwrap();
    assert!(finding.message.contains("1 folder") && finding.message.contains("1 multipart upload"), "{finding:?}");
}

#[tokio::test]
async fn transactions_are_counted_from_look_to_look() {
    let world = World::new().await;
    assert_eq!(world.look().await.state.facts.transactions_per_second, None);
    world.pass(1);
    let mut facts = server_facts();
    let counters = facts.counters.as_mut().unwrap();
    (counters.at, counters.transactions) = (world.now(), 1000 + 7200);
    world.answer(Ok(facts.clone()));
    assert_eq!(world.look().await.state.facts.transactions_per_second, Some(2.0));
    // After a reset of the counters there is nothing to compare with.
    world.pass(1);
    let counters = facts.counters.as_mut().unwrap();
    (counters.at, counters.since, counters.transactions) = (world.now(), Some(world.now()), 5);
    world.answer(Ok(facts));
    assert_eq!(world.look().await.state.facts.transactions_per_second, None);
}

#[tokio::test]
async fn an_earlier_state_that_cannot_be_read_is_replaced_and_a_later_one_stays() {
    let world = World::new().await;
    let key = health::state_key(&world.request.database);
    world.control.tamper(&key, "?");
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
    let later = world.remembered();
    // A run that began before, and ends after.
    world.clock.set("2026-11-20T11:00:00Z".parse().unwrap());
    world.control.fault(Fault::on([Operation::Swap], Action::Reject(ErrorKind::Store)).key("nothing"));
    world.look().await;
    assert_eq!(world.remembered().at, "2026-11-20T11:00:00Z".parse().unwrap(), "the last look is remembered");
    assert_eq!(later.at, "2026-11-20T12:00:00Z".parse().unwrap());
    assert_eq!(url(&world.control), "memory://");
}

#[tokio::test]
async fn a_run_that_is_stopped_says_so_and_takes_nothing_back() {
    let world = World::new().await;
    world.pass(20);
    let before = world.look().await.state.findings;
    let (canceller, cancel) = cancel::pair();
    canceller.cancel(ErrorKind::Deadline);
    let context = context().cancel(cancel).build();
    let error = health::run(&world.ports(), &world.request, &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
    let Body::HealthDegraded(told) = not_looked(Failure::of(&error), before) else { panic!("not degraded") };
    let codes: Vec<&str> = told.findings.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["not_asked", "backup_too_old"]);
    // Where even that could not be read, what was found before is still not over.
    assert!(!told.complete);
}
