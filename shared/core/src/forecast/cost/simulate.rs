//! Lets retention run over the years to come, with today's backup every night: where backups lie, and for how long.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::{
    ids::{BackupId, DatabaseSlug},
    manifest::Tier,
    retention::{BackupFacts, Facts, Policy, Step, StorageClass, TierRule, plan},
};

/// Days that a removed object stays as a noncurrent version, so that an administrator can bring it back.
const NONCURRENT_DAYS: u32 = 14;

/// Lifecycle rules act on the day after.
const LIFECYCLE_DAYS: u32 = 1;

/// S3 moves nothing to `STANDARD_IA` that is younger.
const YOUNGEST_IN_IA: u32 = 30;

/// So many dumps of a day are told apart; of more, the retention keeps no more either.
const MOST_DUMPS_A_DAY: u32 = 24;

/// A stay of a backup's movable objects in one class: days, `until` open where the simulation ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) class: StorageClass,
    pub(super) from: u32,
    pub(super) until: Option<u32>,
}

/// The life of one backup, in days from the beginning of the simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) made: u32,
    /// The tier, since the day on which retention first kept it as such: a backup may be promoted.
    tiers: Vec<(u32, Tier)>,
    calendar: Tier,
    /// When its objects were tagged for removal.
    pub(super) removed: Option<u32>,
}

impl Life {
    /// The last tier it had.
    pub(super) fn tier(&self) -> Tier {
        self.tiers.last().map_or(self.calendar, |(_, tier)| *tier)
    }

    /// Where its objects lie, when policies move them so: what is kept does not depend on the classes. Retention tags
    /// for colder classes only, and lifecycle rules act later than it.
    pub(super) fn stays(&self, policy: &Policy) -> Vec<Stay> {
        let mut tagged: Vec<(u32, StorageClass)> = Vec::new();
        for (day, tier) in &self.tiers {
            let lies_in = tagged.last().map_or(StorageClass::Standard, |(_, class)| *class);
            tagged.extend(policy.rule(*tier).storage_class.filter(|class| *class > lies_in).map(|class| (*day, class)));
        }
        let gone = self.removed.map(|day| day + LIFECYCLE_DAYS + NONCURRENT_DAYS);
        // What is expired already is not moved any more.
        let expired = self.removed.map_or(u32::MAX, |day| day + LIFECYCLE_DAYS);
        let mut begins = vec![(self.made, StorageClass::Standard)];
        for (index, (day, class)) in tagged.iter().enumerate() {
            let youngest = if *class == StorageClass::StandardIa { self.made + YOUNGEST_IN_IA } else { 0 };
            let moved = (day + LIFECYCLE_DAYS).max(youngest);
            let replaced = tagged.get(index + 1).map_or(u32::MAX, |(next, _)| next + LIFECYCLE_DAYS);
            if moved < expired && moved < replaced {
                begins.push((moved, *class));
            }
        }
        let ends = begins.iter().skip(1).map(|(from, _)| Some(*from)).chain([gone]);
        begins.iter().zip(ends).map(|((from, class), until)| Stay { class: *class, from: *from, until }).collect()
    }
}

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Course {
    /// The first day.
    pub(super) from: Timestamp,
    /// How many.
    pub(super) days: u32,
    /// Seconds between two dumps.
    pub(super) dump_every_seconds: u64,
}

/// The policy without its storage classes: what decides what is kept.
pub(super) fn keeping(policy: &Policy) -> Policy {
    let warm = |rule: &TierRule| TierRule { storage_class: None, ..*rule };
    Policy {
        daily: warm(&policy.daily),
        weekly: warm(&policy.weekly),
        monthly: warm(&policy.monthly),
        ..policy.clone()
    }
}

/// Every night's dumps are verified, then retention plans and its plan is carried out: the plan of [`plan`], no other.
pub(super) fn simulate(policy: &Policy, database: &DatabaseSlug, course: Course) -> Vec<Life> {
    let policy = keeping(policy);
    let mut facts = Facts { database: database.clone(), backups: Vec::new(), leftovers: Vec::new(), lease_held: false };
    let mut alive: BTreeMap<BackupId, Life> = BTreeMap::new();
    let mut ended = Vec::new();
    let every = course.dump_every_seconds.max(86_400 / u64::from(MOST_DUMPS_A_DAY));
    let mut next_dump = 0_u64;
    for day in 0..course.days {
        let evening = u64::from(day + 1) * 86_400;
        while next_dump < evening {
            let backup = made(later(course.from, next_dump));
            let life = Life { made: day, tiers: Vec::new(), calendar: backup.tier, removed: None };
            alive.insert(backup.backup_id.clone(), life);
            facts.backups.push(backup);
            next_dump += every;
        }
        let plan = plan(&facts, &policy, later(course.from, evening));
        // Decisions come from the newest to the oldest, facts lie from the oldest to the newest.
        for (backup, decision) in facts.backups.iter_mut().rev().zip(&plan.decisions) {
            debug_assert_eq!(backup.backup_id, decision.backup_id, "the order of decisions");
            for step in &decision.steps {
                match step {
                    Step::TakeBack => backup.expiring_since = None,
                    Step::Promote { tier } => backup.tier = *tier,
                    Step::Announce => backup.expiring_since = Some(plan.made_at),
                    Step::Remove => backup.leaving = true,
                    Step::Move { .. } => {}
                }
            }
            if let Some(life) = alive.get_mut(&backup.backup_id).filter(|_| decision.keep)
                && life.tiers.last().is_none_or(|(_, tier)| *tier != decision.tier)
            {
                life.tiers.push((day, decision.tier));
            }
        }
        for gone in facts.backups.extract_if(.., |backup| backup.leaving) {
            ended.extend(alive.remove(&gone.backup_id).map(|life| Life { removed: Some(day), ..life }));
        }
    }
    ended.extend(alive.into_values());
    ended
}

fn later(from: Timestamp, seconds: u64) -> Timestamp {
    let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    from.saturating_add(seconds).unwrap_or(Timestamp::MAX)
}

fn made(at: Timestamp) -> BackupFacts {
    BackupFacts {
        backup_id: BackupId::new(at, 0),
        at,
        date: at.to_zoned(TimeZone::UTC).date(),
        tier: Tier::of(at, &TimeZone::UTC),
        whole: true,
        readable: true,
        held: None,
        locked_until: None,
        expiring_since: None,
        leaving: false,
        bytes: 0,
        class: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(policy: &Policy, days: u32) -> Vec<Life> {
        let from = "2026-01-01T02:00:00Z".parse().unwrap();
        simulate(policy, &"orders".parse().unwrap(), Course { from, days, dump_every_seconds: 86_400 })
    }

    #[test]
    fn seven_five_six_keeps_as_many_and_each_lies_where_the_policy_says() {
        let lives = lives(&Policy::default(), 500);
        let alive = |tier: Tier| lives.iter().filter(|l| l.removed.is_none() && l.tier() == tier).count();
        assert_eq!(alive(Tier::Monthly), 6);
        // Seven days, and three in which each can be taken back; Sundays and firsts of a month are of their own tiers.
        assert!((8..=10).contains(&alive(Tier::Daily)), "{}", alive(Tier::Daily));
        assert!((5..=6).contains(&alive(Tier::Weekly)), "{}", alive(Tier::Weekly));
        for life in &lives {
            let stays = life.stays(&Policy::default());
            match life.tier() {
                Tier::Daily => assert_eq!(stays.len(), 1, "{life:?}"),
                // Thirty days in STANDARD first, whatever the tags say.
                Tier::Weekly => assert!(stays.iter().skip(1).all(|s| s.from == life.made + 30), "{life:?}"),
                Tier::Monthly => {
                    assert!(stays.iter().skip(1).all(|s| s.from == life.made + 1), "{life:?}");
                }
            }
            if let (Some(removed), Some(last)) = (life.removed, stays.last()) {
                assert_eq!(last.until, Some(removed + 15), "{life:?}");
            }
        }
    }

    #[test]
    fn a_promoted_backup_moves_to_its_new_tiers_class_and_never_back_to_a_warmer_one() {
        let life = Life {
            made: 0,
            tiers: vec![(0, Tier::Daily), (6, Tier::Weekly), (40, Tier::Monthly)],
            calendar: Tier::Daily,
            removed: Some(200),
        };
        let classes =
            |policy: &Policy| life.stays(policy).iter().map(|s| (s.class.name(), s.from, s.until)).collect::<Vec<_>>();
        assert_eq!(
            classes(&Policy::default()),
            [("STANDARD", 0, Some(30)), ("STANDARD_IA", 30, Some(41)), ("GLACIER", 41, Some(215))]
        );
        let mut cold_first = Policy::default();
        cold_first.weekly.storage_class = Some(StorageClass::DeepArchive);
        assert_eq!(classes(&cold_first), [("STANDARD", 0, Some(7)), ("DEEP_ARCHIVE", 7, Some(215))]);
    }

    #[test]
    fn several_dumps_a_day_are_made_and_one_is_kept() {
        let from = "2026-01-01T00:30:00Z".parse().unwrap();
        let course = Course { from, days: 60, dump_every_seconds: 6 * 3600 };
        let lives = simulate(&Policy::default(), &"orders".parse().unwrap(), course);
        assert_eq!(lives.len(), 240);
        let alive = lives.iter().filter(|l| l.removed.is_none()).count();
        assert!((20..40).contains(&alive), "{alive}");
    }

    #[test]
    fn a_weekly_dump_is_made_weekly() {
        let from = "2026-01-04T02:00:00Z".parse().unwrap();
        let course = Course { from, days: 70, dump_every_seconds: 7 * 86_400 };
        assert_eq!(simulate(&Policy::default(), &"orders".parse().unwrap(), course).len(), 10);
    }
}
