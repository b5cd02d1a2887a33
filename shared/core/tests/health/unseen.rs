//! What was not looked at is not over, what is remembered counts, and what nobody needs any more is removed.

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind,
    events::Body,
    health::{self, HealthPorts},
    ids::RunId,
    lease::{Occasion, run_key},
    ports::{Certificate, Hidden, Removal, Slot, Store, question},
    report::Verdict,
    status::{Watched, status},
};
use lifeboat_testkit::{Action, Fault, Operation, context};

use crate::world::{World, codes, drilled, server_facts, told};

#[tokio::test]
async fn a_question_that_the_server_refuses_takes_nothing_back() {
    let world = World::new().await;
    let mut facts = server_facts();
    let lost = Slot {
        name: "debezium".to_owned(),
        kind: "logical".to_owned(),
        active: false,
        retained_bytes: Some(5),
        wal_status: Some("lost".to_owned()),
    };
    facts.slots.push(lost);
    world.answer(Ok(facts.clone()));
    assert_eq!(codes(&world.look().await), ["slot_lost"]);
    // The question timed out: its answer is an empty list, and the reason.
    facts.slots.clear();
    let why = "canceling statement due to statement timeout".to_owned();
    facts.hidden.push(Hidden { what: question::SLOTS.to_owned(), why });
    world.answer(Ok(facts.clone()));
    let blind = world.look().await;
    assert_eq!((codes(&blind), told(&blind)[0].0), (vec!["slot_lost"], "HealthDegraded"));
    // Another that was not answered has nothing to do with it.
    facts.hidden[0].what = question::STANDBYS.to_owned();
    world.answer(Ok(facts));
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
}

#[tokio::test]
async fn a_certificate_that_could_not_be_asked_for_still_ends_soon() {
    let world = World::new().await;
    let soon = Certificate { subject: "CN=db".to_owned(), valid_until: "2026-11-30T00:00:00Z".parse().unwrap() };
    *world.server.certificate.lock().unwrap() = Ok(Some(soon));
    assert_eq!(codes(&world.look().await), ["certificate_expiring"]);
    *world.server.certificate.lock().unwrap() = Err(ErrorKind::Database);
    let mut blind = world.look().await.state.findings;
    blind.sort_by(|a, b| a.code.cmp(&b.code));
    assert_eq!(blind.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["certificate_expiring", "not_asked"]);
    *world.server.certificate.lock().unwrap() = Ok(None);
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
}

#[tokio::test]
async fn a_look_without_a_url_takes_back_nothing_that_was_found_about_the_server() {
    let world = World::new().await;
    world.answer(Err(ErrorKind::Database));
    assert_eq!(codes(&world.look().await), ["source_unreachable"]);
    let laptop = HealthPorts { server: None, ..world.ports() };
    assert_eq!(codes(&world.look_through(&laptop).await), ["source_unreachable", "source_not_configured"]);
    world.answer(Ok(server_facts()));
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
}

/// Whether an event says that what it does not name is over.
fn complete(outcome: &health::HealthOutcome) -> Option<bool> {
    match outcome.events.as_slice() {
        [Body::HealthDegraded(degraded)] => Some(degraded.complete),
        [Body::HealthRecovered(_)] => Some(true),
        _ => None,
    }
}

#[tokio::test]
async fn nothing_is_over_because_the_control_store_cannot_be_read() {
    let mut world = World::new().await;
    world.pass(20);
    let first = world.look().await;
    assert_eq!((codes(&first), complete(&first)), (vec!["backup_too_old"], Some(true)));
    // Both stores are out of reach, as from a network that lost its way to S3.
    for store in [&world.store, &world.control] {
        let away = Fault::on([Operation::Open, Operation::Folders], Action::Reject(ErrorKind::Store));
        store.fault(away.always());
    }
    let blind = world.look().await;
    assert_eq!(codes(&blind), ["store_unreachable", "control_store_unreachable"]);
    assert_eq!(complete(&blind), Some(false));
    world.store.clear_faults();
    world.control.clear_faults();
    let again = world.look().await;
    assert_eq!((codes(&again), complete(&again)), (vec!["backup_too_old"], Some(true)));
    // Where nobody wants to be told of the control store, silence must not be taken for the end of everything.
    world.request.config.ignore.push("control_store_unreachable".to_owned());
    world.request.wanted.rpo_seconds = Some(400 * 86_400);
    let nowhere = Err(Error::new(ErrorKind::Store, "the control store is away"));
    let silent = world.look_through(&HealthPorts { control: nowhere, ..world.ports() }).await;
    assert_eq!((codes(&silent), silent.events.len()), (vec!["control_store_unreachable"], 0));
}

#[tokio::test]
async fn a_database_that_was_never_drilled_is_named_although_retention_keeps_no_backup_that_long() {
    let mut world = World::new().await;
    world.request.wanted.rpo_seconds = Some(400 * 86_400);
    world.look().await;
    // As a short policy has it: the oldest backup is never older than a few days.
    for key in world.store.keys().into_iter().filter(|key| !key.starts_with("orders/20261120")) {
        world.store.remove(&key);
    }
    world.pass(24 * 20);
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
    world.store.keys().iter().for_each(|key| world.store.remove(key));
    let fresh = world.now() - jiff::SignedDuration::from_hours(3);
    lifeboat_testkit::BackupBuilder::new("orders", &fresh.to_string()).store_verified(&world.store).await.unwrap();
    world.pass(24 * 14);
    let outcome = world.look().await;
    assert_eq!(codes(&outcome), ["drill_never"]);
    assert!(outcome.state.facts.backups.unwrap().oldest_at.unwrap() > "2026-12-01T00:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn many_drills_of_snapshots_do_not_hide_the_last_drill_of_a_backup() {
    let world = World::new().await;
    for day in 1..=20 {
        drilled(&world.store, &format!("2026-11-{day:02}T04:00:00Z"), Verdict::Passed, Some("snapshot")).await;
    }
    drilled(&world.store, "2026-10-31T04:00:00Z", Verdict::Failed, None).await;
    drilled(&world.store, "2026-10-30T04:00:00Z", Verdict::Passed, None).await;
    let outcome = world.look().await;
    assert_eq!(codes(&outcome), ["drill_failed"]);
    let whole = outcome.state.facts.newest_whole_drill().unwrap();
    assert_eq!(whole.drill.finished_at, "2026-10-30T04:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn restore_tests_every_day_do_not_hide_how_long_a_restore_takes() {
    let world = World::new().await;
    drilled(&world.store, "2026-10-30T04:00:00Z", Verdict::ObjectiveMissed, None).await;
    drilled(&world.store, "2026-10-01T04:00:00Z", Verdict::Passed, None).await;
    for day in 5..20 {
        drilled(&world.store, &format!("2026-11-{day:02}T04:00:00Z"), Verdict::Passed, Some("AWS Backup restore job"))
            .await;
    }
    let facts = world.look().await.state.facts;
    let recovery = facts.recovery.unwrap();
    assert!(recovery.to_string().contains("the usual speed of 2 drills"), "{recovery}");
}

#[tokio::test]
async fn prometheus_gets_the_age_of_the_last_drill_that_proved_a_backup() {
    let world = World::new().await;
    let text = async || {
        let watched = [Watched { database: world.request.database.clone(), rpo: None }];
        status(&world.store, &world.control, &watched, world.now()).await.unwrap().prometheus()
    };
    drilled(&world.store, "2026-11-19T12:00:00Z", Verdict::Passed, Some("snapshot")).await;
    assert!(!text().await.contains("lifeboat_last_drill_age_seconds{"));
    drilled(&world.store, "2026-11-10T12:00:00Z", Verdict::ObjectiveMissed, None).await;
    drilled(&world.store, "2026-11-18T12:00:00Z", Verdict::Failed, None).await;
    let (text, newest) = (text().await, "2026-11-19T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second());
    for line in [
        format!("lifeboat_last_drill_age_seconds{{database=\"orders\"}} {}", 10 * 86_400),
        format!("lifeboat_last_drill_timestamp_seconds{{database=\"orders\"}} {newest}"),
        "lifeboat_last_drill_passed{database=\"orders\"} 0".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_digest_that_nothing_ever_sent_is_overdue_since_it_is_wanted() {
    let mut world = World::new().await;
    world.request.wanted.rpo_seconds = Some(400 * 86_400);
    world.request.wanted.digest_seconds = Some(7 * 86_400);
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
    world.pass(24 * 8);
    let outcome = world.look().await;
    assert_eq!(codes(&outcome), ["digest_overdue"]);
    let message = &outcome.state.findings[0].message;
    assert!(message.contains("no digest is on record") && message.contains("20 Nov 2026"), "{message}");
}

#[tokio::test]
async fn claims_answers_and_reports_go_when_nobody_needs_them_any_more() {
    let mut world = World::new().await;
    world.request.wanted.rpo_seconds = Some(1000 * 86_400);
    let run = RunId::new(3);
    let old = run_key("dump", &world.request.database, &Occasion::Scheduled(world.now()));
    let answer = format!("{old}.answer.json");
    let others = run_key("dump", &"billing".parse().unwrap(), &Occasion::Scheduled(world.now()));
    for key in [old.as_str(), &answer, &others, "maintenance/orders/20261120T120000Z-a.json"] {
        world.control.put_new(key, "x".into(), &run).await.unwrap();
    }
    let there = |world: &World| -> Vec<String> {
        let keys = world.control.keys().into_iter();
        keys.filter(|key| key.starts_with("runs/") || key.starts_with("maintenance/")).collect()
    };
    world.pass(24 * 30);
    world.look().await;
    assert_eq!(there(&world).len(), 4);
    world.pass(1);
    let recent = run_key("dump", &world.request.database, &Occasion::Scheduled(world.now()));
    world.control.put_new(&recent, "x".into(), &run).await.unwrap();
    world.look().await;
    assert_eq!(there(&world), ["maintenance/orders/20261120T120000Z-a.json", &others, &recent]);
    // A control store that lets nothing be deleted is no reason to find nothing.
    world.pass(24 * 371);
    world.control.fault(Fault::on([Operation::Delete], Action::Reject(ErrorKind::Store)).always());
    assert!(codes(&world.look().await).contains(&"drill_never"));
    world.control.clear_faults();
    world.look().await;
    assert_eq!(there(&world), [others]);
}

#[tokio::test]
async fn a_claim_that_was_given_back_is_no_run_that_died() {
    let world = World::new().await;
    let key = run_key("dump", &world.request.database, &Occasion::Scheduled(world.now()));
    world.control.put_new(&key, "".into(), &RunId::new(3)).await.unwrap();
    world.pass(1);
    assert_eq!(codes(&world.look().await), Vec::<&str>::new());
}

/// Looks once, and says whether the store was probed for it.
async fn probed(world: &World) -> bool {
    world.store.fault(Fault::on([Operation::Probe], Action::Reject(ErrorKind::Store)).always());
    let found = codes(&world.look().await) == ["store_not_writable"];
    world.store.clear_faults();
    found
}

#[tokio::test]
async fn a_store_that_keeps_what_a_probe_writes_is_probed_once_a_day() {
    let mut world = World::removing(Removal::TagForLifecycle).await;
    world.request.wanted.rpo_seconds = Some(400 * 86_400);
    world.look().await;
    world.pass(23);
    assert!(!probed(&world).await);
    world.pass(1);
    assert!(probed(&world).await);
    // As long as it cannot be written, each look tries.
    assert!(probed(&world).await);
    let elsewhere = World::new().await;
    elsewhere.look().await;
    assert!(probed(&elsewhere).await, "where the probe cleans up after itself, every look probes");
}

#[tokio::test]
async fn one_run_probes_the_store_once_for_all_its_databases() {
    let world = World::new().await;
    let probe = Arc::default();
    let context = context().clock(Arc::clone(&world.clock) as _).build();
    // Whoever probes a second time is told off.
    world.store.fault(Fault::on([Operation::Probe], Action::Reject(ErrorKind::Store)).after(1).always());
    for _ in 0..8 {
        let ports = HealthPorts { probe: Arc::clone(&probe), ..world.ports() };
        let outcome = health::run(&ports, &world.request, &context).await.unwrap();
        assert_eq!(codes(&outcome), Vec::<&str>::new());
    }
}
