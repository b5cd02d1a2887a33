//! The catalog over a store in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{
    ErrorKind,
    attestation::{Rung, Statement},
    catalog::{self, BackupReference, BackupState},
    manifest::{Manifest, Tier},
    ports::{Removal, Store},
};
use lifeboat_testkit::{Action, BackupBuilder, Fault, MemoryStore, Operation, attestation, context, store_attestation};

fn store() -> MemoryStore {
    MemoryStore::new(Removal::Delete)
}

fn reference(text: &str) -> BackupReference {
    text.parse().unwrap()
}

fn manifest() -> Manifest {
    BackupBuilder::new("orders", "2026-11-19T02:00:00Z").seal().unwrap().0
}

fn after(manifest: &Manifest, statements: &[Statement]) -> BackupState {
    let mut attestations: Vec<_> = (1..)
        .zip(statements)
        .map(|(minute, s)| attestation(manifest, manifest.completed_at + SignedDuration::from_mins(minute), s.clone()))
        .collect();
    attestations.reverse();
    catalog::state_of(manifest, attestations)
}

fn verified() -> Statement {
    Statement::Verified { objects: 4, bytes: 40, seconds: None, decoded: true }
}

fn corrupt() -> Statement {
    Statement::Corrupt { objects: vec!["archive/100.dat.zst".to_owned()] }
}

fn restored() -> Statement {
    Statement::Restored { drill_id: "20261119T040000Z-aaaa".parse().unwrap() }
}

fn expiring() -> Statement {
    Statement::Expiring { reason: "its tier no longer wants it".to_owned() }
}

#[test]
fn good_is_earned_by_a_verify_and_lost_by_damage_until_a_verify_passes_again() {
    let m = manifest();
    let facts = |s: &[Statement]| {
        let state = after(&m, s);
        (state.rung, state.corrupt, state.good)
    };
    assert_eq!(facts(&[]), (Rung::Uploaded, false, false));
    assert_eq!(facts(&[verified()]), (Rung::Verified, false, true));
    assert_eq!(facts(&[verified(), restored()]), (Rung::Restored, false, true));
    assert_eq!(facts(&[verified(), restored(), verified()]), (Rung::Restored, false, true));
    assert_eq!(facts(&[verified(), restored(), corrupt()]), (Rung::Uploaded, true, false));
    assert_eq!(facts(&[verified(), corrupt(), verified()]), (Rung::Verified, false, true));
    assert_eq!(facts(&[verified(), corrupt(), restored()]), (Rung::Uploaded, true, false));
}

#[test]
fn at_the_same_moment_corrupt_wins() {
    let m = manifest();
    for statements in [[verified(), corrupt()], [corrupt(), verified()]] {
        let attestations = statements.map(|s| attestation(&m, m.completed_at, s)).to_vec();
        assert!(!catalog::state_of(&m, attestations).good);
    }
}

#[test]
fn an_attestation_of_another_manifest_does_not_count() {
    let m = manifest();
    let mut foreign = attestation(&m, m.completed_at, verified());
    foreign.manifest_sha256 = "f".repeat(64);
    let state = catalog::state_of(&m, vec![foreign]);
    assert!(!state.good);
    assert!(state.attestations.is_empty());
}

#[test]
fn the_latest_of_hold_and_release_and_of_expiring_and_undo_counts() {
    let m = manifest();
    let hold = || Statement::Hold { reason: "audit".to_owned() };
    assert_eq!(after(&m, &[hold()]).held.as_deref(), Some("audit"));
    assert_eq!(after(&m, &[hold(), Statement::Release]).held, None);
    assert_eq!(after(&m, &[Statement::Release, hold()]).held.as_deref(), Some("audit"));
    assert!(!after(&m, &[verified(), expiring()]).good);
    assert!(after(&m, &[verified(), expiring(), Statement::Undo]).good);
    let twice = after(&m, &[expiring(), expiring()]);
    assert_eq!(twice.expiring.unwrap().since, m.completed_at + SignedDuration::from_mins(1));
}

#[test]
fn a_promotion_changes_the_tier() {
    let m = manifest();
    assert_eq!(m.tier, Tier::Daily);
    assert_eq!(after(&m, &[Statement::Promoted { tier: Tier::Monthly }]).tier, Tier::Monthly);
}

#[tokio::test]
async fn a_list_is_newest_first_and_shows_only_what_is_whole() {
    let store = store();
    for day in ["2026-11-17", "2026-11-19", "2026-11-18"] {
        BackupBuilder::new("orders", &format!("{day}T02:00:00Z")).store_verified(&store).await.unwrap();
    }
    BackupBuilder::new("users", "2026-11-18T03:00:00Z").store(&store).await.unwrap();
    BackupBuilder::new("orders", "2026-11-20T02:00:00Z").store_unfinished(&store).await.unwrap();
    store.tamper(".control/leases/orders.json", "{}");
    store.tamper("orders/drills/20261119T040000Z-aaaa/report.json", "{}");

    let all: Vec<String> = catalog::list(&store, None).await.unwrap().iter().map(BackupState::qualified).collect();
    assert_eq!(
        all,
        [
            "orders/20261119T020000Z-aaaa",
            "users/20261118T030000Z-aaaa",
            "orders/20261118T020000Z-aaaa",
            "orders/20261117T020000Z-aaaa"
        ]
    );
    let users = catalog::list(&store, Some(&"users".parse().unwrap())).await.unwrap();
    assert_eq!(users.len(), 1);

    let leftovers = catalog::unfinished(&store, None).await.unwrap();
    assert_eq!(leftovers.len(), 1);
    assert_eq!(leftovers[0].backup_id.as_str(), "20261120T020000Z-aaaa");
    assert_eq!(leftovers[0].objects, 4);
    assert!(leftovers[0].bytes > 0);
}

#[tokio::test]
async fn a_damaged_backup_is_listed_as_such_and_never_good() {
    let store = store();
    let m = BackupBuilder::new("orders", "2026-11-19T02:00:00Z").store_verified(&store).await.unwrap();
    let n = BackupBuilder::new("orders", "2026-11-18T02:00:00Z").store_verified(&store).await.unwrap();
    assert!(store.flip(&format!("{}manifest.json", m.folder()), 40));
    store.tamper(&format!("{}attestations/20261118T030000000000Z-x-odd.json", n.folder()), "{\"kind\":\"odd\"}");

    let states = catalog::list(&store, None).await.unwrap();
    assert_eq!(states.iter().map(BackupState::standing).collect::<Vec<_>>(), ["damaged", "damaged"]);
    assert!(states.iter().all(|s| !s.good && s.problem.is_some()));
    let error = catalog::find(&store, &reference("orders/20261119T020000Z-aaaa"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_manifest_that_belongs_to_another_backup_is_damage() {
    let store = store();
    let m = BackupBuilder::new("orders", "2026-11-19T02:00:00Z").store_verified(&store).await.unwrap();
    let body = store.body(&format!("{}manifest.json", m.folder())).unwrap();
    store.tamper("orders/20261118T020000Z-aaaa/manifest.json", body);
    let states = catalog::list(&store, None).await.unwrap();
    assert_eq!(states.iter().map(|s| s.good).collect::<Vec<_>>(), [true, false]);
    assert!(states[1].problem.as_ref().unwrap().contains("not of orders/20261118T020000Z-aaaa"));
}

#[tokio::test]
async fn what_the_store_cannot_read_is_an_error_and_not_an_absence() {
    let store = store();
    BackupBuilder::new("orders", "2026-11-19T02:00:00Z").store_verified(&store).await.unwrap();
    store.fault(Fault::on([Operation::Open], Action::Reject(ErrorKind::Store)).key("manifest.json"));
    let error = catalog::list(&store, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("read the manifest of orders/20261119T020000Z-aaaa"));
}

#[tokio::test]
async fn latest_is_the_newest_good_backup() {
    let store = store();
    let good = BackupBuilder::new("orders", "2026-11-17T02:00:00Z").store_verified(&store).await.unwrap();
    let expired = BackupBuilder::new("orders", "2026-11-18T02:00:00Z").store_verified(&store).await.unwrap();
    store_attestation(&store, &attestation(&expired, "2026-11-19T00:00:00Z".parse().unwrap(), expiring()))
        .await
        .unwrap();
    BackupBuilder::new("orders", "2026-11-19T02:00:00Z").store(&store).await.unwrap();

    let found = catalog::find(&store, &reference("latest"), None).await.unwrap();
    assert_eq!(found.manifest, good);
    assert!(found.state.good);
}

#[tokio::test]
async fn latest_is_the_newest_usable_backup_where_none_is_good() {
    let store = store();
    BackupBuilder::new("orders", "2026-11-17T02:00:00Z").store(&store).await.unwrap();
    let newest = BackupBuilder::new("orders", "2026-11-18T02:00:00Z").store(&store).await.unwrap();
    let rotten = BackupBuilder::new("orders", "2026-11-19T02:00:00Z").store(&store).await.unwrap();
    store_attestation(&store, &attestation(&rotten, rotten.completed_at, corrupt())).await.unwrap();

    let found = catalog::find(&store, &reference("orders/latest"), None).await.unwrap();
    assert_eq!(found.manifest, newest);
    assert_eq!((found.state.rung, found.state.good), (Rung::Uploaded, false));

    store.remove(&format!("{}manifest.json", newest.folder()));
    store.remove("orders/20261117T020000Z-aaaa/manifest.json");
    let error = catalog::find(&store, &reference("latest"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("the newest is corrupt"), "{error}");
}

#[tokio::test]
async fn several_databases_make_latest_ambiguous_and_a_bare_id_is_found_across_them() {
    let store = store();
    BackupBuilder::new("orders", "2026-11-17T02:00:00Z").store_verified(&store).await.unwrap();
    BackupBuilder::new("users", "2026-11-18T02:00:00Z").store_verified(&store).await.unwrap();
    let orders = "orders".parse().unwrap();

    let error = catalog::find(&store, &reference("latest"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(error.to_string(), "`latest` could be of several databases: orders, users");
    assert_eq!(error.hint(), "say which, such as `orders/latest`");
    let found = catalog::find(&store, &reference("latest"), Some(&orders)).await.unwrap();
    assert_eq!(found.state.database, orders);
    for default in [None, Some(&orders)] {
        let found = catalog::find(&store, &reference("20261118T020000Z-aaaa"), default).await.unwrap();
        assert_eq!(found.state.database.as_str(), "users");
    }

    BackupBuilder::new("users", "2026-11-17T02:00:00Z").store(&store).await.unwrap();
    let twice = reference("20261117T020000Z-aaaa");
    assert_eq!(catalog::find(&store, &twice, None).await.unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(catalog::find(&store, &twice, Some(&orders)).await.unwrap().state.database, orders);
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_a_leftover_is_named_as_one() {
    let store = store();
    for text in ["latest", "orders/latest", "20261117T020000Z-aaaa", "orders/20261117T020000Z-aaaa"] {
        let error = catalog::find(&store, &reference(text), None).await.unwrap_err();
        assert_eq!((error.kind(), error.kind().exit_code()), (ErrorKind::NotFound, 6), "{text}");
    }
    BackupBuilder::new("orders", "2026-11-17T02:00:00Z").store_unfinished(&store).await.unwrap();
    let error = catalog::find(&store, &reference("orders/20261117T020000Z-aaaa"), None).await.unwrap_err();
    assert!(error.to_string().contains("has no manifest"), "{error}");
}

#[tokio::test]
async fn the_backup_of_a_scheduled_time_is_told_from_those_around_it() {
    let store = store();
    let orders = "orders".parse().unwrap();
    let at: Timestamp = "2026-11-17T02:00:00Z".parse().unwrap();
    let scheduled = |begun: &str, at| BackupBuilder::new("orders", begun).change(|m| m.scheduled_at = at);
    let day = SignedDuration::from_hours(24);
    scheduled("2026-11-16T02:00:09Z", Some(at - day)).store(&store).await.unwrap();
    scheduled("2026-11-17T02:20:00Z", None).store(&store).await.unwrap();
    assert_eq!(catalog::scheduled_for(&store, &orders, at).await.unwrap(), None);
    // By a clock that lags a little.
    let made = scheduled("2026-11-17T01:59:58Z", Some(at)).store(&store).await.unwrap();
    scheduled("2026-11-18T02:00:09Z", Some(at + day)).store(&store).await.unwrap();
    assert_eq!(catalog::scheduled_for(&store, &orders, at).await.unwrap().unwrap().backup_id, made.backup_id);
}

#[tokio::test]
async fn an_attestation_is_written_beside_the_backup_and_read_back() {
    let store = store();
    BackupBuilder::new("orders", "2026-11-17T02:00:00Z").store(&store).await.unwrap();
    let backup = catalog::find(&store, &reference("latest"), None).await.unwrap();
    let context = context().build();
    for _ in 0..2 {
        catalog::attest(&store, &backup.state, verified(), &context).await.unwrap();
    }
    let state = catalog::find(&store, &reference("latest"), None).await.unwrap().state;
    assert!(state.good);
    assert_eq!(state.attestations.len(), 1);
    assert_eq!(state.verified_at(), Some(context.clock.now()));
    assert_eq!(store.list(&format!("{}attestations/", state.folder())).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_writer_whose_clock_was_ahead_cannot_silence_those_that_come_after_it() {
    let store = store();
    let manifest = BackupBuilder::new("orders", "2026-11-19T02:00:00Z").store(&store).await.unwrap();
    let ahead = manifest.completed_at + SignedDuration::from_hours(48);
    for early in [verified(), Statement::Release] {
        store_attestation(&store, &attestation(&manifest, ahead, early)).await.unwrap();
    }
    let open = || catalog::open(&store, &manifest.database, &manifest.backup_id);
    let context = context().build();
    for statement in [corrupt(), Statement::Hold { reason: "evidence".to_owned() }] {
        catalog::attest(&store, &open().await.unwrap().state, statement, &context).await.unwrap();
    }
    let state = open().await.unwrap().state;
    assert!(state.corrupt && !state.good, "damage found later was silenced");
    assert_eq!(state.held.as_deref(), Some("evidence"));
}
