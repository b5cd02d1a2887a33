//! Whether the recovery time objective will hold: the prediction for today, and the day on which growth makes it fail.

use std::fmt;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::report::words::duration;

use super::{Dated, Extent, Growth, Measured, Part, Prediction, growth, growth::days_between, recovery::Model};

/// So far ahead it is looked.
const DAYS_AHEAD: u32 = 365;

/// What becomes of the objective.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outlook", rename_all = "snake_case")]
pub enum Outlook {
    /// The configuration names no RTO.
    NoObjective,
    /// No drill measured anything.
    NothingMeasured,
    /// There is no backup that could be restored.
    NoBackup,
    /// A restore of the newest backup would take longer than it may already now.
    Missed,
    /// It holds today, and will be missed from this day on.
    MissedFrom {
        /// The first such day, UTC.
        date: Date,
        /// Days until then.
        days: u32,
    },
    /// It holds for the year to come.
    NotWithinAYear,
    /// It holds today; backups are too few, or too close together, to tell how the database grows.
    HoldsToday,
}

/// The forecast of the recovery time of one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveryForecast {
    /// What is wanted, seconds.
    pub objective_seconds: Option<f64>,
    /// How much the newest backup holds.
    pub newest: Option<Extent>,
    /// What its recovery would take now: all that counts for the RTO.
    pub predicted: Option<Prediction>,
    /// How the database grows.
    pub growth: Option<Growth>,
    /// What becomes of the objective.
    #[serde(flatten)]
    pub outlook: Outlook,
}

/// Looks ahead. `backups` are those that can be relied on, newest first.
pub fn recovery(
    drills: &[Measured],
    backups: &[Dated],
    objective_seconds: Option<f64>,
    now: Timestamp,
) -> RecoveryForecast {
    let newest = backups.first();
    let growth = growth(backups);
    let model = Model::of(drills, Part::Recovery);
    let predicted = model.as_ref().zip(newest).map(|(model, newest)| model.predict(newest.extent));
    let outlook = match (objective_seconds, &model, newest) {
        (None, ..) => Outlook::NoObjective,
        (_, None, _) => Outlook::NothingMeasured,
        (_, _, None) => Outlook::NoBackup,
        (Some(objective), Some(model), Some(newest)) => ahead(model, *newest, growth, objective, now),
    };
    RecoveryForecast { objective_seconds, newest: newest.map(|n| n.extent), predicted, growth, outlook }
}

fn ahead(model: &Model, newest: Dated, growth: Option<Growth>, objective: f64, now: Timestamp) -> Outlook {
    if model.predict(newest.extent).seconds > objective {
        return Outlook::Missed;
    }
    let Some(growth) = growth else { return Outlook::HoldsToday };
    let age = days_between(newest.at, now).max(0.0);
    let missed = |days: &u32| model.predict(growth.later(newest.extent, age + f64::from(*days))).seconds > objective;
    // Day by day: predictions need not grow evenly.
    match (0..=DAYS_AHEAD).find(missed) {
        Some(days) => {
            let then = now.saturating_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(now);
            Outlook::MissedFrom { date: then.to_zoned(TimeZone::UTC).date(), days }
        }
        None => Outlook::NotWithinAYear,
    }
}

impl fmt::Display for RecoveryForecast {
    /// In one sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.predicted, self.objective_seconds) {
            (Some(predicted), Some(objective)) => write!(f, "{predicted}; the RTO is {}", duration(objective))?,
            (Some(predicted), None) => write!(f, "{predicted}; no RTO is set")?,
            (None, _) => {}
        }
        match &self.outlook {
            Outlook::NoObjective if self.predicted.is_some() => Ok(()),
            Outlook::NoObjective | Outlook::NothingMeasured => {
                f.write_str("nothing is known: no drill has measured a restore yet")
            }
            Outlook::NoBackup => f.write_str("there is no backup to restore"),
            Outlook::Missed => f.write_str(", and would be missed today"),
            Outlook::MissedFrom { date, days } => write!(f, ", and will be missed from {date} on, in {days} days"),
            Outlook::NotWithinAYear => f.write_str(", and will not be missed within a year"),
            Outlook::HoldsToday => {
                f.write_str(", and would hold today; there are too few backups to tell how the database grows")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn now() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn days_ago(days: i64) -> Timestamp {
        now() - SignedDuration::from_hours(24 * days)
    }

    /// A drill at 60 s a GiB, with five minutes until the server was there.
    fn drill(days: i64, gib: u32) -> Measured {
        let restore_seconds = 60.0 * f64::from(gib);
        Measured {
            at: days_ago(days),
            class: None,
            extent: Extent { stored_bytes: u64::from(gib) * GIB, rows: 1 },
            recovery_seconds: restore_seconds + 300.0,
            restore_seconds,
            compare_seconds: Some(10.0),
        }
    }

    fn backups(gib_per_day: f64) -> Vec<Dated> {
        let dated = |days: u32| {
            let gib = 10.0 - gib_per_day * f64::from(days);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
            let stored_bytes = (gib * f64::from(1 << 30)) as u64;
            Dated { at: days_ago(i64::from(days)), extent: Extent { stored_bytes, rows: 1 } }
        };
        (0..10).map(dated).collect()
    }

    fn drills() -> Vec<Measured> {
        vec![drill(1, 9), drill(31, 7), drill(62, 5)]
    }

    #[test]
    fn the_day_on_which_the_objective_will_be_missed_is_told() {
        // 10 GiB take 15 min today; 20 min are reached at 15 GiB, 50 days of 0.1 GiB later.
        let forecast = recovery(&drills(), &backups(0.1), Some(1200.0), now());
        assert!((forecast.predicted.unwrap().seconds - 900.0).abs() < 0.5);
        let Outlook::MissedFrom { date, days } = forecast.outlook else { panic!("{forecast:?}") };
        assert!((50..=51).contains(&days), "{days}");
        assert_eq!(date.to_string(), if days == 50 { "2027-01-09" } else { "2027-01-10" });
        let told = forecast.to_string();
        assert!(told.starts_with("about 15 min (a line through 3 drills); the RTO is 20 min, and will be"), "{told}");
    }

    #[test]
    fn what_does_not_grow_or_grows_slowly_is_not_missed_within_a_year() {
        for growth in [0.0, -0.1, 0.001] {
            let forecast = recovery(&drills(), &backups(growth), Some(1200.0), now());
            assert_eq!(forecast.outlook, Outlook::NotWithinAYear, "{growth}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let outlook = |drills: &[Measured], backups: &[Dated], objective| {
            let forecast = recovery(drills, backups, objective, now());
            assert!(!forecast.to_string().is_empty());
            forecast.outlook
        };
        assert_eq!(outlook(&[], &backups(0.1), Some(1.0)), Outlook::NothingMeasured);
        assert_eq!(outlook(&drills(), &[], Some(1.0)), Outlook::NoBackup);
        assert_eq!(outlook(&drills(), &backups(0.1), None), Outlook::NoObjective);
        assert_eq!(outlook(&drills(), &backups(0.1)[..2], Some(1200.0)), Outlook::HoldsToday);
        assert_eq!(outlook(&drills(), &backups(0.1), Some(800.0)), Outlook::Missed);
        let nothing = recovery(&[], &[], None, now());
        assert_eq!(nothing.to_string(), "nothing is known: no drill has measured a restore yet");
    }

    #[test]
    fn a_backup_that_is_old_has_grown_since() {
        let old: Vec<Dated> =
            backups(0.1).into_iter().map(|b| Dated { at: b.at - SignedDuration::from_hours(24 * 20), ..b }).collect();
        let Outlook::MissedFrom { days, .. } = recovery(&drills(), &old, Some(1200.0), now()).outlook else { panic!() };
        assert!((30..=31).contains(&days), "{days}");
    }
}
