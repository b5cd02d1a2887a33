//! The forecasts over a store in memory: what its backups and the reports of its drills say, and what damage does to that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{
    attestation::Statement,
    drill::Selection,
    forecast::{
        DatabaseForecast, ForecastRequest, Outlook, forecast, measured, predict_drill, predict_dump, predict_verify,
    },
    ids::DrillId,
    manifest::{Manifest, PhaseDuration},
    ports::{Removal, Store},
    report::{Cost, DrillReport, Fact, OriginEvidence, Verdict},
    retention::Policy,
};
use lifeboat_testkit::{BackupBuilder, MemoryStore, attestation, store_attestation};

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn request() -> ForecastRequest {
    ForecastRequest {
        database: "orders".parse().unwrap(),
        policy: Policy::default(),
        rto_seconds: Some(120),
        dump_every_seconds: Some(86_400),
        drill_every_seconds: Some(31 * 86_400),
        selection: Selection::Latest,
    }
}

/// Eight nights of a table that grows by 10,000 bytes each.
async fn growing() -> MemoryStore {
    let store = MemoryStore::new(Removal::TagForLifecycle);
    for night in 0..8_u32 {
        let at = now() - SignedDuration::from_hours(i64::from(24 * night) + 10);
        let content = vec![b'x'; 300_000 - 10_000 * night as usize];
        BackupBuilder::at("orders", at).table("events", 1000, &content).store_verified(&store).await.unwrap();
    }
    store
}

/// A report of a drill that tells nothing of how long a restore takes: of a restore test, or broken off.
async fn unmeasured(store: &MemoryStore, days_ago: i64, broken_off: bool) {
    let mut report = DrillReport::open(include_bytes!("fixtures/format-1/report.json")).unwrap();
    report.finished_at = now() - SignedDuration::from_hours(24 * days_ago + 1);
    report.drill_id = DrillId::new(report.finished_at, 9);
    if broken_off {
        report.phases.retain(|phase| phase.phase != "restore");
        report.verdict = Verdict::Failed;
    } else {
        let kind = "AWS Backup restore job".to_owned();
        report.origin = Some(OriginEvidence { kind, id: "job".to_owned(), taken_at: None });
    }
    put(store, &report).await;
}

async fn put(store: &MemoryStore, report: &DrillReport) {
    let (bytes, _) = report.clone().seal().unwrap();
    let key = format!("orders/drills/{}/report.json", report.drill_id);
    store.put_new(&key, bytes.into(), &report.run_id).await.unwrap();
}

/// A report as a real drill wrote it, of a backup with so many bytes that took so long.
async fn drilled(store: &MemoryStore, days_ago: i64, stored_bytes: u64, seconds: f64, usd: f64) {
    let fixture = include_bytes!("fixtures/format-1/report.json");
    let mut report = DrillReport::open(fixture).unwrap();
    let at = now() - SignedDuration::from_hours(24 * days_ago);
    report.drill_id = DrillId::new(at, 7);
    (report.finished_at, report.backup.stored_bytes) = (at, stored_bytes);
    let provisioned = report.phases.iter().find(|p| p.phase == "provision").unwrap().seconds;
    report.phases.iter_mut().find(|p| p.phase == "restore").unwrap().seconds = seconds;
    report.phases.iter_mut().find(|p| p.phase == "compare").unwrap().seconds = seconds / 2.0;
    report.rto.actual_seconds = Fact::known(seconds + provisioned);
    report.closure.cost =
        Fact::known(Cost { amount: usd, currency: "USD".to_owned(), basis: "a scratch instance".to_owned() });
    put(store, &report).await;
}

async fn look(store: &MemoryStore) -> DatabaseForecast {
    forecast(store, &request(), now()).await.unwrap()
}

#[tokio::test]
async fn a_store_without_backups_and_drills_says_that_nothing_is_known() {
    let found = look(&MemoryStore::new(Removal::Delete)).await;
    assert_eq!(found.recovery.outlook, Outlook::NothingMeasured);
    assert_eq!((found.restore, found.compare, found.cost), (None, None, None));
}

#[tokio::test]
async fn drills_and_growth_tell_the_day_on_which_the_rto_is_missed() {
    let store = growing().await;
    // A second for each 3,000 bytes.
    for (days_ago, stored_bytes) in [(3, 270_000_u32), (33, 180_000), (64, 120_000)] {
        drilled(&store, days_ago, u64::from(stored_bytes), f64::from(stored_bytes) / 3000.0, 0.0).await;
    }
    let found = look(&store).await;
    let restore = found.restore.unwrap();
    // The newest backup holds 300,000 bytes and a little beside them.
    assert!((restore.seconds - 100.0).abs() < 0.5, "{restore:?}");
    let Outlook::MissedFrom { days, .. } = found.recovery.outlook else { panic!("{:?}", found.recovery) };
    // 20 s more are 60,000 bytes, six days of growth; providing the server took a part of that.
    assert!((1..=6).contains(&days), "{days}");
    assert!(found.compare.is_some());
}

#[tokio::test]
async fn a_damaged_report_hides_no_other() {
    let store = growing().await;
    drilled(&store, 3, 1000, 10.0, 0.0).await;
    drilled(&store, 33, 1000, 10.0, 0.0).await;
    let reports = store.list("orders/drills/").await.unwrap();
    store.tamper(&reports[0].key, "{}");
    assert_eq!(measured(&store, &request().database).await.unwrap().len(), 1);
}

#[tokio::test]
async fn drills_that_measured_nothing_hide_none_that_did() {
    let store = growing().await;
    let orders = request().database;
    for days_ago in [20, 50] {
        drilled(&store, days_ago, 300_000, 1000.0, 0.0).await;
    }
    let before = predict_drill(&store, &orders).await.unwrap();
    assert!(before.is_some());
    // Every day a restore test of AWS Backup, and every third day one that fails of a backup.
    for days_ago in 0..16 {
        unmeasured(&store, days_ago, days_ago % 3 == 2).await;
    }
    let measured = measured(&store, &orders).await.unwrap();
    assert_eq!(measured.len(), 2, "{measured:?}");
    assert_eq!(predict_drill(&store, &orders).await.unwrap(), before);
    let found = look(&store).await;
    assert!(found.restore.is_some() && found.recovery.outlook != Outlook::NothingMeasured, "{found:?}");
    // So far back as there are many of them, and no further: each is a request.
    for days_ago in 60..100 {
        unmeasured(&store, days_ago, false).await;
    }
    drilled(&store, 110, 300_000, 1000.0, 0.0).await;
    assert_eq!(lifeboat_core::forecast::measured(&store, &orders).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_bill_counts_what_the_newest_backup_holds_and_what_drills_cost() {
    let store = growing().await;
    let without = look(&store).await.cost.unwrap();
    drilled(&store, 3, 1000, 10.0, 0.25).await;
    let with = look(&store).await.cost.unwrap();
    let more = with.bill.drills_usd - without.bill.drills_usd;
    assert!((more - 0.25 * 365.0 / 12.0 / 31.0).abs() < 1e-9, "{more}");
    // One object of 300,000 bytes moves, the rest is too small.
    assert!(with.bill.moves_usd > 0.0);
    assert!(with.prices.contains("us-east-1, November 2026"), "{}", with.prices);
    assert!(with.total_in_a_year_usd.unwrap() > with.bill.total_usd);
}

/// A backup of so many bytes that was dumped in so many seconds, so many days ago.
async fn dumped(store: &MemoryStore, days_ago: i64, bytes: usize, seconds: f64) -> Manifest {
    let at = now() - SignedDuration::from_hours(24 * days_ago);
    let phases = || [("lock", 0.25), ("data", 0.75)].map(|(phase, part)| (phase.to_owned(), part * seconds));
    let phases = phases().map(|(phase, seconds)| PhaseDuration { phase, seconds }).to_vec();
    let builder = BackupBuilder::at("orders", at).table("events", 1000, &vec![b'x'; bytes]);
    builder.change(|manifest| manifest.phases = phases).store_verified(store).await.unwrap()
}

async fn next_dump(store: &MemoryStore) -> Option<f64> {
    predict_dump(store, &request().database, now()).await.unwrap()
}

#[tokio::test]
async fn a_dump_is_predicted_to_take_as_long_as_the_last_one_and_more_by_what_has_grown() {
    let store = MemoryStore::new(Removal::Delete);
    assert_eq!(next_dump(&store).await, None);
    dumped(&store, 10, 1_000_000, 100.0).await;
    assert_eq!(next_dump(&store).await, Some(100.0), "one backup shows no growth");
    dumped(&store, 8, 1_200_000, 100.0).await;
    dumped(&store, 4, 1_600_000, 100.0).await;
    dumped(&store, 2, 1_800_000, 700.0).await;
    // A tenth in the two days since then.
    let seconds = next_dump(&store).await.unwrap();
    assert!((770.0..785.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_verify_is_predicted_by_the_speed_of_the_last_one_and_before_there_was_one_by_its_dump() {
    let store = MemoryStore::new(Removal::Delete);
    let backup = dumped(&store, 2, 1_000_000, 700.0).await;
    let next = || predict_verify(&store, &backup.database, &backup.backup_id);
    assert_eq!(next().await.unwrap(), Some(700.0));
    for (hour, seconds) in [(1, 50.0), (2, 20.0)] {
        let bytes = 2 * backup.totals.stored_bytes;
        let statement = Statement::Verified { objects: 5, bytes, seconds: Some(seconds), decoded: true };
        let at = backup.completed_at + SignedDuration::from_hours(hour);
        store_attestation(&store, &attestation(&backup, at, statement)).await.unwrap();
    }
    let seconds = next().await.unwrap().unwrap();
    assert!((seconds - 10.0).abs() < 1e-6, "{seconds}");
}

#[tokio::test]
async fn a_drill_is_predicted_by_restore_and_comparison_together_where_one_was_measured() {
    let store = growing().await;
    assert_eq!(predict_drill(&store, &request().database).await.unwrap(), None);
    drilled(&store, 3, 300_000, 1000.0, 0.0).await;
    let seconds = predict_drill(&store, &request().database).await.unwrap().unwrap();
    // The restore 1000 s, comparing 500 s; the newest backup is a little larger.
    assert!((1500.0..1510.0).contains(&seconds), "{seconds}");
}
