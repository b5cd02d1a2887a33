//! Promotions: where the weekly or monthly dump failed, the next good backup takes its place.

use jiff::{Timestamp, ToSpan, civil::Date};

use crate::{manifest::Tier, retention::BackupFacts};

/// The first day of the day, week (from Sunday) or month that a date falls in, as the tier counts.
pub(super) fn period(tier: Tier, date: Date) -> Date {
    match tier {
        Tier::Daily => date,
        Tier::Weekly => {
            let since_sunday = i64::from(date.weekday().to_sunday_zero_offset());
            date.checked_sub(since_sunday.days()).unwrap_or(date)
        }
        Tier::Monthly => date.first_of_month(),
    }
}

/// The new tiers of backups, by index. `backups` are newest first, `good` says of each whether it counts as good;
/// `wants` whether a tier wants a backup of such a day that so many newer weeks or months precede.
///
/// A week or month lacks its backup if it has no whole one of that tier or higher; one that is expiring did not fail.
/// Nor did a week or month before the history began, that is, where no backup is older than its first day.
pub(super) fn promotions(
    backups: &[&BackupFacts],
    good: &[bool],
    now: Timestamp,
    wants: impl Fn(Tier, Date, u32) -> bool,
) -> Vec<(usize, Tier)> {
    let Some(oldest) = backups.last().map(|b| b.date) else { return Vec::new() };
    let mut promoted: Vec<(usize, Tier)> = Vec::new();
    for tier in [Tier::Monthly, Tier::Weekly] {
        // Newest first, a period at a time: its first day, its first good backup, whether the tier has one already.
        let mut periods: Vec<(Date, Option<usize>, bool)> = Vec::new();
        for (index, backup) in backups.iter().enumerate().filter(|(_, b)| b.whole && !b.in_future(now)) {
            let first_day = period(tier, backup.date);
            let planned = promoted.iter().find(|(i, _)| *i == index).map_or(backup.tier, |(_, t)| *t);
            if periods.last().is_none_or(|(day, ..)| *day != first_day) {
                periods.push((first_day, None, false));
            }
            if let Some((_, first_good, has_one)) = periods.last_mut() {
                *has_one |= planned >= tier;
                if good[index] {
                    *first_good = Some(index);
                }
            }
        }
        let mut newer = 0;
        for (first_day, first_good, has_one) in periods {
            if has_one {
                newer += 1;
            } else if let Some(first_good) = first_good
                && oldest < first_day
                && wants(tier, first_day, newer)
            {
                promoted.push((first_good, tier));
                newer += 1;
            }
        }
    }
    promoted
}
