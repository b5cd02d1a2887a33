//! Retention over a store in memory: simulated days with grace, lifecycle rules, holds and leftovers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use lifeboat_core::{
    ErrorKind,
    attestation::Statement,
    cancel,
    catalog::{self, BackupState},
    hold,
    ids::DatabaseSlug,
    lease::{self, LeaseOptions},
    ports::{Removal, RunContext, Store},
    retention::{self, Policy, Report, Step, StorageClass, TierRule},
};
use lifeboat_testkit::{
    Action, BackupBuilder, Fault, FixedEntropy, ManualClock, MemoryStore, Operation, attestation, context,
    store_attestation,
};

struct World {
    store: MemoryStore,
    clock: Arc<ManualClock>,
    context: RunContext,
    policy: Policy,
}

fn world(removal: Removal) -> World {
    let clock = Arc::new(ManualClock::at("2026-03-02T05:00:00Z"));
    let store = MemoryStore::with_clock(removal, clock.clone());
    let context = context().clock(clock.clone()).entropy(Arc::new(FixedEntropy::default())).build();
    let policy = Policy { daily: TierRule { keep: Some(3), ..TierRule::default() }, ..Policy::default() };
    World { store, clock, context, policy }
}

fn orders() -> DatabaseSlug {
    DatabaseSlug::from_name("orders").unwrap()
}

impl World {
    /// A verified backup of the night before the clock's 05:00, with one object large enough to be moved.
    async fn night(&self) {
        let at = self.context.clock.now() - SignedDuration::from_hours(3);
        BackupBuilder::at("orders", at).table("big", 10, &vec![7; 200_000]).store_verified(&self.store).await.unwrap();
    }

    async fn nights(&self, nights: u32) {
        for _ in 0..nights {
            self.night().await;
            self.clock.advance(SignedDuration::from_hours(24));
        }
    }

    async fn run(&self, dry_run: bool) -> Report {
        retention::run(&self.store, &self.store, &orders(), &self.policy, dry_run, &self.context).await.unwrap()
    }

    async fn list(&self) -> Vec<BackupState> {
        catalog::list(&self.store, None).await.unwrap()
    }

    async fn standings(&self) -> Vec<&'static str> {
        self.list().await.iter().map(BackupState::standing).collect()
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_shows_the_very_plan_that_is_executed() {
    for removal in [Removal::Delete, Removal::TagForLifecycle] {
        let world = world(removal);
        for _ in 0..25 {
            world.night().await;
            let before = world.store.fingerprint();
            let dry = world.run(true).await;
            assert_eq!(world.store.fingerprint(), before);
            assert!(dry.done.is_empty());
            let wet = world.run(false).await;
            assert_eq!(dry.plan, wet.plan);
            let planned = wet.plan.decisions.iter().map(|d| d.steps.len()).sum::<usize>()
                + wet.plan.leftovers.iter().filter(|l| l.remove).count();
            assert_eq!(wet.done.iter().filter(|d| d.skipped.is_none()).count(), planned);

            // Once more in the same moment: nothing is left to do.
            let after = world.store.fingerprint();
            assert!(world.run(false).await.plan.is_empty());
            assert_eq!(world.store.fingerprint(), after);
            assert!(world.list().await.iter().filter(|s| s.good).count() >= wet.plan.good.min(2) as usize);
            world.store.run_lifecycle();
            world.clock.advance(SignedDuration::from_hours(24));
        }
        // Three daily, three or four Sundays, and what is in its grace.
        let good = world.list().await.iter().filter(|s| s.good).count();
        assert!((6..=7).contains(&good), "{good}");
        assert!(world.list().await.len() <= good + 4);
    }
}

#[tokio::test]
async fn a_backup_is_announced_first_and_removed_only_after_its_grace() {
    let world = world(Removal::Delete);
    world.nights(4).await;
    let report = world.run(false).await;
    let announced: Vec<_> = report.done.iter().filter(|d| d.step == Step::Announce).collect();
    assert_eq!(announced.len(), 1);
    assert_eq!(world.standings().await, ["verified", "verified", "verified", "expiring"]);
    assert!(report.expiring_bytes > 200_000 && report.reclaimed_bytes == 0);

    world.clock.advance(SignedDuration::from_hours(71));
    assert!(world.run(false).await.done.is_empty());
    world.clock.advance(SignedDuration::from_hours(1));
    let report = world.run(false).await;
    assert_eq!(report.done.iter().map(|d| &d.step).collect::<Vec<_>>(), [&Step::Remove]);
    assert!(report.reclaimed_bytes > 200_000);
    assert_eq!(world.standings().await, ["verified"; 3]);
    assert!(world.store.keys().iter().all(|key| !key.contains("20260302T020000Z")), "nothing is left of it");
}

#[tokio::test]
async fn on_s3_all_but_the_attestations_are_tagged_and_those_follow_once_the_manifest_is_gone() {
    let world = world(Removal::TagForLifecycle);
    world.nights(4).await;
    world.run(false).await;
    world.clock.advance(SignedDuration::from_hours(72));
    let keys_before = world.store.keys().len();
    world.run(false).await;
    assert_eq!(world.store.keys().len(), keys_before, "the function cannot delete");
    let folder = "orders/20260302T020000Z-aaaa/";
    for object in world.store.list(folder).await.unwrap() {
        let tags = world.store.tags(&object.key).await.unwrap();
        assert_eq!(
            tags.get("lifeboat-expire").is_some_and(|v| v == "true"),
            !object.key.contains("/attestations/"),
            "{}",
            object.key
        );
    }
    assert!(world.run(true).await.plan.is_empty());

    assert!(world.store.run_lifecycle() > 0);
    assert_eq!(world.standings().await, ["verified"; 3]);
    world.run(false).await;
    world.store.run_lifecycle();
    assert!(world.store.list(folder).await.unwrap().is_empty());
}

#[tokio::test]
async fn undo_works_until_the_tagging_and_a_hold_saves_what_is_expiring() {
    let world = world(Removal::TagForLifecycle);
    world.nights(4).await;
    let error = retention::undo(&world.store, &world.list().await[3], &world.context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    world.run(false).await;
    world.clock.advance(SignedDuration::from_hours(1));
    retention::undo(&world.store, &world.list().await[3], &world.context).await.unwrap();
    assert_eq!(world.standings().await[3], "verified");

    // Retention announces it anew, and a hold takes it back for good.
    world.clock.advance(SignedDuration::from_hours(24));
    world.run(false).await;
    assert_eq!(world.standings().await[3], "expiring");
    world.clock.advance(SignedDuration::from_hours(1));
    hold::hold(&world.store, &world.list().await[3], "audit 2026", &world.context).await.unwrap().unwrap();
    world.clock.advance(SignedDuration::from_hours(24 * 30));
    world.run(false).await;
    let state = &world.list().await[3];
    assert_eq!((state.good, state.held.as_deref()), (true, Some("audit 2026")));
    assert_eq!(hold::hold(&world.store, state, " audit 2026 ", &world.context).await.unwrap(), None);
    assert_eq!(hold::hold(&world.store, state, " ", &world.context).await.unwrap_err().kind(), ErrorKind::Usage);

    hold::release(&world.store, state, &world.context).await.unwrap().unwrap();
    assert_eq!(hold::release(&world.store, &world.list().await[3], &world.context).await.unwrap(), None);
    world.clock.advance(SignedDuration::from_hours(1));
    world.run(false).await;
    world.clock.advance(SignedDuration::from_hours(72));
    world.run(false).await;
    for too_late in [
        retention::undo(&world.store, &world.list().await[3], &world.context).await.map(Some),
        hold::hold(&world.store, &world.list().await[3], "too late", &world.context).await,
    ] {
        let error = too_late.unwrap_err();
        assert_eq!((error.kind(), error.kind().exit_code()), (ErrorKind::Refused, 9));
        assert!(error.hint().contains("noncurrent"));
    }
}

#[tokio::test]
async fn what_changed_since_the_plan_is_left_alone() {
    let world = world(Removal::Delete);
    world.nights(5).await;
    let now = world.clock_now();
    let gathered = retention::gather(&world.store, &world.store, &orders(), &world.policy, now).await.unwrap();
    let plan = retention::plan(&gathered.facts, &world.policy, now);
    hold::hold(&world.store, &world.list().await[4], "wait", &world.context).await.unwrap();
    let done = retention::execute(&world.store, &world.store, &plan, &world.context).await.unwrap().done;
    let skipped: Vec<_> = done.iter().filter_map(|d| d.skipped.as_deref()).collect();
    assert_eq!(skipped, ["it has been held since"]);
    assert_eq!(world.list().await.iter().filter(|s| s.expiring.is_some()).count(), 1);
}

impl World {
    fn clock_now(&self) -> jiff::Timestamp {
        self.context.clock.now()
    }
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_taken_up_again_and_never_shows_half_a_backup() {
    for removal in [Removal::Delete, Removal::TagForLifecycle] {
        for crash_after in 0..6 {
            let world = world(removal);
            world.nights(4).await;
            world.run(false).await;
            world.clock.advance(SignedDuration::from_hours(72));
            let ops = [Operation::Delete, Operation::SetTags];
            world.store.fault(Fault::on(ops, Action::Reject(ErrorKind::Store)).after(crash_after).always());
            let orders = orders();
            let crashed =
                retention::run(&world.store, &world.store, &orders, &world.policy, false, &world.context).await;
            world.store.clear_faults();
            assert!(world.list().await.iter().all(|s| s.good || s.expiring.is_some()));
            for _ in 0..3 {
                world.clock.advance(SignedDuration::from_hours(48));
                world.run(false).await;
                world.store.run_lifecycle();
            }
            assert_eq!(world.standings().await, ["verified"; 3], "after {crash_after}: {crashed:?}");
            assert!(catalog::unfinished(&world.store, None).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn verified_backups_move_to_their_tiers_class_once_with_all_their_tags() {
    let mut world = world(Removal::TagForLifecycle);
    world.policy.daily.storage_class = Some(StorageClass::StandardIa);
    world.night().await;
    let at = world.clock_now() - SignedDuration::from_hours(1);
    BackupBuilder::at("orders", at).table("big", 10, &vec![7; 200_000]).store(&world.store).await.unwrap();
    let big = "orders/20260302T020000Z-aaaa/archive/101.dat.zst";
    world.store.set_tags(big, &[("team".to_owned(), "shop".to_owned())].into()).await.unwrap();
    let report = world.run(false).await;
    assert_eq!(
        report.done.iter().map(|d| (&d.step, d.objects)).collect::<Vec<_>>(),
        [(&Step::Move { class: StorageClass::StandardIa }, 1)]
    );
    let tags = world.store.tags(big).await.unwrap();
    let tags: Vec<_> = tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(tags, ["lifeboat-move=STANDARD_IA", "team=shop"]);
    let tagged: Vec<_> = world.store.fingerprint().into_iter().filter(|line| line.contains("lifeboat-move")).collect();
    assert_eq!(tagged.len(), 1, "neither small objects nor the unverified backup: {tagged:?}");
    assert!(world.run(false).await.plan.is_empty(), "asked once is enough");
    world.store.run_lifecycle();
    let report = world.run(false).await;
    assert!(report.plan.is_empty());
    let row = report.storage.iter().find(|r| r.storage_class == "STANDARD_IA").unwrap();
    assert_eq!((row.tier.as_str(), row.objects, row.bytes), ("daily", 1, 200_000));
    assert!(row.usd_per_month > 0.0 && report.usd_per_month_now > report.usd_per_month_forecast);
}

#[tokio::test]
async fn leftovers_go_when_they_are_old_and_never_while_a_run_holds_the_lease() {
    let world = world(Removal::Delete);
    let at = world.clock_now();
    BackupBuilder::at("orders", at).store_unfinished(&world.store).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(47));
    assert!(world.run(false).await.done.is_empty(), "too young");
    world.clock.advance(SignedDuration::from_hours(2));

    let control: Arc<dyn Store> = Arc::new(world.store.clone());
    let canceller = cancel::pair().0;
    let options = LeaseOptions::default();
    let guard = lease::acquire(control, &orders(), "dump", &world.context, canceller, options).await.unwrap();
    assert!(world.run(false).await.done.is_empty(), "a dump may be writing it");
    guard.release().await.unwrap();

    let report = world.run(false).await;
    assert_eq!(report.done.len(), 1);
    assert!(report.reclaimed_bytes > 0);
    assert!(catalog::unfinished(&world.store, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn unfinished_uploads_of_the_database_are_swept_when_they_are_old_and_never_while_a_run_holds_the_lease() {
    let world = world(Removal::TagForLifecycle);
    for key in ["orders/20260302T020000Z-aaaa/archive/1.dat.zst", "orders2/20260302T020000Z-aaaa/archive/1.dat.zst"] {
        let mut upload = world.store.upload_new(key, &world.context.run_id).await.unwrap();
        upload.write(Bytes::from_static(b"rows")).await.unwrap();
    }
    world.clock.advance(SignedDuration::from_hours(47));
    assert_eq!(world.run(false).await.swept_uploads, 0, "too young");
    world.clock.advance(SignedDuration::from_hours(2));

    let control: Arc<dyn Store> = Arc::new(world.store.clone());
    let canceller = cancel::pair().0;
    let options = LeaseOptions::default();
    let guard = lease::acquire(control, &orders(), "dump", &world.context, canceller, options).await.unwrap();
    assert_eq!(world.run(false).await.swept_uploads, 0, "a dump may be writing it");
    guard.release().await.unwrap();

    let dry = world.run(true).await;
    assert_eq!(dry.swept_uploads, 0);
    assert!(dry.to_string().contains("unfinished uploads older than 2 days are swept"), "{dry}");
    assert_eq!(world.run(false).await.swept_uploads, 1);
    assert_eq!(world.store.sweep_uploads("", world.clock_now()).await.unwrap(), 1, "another database's is left alone");
}

#[tokio::test]
async fn damage_found_within_the_grace_takes_an_expiring_backup_back() {
    let world = world(Removal::Delete);
    world.nights(4).await;
    world.run(false).await;
    world.clock.advance(SignedDuration::from_hours(1));
    let newest = world.list().await[0].clone();
    let manifest = catalog::open(&world.store, &orders(), &newest.backup_id).await.unwrap().manifest;
    let corrupt = Statement::Corrupt { objects: vec!["archive/101.dat.zst".to_owned()] };
    store_attestation(&world.store, &attestation(&manifest, world.clock_now(), corrupt)).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(80));
    world.run(false).await;
    assert_eq!(world.standings().await, ["corrupt", "verified", "verified", "verified"]);
}
