//! The verdict on one backup, given the newer good ones.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

use crate::{
    manifest::Tier,
    retention::{BackupFacts, Policy, Reason, TierRule, promote::period},
};

/// The good backups that are newer, while walking from the newest to the oldest.
#[derive(Debug, Default)]
pub(super) struct Newer {
    good: u32,
    tiers: [Periods; 3],
}

/// Days, weeks or months of one tier that have a good backup.
#[derive(Debug, Default, Clone, Copy)]
struct Periods {
    periods: u32,
    last: Option<Date>,
}

impl Newer {
    /// Counts a good backup of a tier.
    pub(super) fn count(&mut self, tier: Tier, date: Date) {
        self.good += 1;
        let last = Some(period(tier, date));
        let walk = &mut self.tiers[tier as usize];
        if walk.last != last {
            *walk = Periods { periods: walk.periods + 1, last };
        }
    }
}

impl TierRule {
    /// Whether the tier would want any backup of a week or month with this first day, that so many newer ones precede.
    /// Where the regular one may have been too old already, none is wanted in its place.
    pub(super) fn wants_another(&self, first_day: Date, newer: u32, now: Timestamp) -> bool {
        let begins = first_day.to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |zoned| zoned.timestamp());
        // East of Greenwich the day begins up to 14 hours earlier.
        let begins = begins.checked_sub(SignedDuration::from_hours(14)).unwrap_or(begins);
        self.keep.is_none_or(|keep| newer < keep) && !self.too_old(begins, now)
    }

    fn too_old(&self, at: Timestamp, now: Timestamp) -> bool {
        self.max_age_days.is_some_and(|days| now > add_days(at, days))
    }
}

pub(super) fn verdict(
    backup: &BackupFacts,
    tier: Tier,
    policy: &Policy,
    newer: &Newer,
    min_good: u32,
    now: Timestamp,
) -> (bool, Reason) {
    if backup.leaving {
        return (false, Reason::Leaving);
    }
    if let Some(why) = &backup.held {
        return (true, Reason::Held { why: why.clone() });
    }
    if let Some(until) = backup.locked_until.filter(|until| *until > now) {
        return (true, Reason::Locked { until });
    }
    if backup.in_future(now) {
        return (true, Reason::InFuture { at: backup.at.max(backup.backup_id.started_at()) });
    }
    if !backup.readable {
        return (true, Reason::Unreadable);
    }
    // A weekly backup is that day's daily one too: a higher tier must not lose what a lower one still wants.
    let mut why_not = None;
    for wanting in [Tier::Monthly, Tier::Weekly, Tier::Daily].into_iter().filter(|wanting| *wanting <= tier) {
        match unwanted(policy.rule(wanting), wanting, backup, newer.tiers[wanting as usize], now) {
            None => {
                let place = newer.tiers[wanting as usize].periods + 1;
                return (true, Reason::Wanted { tier: wanting, place, keep: policy.rule(wanting).keep });
            }
            Some(reason) => _ = why_not.get_or_insert(reason),
        }
    }
    match why_not {
        Some(reason) if newer.good >= min_good => (false, reason),
        _ => (true, Reason::TooFewNewer { newer_good: newer.good, min_good }),
    }
}

/// Why a tier does not want a backup; `None` if it does.
fn unwanted(rule: &TierRule, tier: Tier, backup: &BackupFacts, walk: Periods, now: Timestamp) -> Option<Reason> {
    if let Some(keep) = rule.keep {
        if walk.last == Some(period(tier, backup.date)) {
            return Some(Reason::Superseded { tier });
        }
        if walk.periods >= keep {
            return Some(Reason::Surplus { tier, keep });
        }
    }
    let max_age_days = rule.max_age_days?;
    rule.too_old(backup.at, now).then_some(Reason::TooOld { tier, max_age_days })
}

pub(super) fn add_days(at: Timestamp, days: u32) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
}
