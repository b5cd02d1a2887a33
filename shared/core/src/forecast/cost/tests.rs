//! Worked examples, by hand, and what must hold for any backup and policy.

use proptest::prelude::*;

use super::*;
use crate::retention::TierRule;

const GIB: u64 = 1 << 30;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// 10 GiB in 160 objects of 64 MiB, and five small ones.
fn input() -> CostInput {
    CostInput {
        database: "orders".parse().unwrap(),
        shape: Shape {
            movable_objects: 160,
            movable_bytes: 10 * GIB,
            other_objects: 5,
            other_bytes: 0,
            puts: 160 * 10 + 5,
        },
        dump_every_seconds: 86_400,
        drill_every_seconds: None,
        selection: Selection::Rotate,
        past_drills_usd: Vec::new(),
        growth: None,
    }
}

fn near(value: f64, expected: f64, within: f64) {
    assert!((value - expected).abs() <= within, "{value} is not {expected}");
}

#[test]
fn thirty_days_in_standard_cost_as_reckoned_by_hand() {
    let bill = cost_in_force(&Policy::preset("30d").unwrap(), &input(), now()).bill;
    // A backup is wanted for 30 days; at the look after, its grace of 3 begins; it is tagged at the look after that, and
    // its versions are gone 15 days later.
    let days = bill.storage.iter().map(|row| row.backups).sum::<f64>();
    near(days, 49.0, 1.5);
    near(bill.storage_usd, days * 10.0 * 0.023, 0.01);
    near(bill.backups, 34.0, 1.5);
    // Each night: 1,605 PUTs, 165 GETs; and 165 tags when it goes.
    near(bill.requests_usd, 365.0 / 12.0 * ((1605.0 + 165.0) * 0.005 + 165.0 * 0.000_4) / 1000.0, 0.005);
    assert_eq!((bill.moves_usd, bill.early_deletion_usd, bill.drills_usd), (0.0, 0.0, 0.0));
    assert!(!bill.endless);
    near(bill.total_usd, bill.storage_usd + bill.requests_usd, 1e-9);
}

#[test]
fn what_goes_before_its_minimum_time_is_billed_for_the_rest_of_it() {
    // Weekly backups for 5 weeks in GLACIER_IR: there for about 35 + 3 + 15 days of 90.
    let weekly = TierRule { keep: Some(5), max_age_days: None, storage_class: Some(StorageClass::GlacierIr) };
    let policy = Policy { weekly, ..Policy::default() };
    let forecast = cost_in_force(&policy, &input(), now());
    let weekly = |row: &&StorageCost| row.tier == Tier::Weekly && row.storage_class == StorageClass::GlacierIr;
    let lay: f64 = forecast.bill.storage.iter().filter(weekly).map(|row| row.backups).sum::<f64>() * 7.0;
    near(lay, 53.0, 8.0);
    let each = (90.0 - lay) / (365.0 / 12.0) * 10.0 * 0.004;
    // Sundays that are no first of a month: about 50.3 of a year.
    near(forecast.bill.early_deletion_usd, each * 50.3 / 12.0, each * 50.3 / 12.0 * 0.15);
    assert!(forecast.notes.iter().any(|note| note.contains("bills at least 90 days")), "{:?}", forecast.notes);
}

#[test]
fn the_default_lies_in_three_classes_and_says_what_that_means() {
    let forecast = cost(&Policy::default(), &input(), now());
    let lie_in = |class| forecast.bill.storage.iter().any(|row| row.storage_class == class);
    assert!(lie_in(StorageClass::Standard) && lie_in(StorageClass::StandardIa) && lie_in(StorageClass::Glacier));
    let thaw = "monthly backups must be thawed before a restore, which takes hours";
    assert!(forecast.notes.iter().any(|note| note == thaw), "{:?}", forecast.notes);
    assert!(forecast.bill.moves_usd > 0.0);
    let cheapest = forecast.alternatives.first().unwrap();
    assert!(forecast.alternatives.iter().all(|other| other.bill.total_usd >= cheapest.bill.total_usd));
    for other in &forecast.alternatives {
        near(other.difference_usd, other.bill.total_usd - forecast.bill.total_usd, 1e-9);
    }
    let deep = forecast.alternatives.iter().find(|other| other.name == "monthly in DEEP_ARCHIVE").unwrap();
    assert!(deep.difference_usd < 0.0, "{deep:?}");
}

#[test]
fn drills_cost_what_they_read_and_what_their_instances_did() {
    let monthly = |selection, past: &[f64]| {
        let input = CostInput {
            drill_every_seconds: Some(365 * 86_400 / 12),
            selection,
            past_drills_usd: past.to_vec(),
            ..input()
        };
        cost_in_force(&Policy::default(), &input, now()).bill.drills_usd
    };
    // The newest backup is in STANDARD: twice 165 GETs, and the middle of what past instances cost.
    near(monthly(Selection::Latest, &[0.10, 0.12, 9.0]), 0.12 + 330.0 * 0.000_000_4, 1e-6);
    // The oldest tiers are read from colder classes, for money.
    assert!(monthly(Selection::Rotate, &[]) > monthly(Selection::Latest, &[]) + 0.01);
    assert!(cost_in_force(&Policy::default(), &input(), now()).bill.drills_usd < f64::EPSILON);
}

#[test]
fn a_drill_reads_a_backup_twice_and_retrieves_what_it_thaws_once() {
    // The five small objects are in STANDARD whatever the class: 10 GETs, $0.000004.
    for (class, usd) in [
        // 330 GETs.
        (StorageClass::Standard, 0.000_132),
        // 320 GETs for $0.00032, 20 GB for $0.20.
        (StorageClass::StandardIa, 0.200_324),
        // 320 GETs for $0.0032, 20 GB for $0.60.
        (StorageClass::GlacierIr, 0.603_204),
        // 160 thaws for $0.008, 320 GETs of the copies for $0.000128, 10 GB for $0.10.
        (StorageClass::Glacier, 0.108_132),
        // 160 thaws for $0.016, 320 GETs of the copies for $0.000128, 10 GB for $0.20.
        (StorageClass::DeepArchive, 0.216_132),
    ] {
        near(bill::reading(class, input().shape), usd, 1e-9);
    }
}

#[test]
fn a_policy_that_keeps_everything_is_said_to_grow_for_ever() {
    let mut policy = Policy::default();
    policy.monthly.keep = None;
    let forecast = cost_in_force(&policy, &input(), now());
    assert!(forecast.bill.endless);
    assert!(forecast.notes.iter().any(|note| note.contains("grows from year to year")), "{:?}", forecast.notes);
}

#[test]
fn what_is_too_small_to_move_stays_in_standard() {
    let shape = Shape { movable_objects: 0, movable_bytes: 0, other_objects: 9, other_bytes: GIB, puts: 9 };
    let forecast = cost_in_force(&Policy::default(), &CostInput { shape, ..input() }, now());
    assert!(forecast.bill.storage.iter().all(|row| row.storage_class == StorageClass::Standard));
    assert_eq!((forecast.bill.moves_usd, forecast.bill.early_deletion_usd), (0.0, 0.0));
}

#[test]
fn a_database_that_doubles_in_a_year_doubles_its_storage_bill() {
    let growth = Growth { bytes_per_day: 10.0 * 1_073_741_824.0 / 365.0, rows_per_day: 0.0, backups: 9, days: 90.0 };
    let forecast =
        cost_in_force(&Policy::preset("30d").unwrap(), &CostInput { growth: Some(growth), ..input() }, now());
    let bill = &forecast.bill;
    near(forecast.total_in_a_year_usd.unwrap(), 2.0 * bill.storage_usd + bill.requests_usd, 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn larger_backups_never_cost_less_and_no_figure_is_negative(
        objects in 1_u64..500, mib in 1_u64..100_000, more in 0_u64..100_000,
        keep in (1_u32..10, 1_u32..8, 1_u32..8), classes in (0_usize..5, 0_usize..5), hours in 6_u64..200
    ) {
        let class = |index: usize| Some(StorageClass::ALL[index]);
        let policy = Policy {
            daily: TierRule { keep: Some(keep.0), max_age_days: None, storage_class: None },
            weekly: TierRule { keep: Some(keep.1), max_age_days: None, storage_class: class(classes.0) },
            monthly: TierRule { keep: Some(keep.2), max_age_days: None, storage_class: class(classes.1) },
            ..Policy::default()
        };
        let of = |mib: u64| {
            let shape = Shape {
                movable_objects: objects, movable_bytes: mib << 20, other_objects: 4, other_bytes: 1000, puts: objects,
            };
            let input = CostInput {
                shape, dump_every_seconds: hours * 3600, drill_every_seconds: Some(30 * 86_400), ..input()
            };
            bill::bill(&policy, &input, &bill::years(&policy, &input, now()))
        };
        let (small, large) = (of(mib), of(mib + more));
        prop_assert!(large.total_usd >= small.total_usd - 1e-9, "{} {}", small.total_usd, large.total_usd);
        for figure in [small.storage_usd, small.requests_usd, small.moves_usd, small.early_deletion_usd, small.drills_usd] {
            prop_assert!(figure.is_finite() && figure >= 0.0);
        }
        prop_assert!(small.backups >= 1.0, "min_good keeps at least one: {}", small.backups);
    }
}
