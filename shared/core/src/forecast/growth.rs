//! How a database grows, read from its backups.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{catalog::BackupState, manifest::Totals};

use super::line::Line;

/// Fewer backups than this make no trend.
const LEAST_BACKUPS: usize = 4;

/// Backups that are closer together make none either: a week has its own ups and downs.
const LEAST_DAYS: f64 = 7.0;

/// Backups that are looked at, newest first: what was a year ago says little, and every pair is compared.
const MOST_BACKUPS: usize = 120;

/// How much a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extent {
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Rows.
    pub rows: u64,
}

impl From<&Totals> for Extent {
    fn from(totals: &Totals) -> Self {
        Self { stored_bytes: totals.stored_bytes, rows: totals.rows }
    }
}

/// A backup's snapshot time, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated {
    /// When.
    pub at: Timestamp,
    /// How much.
    pub extent: Extent,
}

impl Dated {
    /// Of every backup that can be relied on, newest first as they were listed.
    pub fn of(states: &[BackupState], now: Timestamp) -> Vec<Self> {
        states
            .iter()
            .filter(|state| state.usable() && state.at() <= now)
            .filter_map(|state| {
                let summary = state.summary.as_ref()?;
                Some(Self { at: summary.snapshot_at, extent: Extent::from(&summary.totals) })
            })
            .collect()
    }
}

/// How a database grows, or shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Stored bytes a day.
    pub bytes_per_day: f64,
    /// Rows a day.
    pub rows_per_day: f64,
    /// Backups that it was read from.
    pub backups: usize,
    /// Days between the oldest and the newest of them.
    pub days: f64,
}

impl Growth {
    /// What `extent` will be so many days later; never less than nothing.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below zero, and saturating")]
    pub fn later(&self, extent: Extent, days: f64) -> Extent {
        let grown = |now: u64, per_day: f64| (float(now) + per_day * days).max(0.0) as u64;
        Extent {
            stored_bytes: grown(extent.stored_bytes, self.bytes_per_day),
            rows: grown(extent.rows, self.rows_per_day),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

pub(super) fn days_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64() / 86_400.0
}

/// The trend of backups given newest first; `None` where they are too few or too close together to have one.
pub fn growth(backups: &[Dated]) -> Option<Growth> {
    let backups = &backups[..backups.len().min(MOST_BACKUPS)];
    let oldest = backups.iter().map(|b| b.at).min()?;
    let newest = backups.iter().map(|b| b.at).max()?;
    let days = days_between(oldest, newest);
    if backups.len() < LEAST_BACKUPS || days < LEAST_DAYS {
        return None;
    }
    let slope = |of: &dyn Fn(&Extent) -> u64| {
        let points: Vec<(f64, f64)> =
            backups.iter().map(|b| (days_between(oldest, b.at), float(of(&b.extent)))).collect();
        Line::through(&points).map(|line| line.slope)
    };
    Some(Growth {
        bytes_per_day: slope(&|extent| extent.stored_bytes)?,
        rows_per_day: slope(&|extent| extent.rows)?,
        backups: backups.len(),
        days,
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn backups(sizes: &[u64]) -> Vec<Dated> {
        let newest: Timestamp = "2026-11-20T02:00:00Z".parse().unwrap();
        let dated = |(days, bytes): (i64, &u64)| Dated {
            at: newest - SignedDuration::from_hours(24 * days),
            extent: Extent { stored_bytes: *bytes, rows: *bytes / 10 },
        };
        (0..).zip(sizes).map(dated).collect()
    }

    #[test]
    fn a_steady_growth_is_read_although_one_night_was_odd() {
        let growth = growth(&backups(&[1700, 1600, 1500, 1400, 9, 1200, 1100, 1000])).unwrap();
        assert!((growth.bytes_per_day - 100.0).abs() < 1e-9, "{growth:?}");
        assert_eq!((growth.backups, growth.days), (8, 7.0));
        let later = growth.later(Extent { stored_bytes: 1700, rows: 170 }, 3.0);
        assert_eq!(later.stored_bytes, 2000);
    }

    #[test]
    fn what_shrinks_does_not_come_to_less_than_nothing() {
        let growth = growth(&backups(&[300, 400, 500, 600, 700, 800, 900, 1000])).unwrap();
        assert_eq!(growth.later(Extent { stored_bytes: 300, rows: 30 }, 30.0), Extent::default());
    }

    #[test]
    fn few_backups_or_few_days_make_no_trend() {
        assert_eq!(growth(&backups(&[1, 2, 3])), None);
        assert_eq!(growth(&backups(&[1, 2, 3, 4, 5, 6, 7])), None);
        assert_eq!(growth(&[]), None);
    }
}
