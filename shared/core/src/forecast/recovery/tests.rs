//! Worked examples and what must hold for any drills.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn drill(number: i64, mib: u64, seconds: f64) -> Measured {
    let newest: Timestamp = "2026-11-20T02:00:00Z".parse().unwrap();
    Measured {
        at: newest - SignedDuration::from_hours(24 * number),
        class: None,
        extent: Extent { stored_bytes: mib * MIB, rows: 0 },
        recovery_seconds: seconds + 100.0,
        restore_seconds: seconds,
        compare_seconds: None,
    }
}

fn of(mib: u64) -> Extent {
    Extent { stored_bytes: mib * MIB, rows: 0 }
}

#[test]
fn without_a_drill_nothing_is_known() {
    assert_eq!(predict_restore(&[], of(1)), None);
    assert_eq!(predict(&[drill(0, 100, 10.0)], Part::Compare, of(1)), None);
}

#[test]
fn one_drill_gives_a_speed() {
    let prediction = predict_restore(&[drill(0, 100, 10.0)], of(150)).unwrap();
    assert!((prediction.seconds - 15.0).abs() < 1e-9);
    assert_eq!((prediction.basis, prediction.drills, prediction.stretch), (Basis::Rate, 1, false));
    assert_eq!(prediction.to_string(), "about 15.0 s (at the speed of the only drill)");
    let far = predict_restore(&[drill(0, 100, 10.0)], of(1000)).unwrap();
    assert!(far.stretch && far.to_string().ends_with("much larger than any that was drilled"), "{far}");
}

#[test]
fn backups_of_different_size_give_a_line() {
    // 20 s, and a second for each 10 MiB.
    let drills = [drill(0, 400, 60.0), drill(30, 300, 50.0), drill(60, 200, 40.0)];
    let prediction = predict_restore(&drills, of(500)).unwrap();
    assert!((prediction.seconds - 70.0).abs() < 1e-9, "{prediction:?}");
    assert_eq!((prediction.basis, prediction.measure), (Basis::Line, Measure::Bytes));
    assert_eq!(prediction.to_string(), "about 1 min 10 s (a line through 3 drills)");
}

#[test]
fn backups_much_of_a_size_give_the_usual_speed() {
    let drills = [drill(0, 110, 11.0), drill(30, 100, 30.0), drill(60, 105, 10.5)];
    let prediction = predict_restore(&drills, of(200)).unwrap();
    assert_eq!((prediction.basis, prediction.drills), (Basis::Rate, 3));
    assert!((prediction.seconds - 20.0).abs() < 1e-9, "{prediction:?}");
}

#[test]
fn providing_a_server_takes_as_long_for_small_backups_as_for_large_ones() {
    let drills = [drill(0, 100, 10.0), drill(30, 100, 10.0)];
    let prediction = predict(&drills, Part::Recovery, of(200)).unwrap();
    assert!((prediction.seconds - 120.0).abs() < 1e-9 && (prediction.fixed_seconds - 100.0).abs() < 1e-9);
}

#[test]
fn rows_are_taken_where_they_explain_the_times_better() {
    let with_rows = |number, mib, rows, seconds| {
        let mut drill = drill(number, mib, seconds);
        drill.extent.rows = rows;
        drill
    };
    let drills = [
        with_rows(0, 100, 3000, 30.0),
        with_rows(1, 900, 1000, 10.0),
        with_rows(2, 300, 2000, 20.0),
        with_rows(3, 200, 4000, 40.0),
    ];
    let prediction = predict_restore(&drills, Extent { stored_bytes: 0, rows: 5000 }).unwrap();
    assert_eq!((prediction.measure, prediction.basis), (Measure::Rows, Basis::Line));
    assert!((prediction.seconds - 50.0).abs() < 1e-6, "{prediction:?}");
}

#[test]
fn only_drills_on_the_newest_class_of_instance_count() {
    let on = |number, class: &str, seconds| Measured { class: Some(class.to_owned()), ..drill(number, 100, seconds) };
    let drills = [on(5, "db.t4g.micro", 100.0), on(0, "db.m7g.large", 10.0), on(9, "db.t4g.micro", 100.0)];
    let prediction = predict_restore(&drills, of(100)).unwrap();
    assert!((prediction.seconds - 10.0).abs() < 1e-9 && prediction.drills == 1, "{prediction:?}");
}

fn drills() -> impl Strategy<Value = Vec<Measured>> {
    let one = (1_u64..1_000_000, 0.01_f64..100_000.0, 0_u64..1_000_000_000);
    proptest::collection::vec(one, 1..12).prop_map(|drills| {
        let measured = |(number, (mib, seconds, rows))| {
            let mut drill = drill(number, mib, seconds);
            drill.extent.rows = rows;
            drill
        };
        (0..).zip(drills).map(measured).collect()
    })
}

proptest! {
    #[test]
    fn more_data_never_take_less_time(drills in drills(), small in 0_u64..2_000_000, more in 0_u64..2_000_000) {
        for part in [Part::Restore, Part::Recovery] {
            let seconds = |mib: u64| {
                let extent = Extent { stored_bytes: mib * MIB, rows: mib * 1000 };
                predict(&drills, part, extent).unwrap().seconds
            };
            let (less, most) = (seconds(small), seconds(small + more));
            prop_assert!(less.is_finite() && less >= 0.0 && most >= less - 1e-6, "{less} {most}");
        }
    }

    #[test]
    fn what_lies_on_a_line_is_predicted_exactly(
        fixed in 0.0_f64..1000.0, per_mib in 0.001_f64..10.0, sizes in proptest::collection::btree_set(1_u64..100_000, 5),
        odd in 0.0_f64..1.0e6, which in 0_usize..5, asked in 1_u64..200_000
    ) {
        let sizes: Vec<u64> = sizes.into_iter().collect();
        prop_assume!(sizes[4] * 4 > sizes[0] * 5);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let at = |mib: u64| fixed + per_mib * mib as f64;
        // One drill of the five was odd: a slow night changes nothing.
        let drills: Vec<Measured> =
            (0..).zip(&sizes).map(|(n, mib)| drill(n, *mib, if n == i64::try_from(which).unwrap() { odd } else { at(*mib) })).collect();
        let prediction = predict_restore(&drills, of(asked)).unwrap();
        prop_assert_eq!(prediction.basis, Basis::Line);
        prop_assert!((prediction.seconds - at(asked)).abs() <= at(asked) * 1e-6 + 1e-3, "{:?} {}", prediction, at(asked));
    }
}
