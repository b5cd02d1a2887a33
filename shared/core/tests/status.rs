//! The status over a store in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::sync::Arc;

use lifeboat_core::{
    ErrorKind,
    attestation::Statement,
    cancel,
    config::Span,
    ids::DatabaseSlug,
    lease::{self, LeaseOptions},
    ports::{Removal, Store},
    status::{Standing, Status, Watched, status},
};
use lifeboat_testkit::{Action, BackupBuilder, Fault, MemoryStore, Operation, attestation, context, store_attestation};

const RPO: Option<Span> = Some(Span(26 * 3600));

fn watched(names: &[&str]) -> Vec<Watched> {
    names.iter().map(|name| Watched { database: DatabaseSlug::from_name(name).unwrap(), rpo: RPO }).collect()
}

async fn look(store: &MemoryStore, names: &[&str]) -> Status {
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    status(store, store, &watched(names), now).await.unwrap()
}

async fn world() -> MemoryStore {
    let store = MemoryStore::new(Removal::Delete);
    BackupBuilder::new("orders", "2026-11-20T02:00:00Z").store_restored(&store).await.unwrap();
    BackupBuilder::new("orders", "2026-11-19T02:00:00Z").store_verified(&store).await.unwrap();
    BackupBuilder::new("users", "2026-11-18T02:00:00Z").store_verified(&store).await.unwrap();
    let rotten = BackupBuilder::new("users", "2026-11-20T02:00:00Z").store_verified(&store).await.unwrap();
    let corrupt = Statement::Corrupt { objects: Vec::new() };
    store_attestation(&store, &attestation(&rotten, "2026-11-20T03:00:00Z".parse().unwrap(), corrupt)).await.unwrap();
    BackupBuilder::new("stock", "2026-11-20T02:00:00Z").store(&store).await.unwrap();
    store
}

#[tokio::test]
async fn every_database_is_measured_by_its_newest_good_backup() {
    let store = world().await;
    let status = look(&store, &["orders", "users", "stock", "new"]).await;
    let standings: Vec<Standing> = status.databases.iter().map(|d| d.standing).collect();
    assert_eq!(standings, [Standing::Fresh, Standing::Stale, Standing::NoneGood, Standing::NoBackup]);
    assert_eq!(status.worst(), Standing::NoBackup);
    assert_eq!(status.databases[0].freshness_seconds, Some(10 * 3600));
    assert_eq!(status.databases[1].freshness_seconds, Some(58 * 3600));
    assert_eq!(status.databases[1].problems, ["users/20261120T020000Z-aaaa is corrupt"]);
    let text = status.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "DATABASE  STANDING   NEWEST GOOD            AGE       RPO      BACKUPS               STORED  LAST DRILL",
            "orders    fresh      20261120T020000Z-aaaa  10 h      1 d 2 h  2 good                98 B    -",
            "users     stale      20261118T020000Z-aaaa  2 d 10 h  1 d 2 h  1 good, 1 damaged     98 B    -",
            "stock     none good  -                      -         1 d 2 h  0 good, 1 unverified  49 B    -",
            "new       no backup  -                      -         1 d 2 h  0 good                0 B     -",
            "problem: users/20261120T020000Z-aaaa is corrupt",
        ]
    );
}

#[tokio::test]
async fn prometheus_gets_stable_names_and_no_line_where_there_is_no_value() {
    let store = world().await;
    let text = look(&store, &["orders", "stock"]).await.prometheus();
    for line in [
        "# TYPE lifeboat_last_good_backup_timestamp_seconds gauge",
        "lifeboat_last_good_backup_timestamp_seconds{database=\"orders\"} 1795140000",
        "lifeboat_backups{database=\"orders\",standing=\"restored\"} 1",
        "lifeboat_backups{database=\"stock\",standing=\"uploaded\"} 1",
        "lifeboat_rpo_seconds{database=\"stock\"} 93600",
        "lifeboat_fresh{database=\"stock\"} 0",
        "lifeboat_running{database=\"orders\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("lifeboat_last_good_backup_timestamp_seconds{database=\"stock\"}"));
    assert!(!text.contains("lifeboat_last_drill_timestamp_seconds{"));
}

#[tokio::test]
async fn who_runs_is_said_and_an_unreadable_lease_is_a_problem_and_not_the_end() {
    let store = world().await;
    let control: Arc<dyn Store> = Arc::new(store.clone());
    let orders = DatabaseSlug::from_name("orders").unwrap();
    let context = context().build();
    let guard = lease::acquire(control, &orders, "dump", &context, cancel::pair().0, LeaseOptions::default());
    let guard = guard.await.unwrap();
    store.tamper("leases/users.json", "?");
    let status = look(&store, &["orders", "users"]).await;
    assert_eq!(status.databases[0].running.as_ref().unwrap().operation, "dump");
    assert!(status.databases[1].problems.iter().any(|p| p.contains("leases/users.json is not a lease")));
    guard.release().await.unwrap();
    assert_eq!(look(&store, &["orders"]).await.databases[0].running, None);
}

#[tokio::test]
async fn a_backup_from_the_future_does_not_hide_that_dumps_have_stopped() {
    let store = MemoryStore::new(Removal::Delete);
    BackupBuilder::new("orders", "2026-11-01T02:00:00Z").store_verified(&store).await.unwrap();
    BackupBuilder::new("orders", "2027-11-21T02:00:00Z").store_verified(&store).await.unwrap();
    let status = look(&store, &["orders"]).await;
    assert_eq!(status.databases[0].standing, Standing::Stale);
    assert!(status.databases[0].problems[0].contains("in the future"));
    // A few minutes are how clocks differ.
    BackupBuilder::new("orders", "2026-11-20T12:05:00Z").store_verified(&store).await.unwrap();
    let status = look(&store, &["orders"]).await;
    assert_eq!((status.databases[0].standing, status.databases[0].freshness_seconds), (Standing::Fresh, Some(0)));
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_and_not_an_empty_status() {
    let store = world().await;
    store.fault(Fault::on([Operation::Folders], Action::Reject(ErrorKind::Store)));
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    assert_eq!(status(&store, &store, &watched(&["orders"]), now).await.unwrap_err().kind(), ErrorKind::Store);
}

#[tokio::test]
async fn the_json_is_one_document_with_what_a_program_needs() {
    let store = world().await;
    let json = serde_json::to_value(look(&store, &["users"]).await).unwrap();
    assert_eq!(json["databases"][0]["standing"], "stale");
    assert_eq!(json["databases"][0]["newest_good"]["backup_id"], "20261118T020000Z-aaaa");
    assert_eq!(json["databases"][0]["backups"]["corrupt"], 1);
}
