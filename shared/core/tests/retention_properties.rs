//! What retention promises, over a hundred thousand generated histories: gaps, failures, clock jumps, holds, damage.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lifeboat_core::{
    ids::{BackupId, DatabaseSlug},
    manifest::Tier,
    retention::{BackupFacts, Facts, LeftoverFacts, Plan, Policy, Reason, Step, StorageClass, TierRule, plan},
};
use proptest::prelude::*;

/// Cases per property; five properties make a hundred thousand histories.
const CASES: u32 = 20_000;

const START: i64 = 1_764_547_200; // 2025-12-01T00:00:00Z

fn day(n: i64) -> Timestamp {
    Timestamp::from_second(START + n * 86_400).unwrap()
}

/// A history from random words: each is one night. Most go well; some leave a gap, fail to verify, are corrupt, held,
/// locked, expiring, leaving, twice on one day, or dated by a clock that jumped.
fn facts(nights: &[u32]) -> (Facts, Timestamp) {
    let mut at = day(0) + SignedDuration::from_hours(2);
    let mut backups = Vec::with_capacity(nights.len());
    for (number, word) in nights.iter().enumerate() {
        let [kind, gap, special, jump] = word.to_le_bytes();
        at += match gap {
            0..=200 => SignedDuration::from_hours(24),
            201..=225 => SignedDuration::from_hours(3),
            226..=250 => SignedDuration::from_hours(24 * i64::from(gap - 220)),
            _ => SignedDuration::from_hours(24 * 40),
        };
        let dated = match jump {
            0..=4 => at + SignedDuration::from_hours(24 * 365),
            5..=9 => at - SignedDuration::from_hours(24 * 30),
            _ => at,
        };
        backups.push(BackupFacts {
            backup_id: BackupId::new(dated, number as u64),
            at: dated,
            date: dated.to_zoned(TimeZone::UTC).date(),
            tier: Tier::of(dated, &TimeZone::UTC),
            whole: kind >= 60,
            readable: kind >= 5,
            held: (special < 12).then(|| "audit".to_owned()),
            locked_until: (12..24).contains(&special).then(|| dated + SignedDuration::from_hours(24 * 10)),
            expiring_since: (24..48).contains(&special).then(|| dated + SignedDuration::from_hours(24 * 9)),
            leaving: (24..28).contains(&special),
            bytes: 1000 + number as u64,
            class: (kind % 2 == 0).then_some(StorageClass::Standard),
        });
    }
    let leftovers = nights
        .iter()
        .take(2)
        .map(|word| LeftoverFacts {
            backup_id: BackupId::new(at, u64::from(*word)),
            last_written: at - SignedDuration::from_hours(i64::from(word % 96)),
            bytes: 1,
            leaving: false,
        })
        .collect();
    let database = DatabaseSlug::from_name("orders").unwrap();
    (Facts { database, backups, leftovers, lease_held: nights.len().is_multiple_of(3) }, at)
}

fn rule(word: u16) -> TierRule {
    let [keep, age] = word.to_le_bytes();
    TierRule {
        keep: (keep < 200).then_some(u32::from(keep % 9)),
        max_age_days: (age < 80).then_some(u32::from(age)),
        storage_class: (age % 3 == 0).then_some(StorageClass::Glacier),
    }
}

fn policy(words: (u16, u16, u16, u8)) -> Policy {
    Policy {
        daily: rule(words.0),
        weekly: rule(words.1),
        monthly: rule(words.2),
        min_good: u32::from(words.3 % 4) + 1,
        grace_days: u32::from(words.3 / 4 % 4) + 1,
        ..Policy::default()
    }
}

/// What executing the plan does to the facts.
fn apply(facts: &mut Facts, plan: &Plan) {
    for decision in &plan.decisions {
        let backup = facts.backups.iter_mut().find(|b| b.backup_id == decision.backup_id).unwrap();
        for step in &decision.steps {
            match step {
                Step::Promote { tier } => backup.tier = *tier,
                Step::TakeBack => backup.expiring_since = None,
                Step::Announce => backup.expiring_since = Some(plan.made_at),
                Step::Move { class } => backup.class = Some(*class),
                Step::Remove => backup.leaving = true,
            }
        }
    }
    for leftover in &plan.leftovers {
        facts
            .leftovers
            .iter_mut()
            .filter(|l| l.backup_id == leftover.backup_id)
            .for_each(|l| l.leaving |= leftover.remove);
    }
}

fn history() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 0..22)
}

fn policy_words() -> impl Strategy<Value = (u16, u16, u16, u8)> {
    any::<(u16, u16, u16, u8)>()
}

fn is_good_and_past(backup: &BackupFacts, now: Timestamp) -> bool {
    backup.good() && backup.at <= now && backup.backup_id.started_at() <= now
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_fewer_than_min_good_stay_and_never_the_newest_a_held_or_a_future_one_goes(
        nights in history(), words in policy_words(), later in 0_i64..200,
    ) {
        let (facts, last) = facts(&nights);
        let (policy, now) = (policy(words), last + SignedDuration::from_hours(24 * later));
        let plan = plan(&facts, &policy, now);
        prop_assert_eq!(plan.decisions.len(), facts.backups.len());
        let find = |id: &BackupId| facts.backups.iter().find(|b| b.backup_id == *id).unwrap();
        let good = facts.backups.iter().filter(|b| is_good_and_past(b, now)).count();
        // Good now, or again once the plan has taken it back.
        let counts: Vec<&BackupFacts> = plan
            .decisions
            .iter()
            .map(|d| (find(&d.backup_id), d.steps.contains(&Step::TakeBack)))
            .filter(|(b, back)| {
                is_good_and_past(b, now) || (*back && b.whole && b.at <= now && b.backup_id.started_at() <= now)
            })
            .map(|(b, _)| b)
            .collect();
        let stay = counts.iter().filter(|b| plan.decisions.iter().any(|d| d.keep && d.backup_id == b.backup_id)).count();
        prop_assert!(stay >= good.min(policy.min_good as usize), "{} of {} stay", stay, good);
        for decision in plan.decisions.iter().filter(|d| !d.keep) {
            let backup = find(&decision.backup_id);
            prop_assert!(backup.leaving || backup.held.is_none());
            prop_assert!(backup.leaving || backup.locked_until.is_none_or(|until| until <= now));
            prop_assert!(backup.leaving || (backup.at <= now && backup.readable));
            // Whatever goes, good or not, enough good ones are newer.
            let newer = counts.iter().filter(|b| (b.at, &b.backup_id) > (backup.at, &backup.backup_id)).count();
            prop_assert!(backup.leaving || newer >= policy.min_good as usize);
        }
    }

    #[test]
    fn nothing_is_removed_that_was_not_announced_a_grace_ago(
        nights in history(), words in policy_words(), later in 0_i64..200,
    ) {
        let (facts, last) = facts(&nights);
        let (policy, now) = (policy(words), last + SignedDuration::from_hours(24 * later));
        for decision in plan(&facts, &policy, now).decisions {
            let backup = facts.backups.iter().find(|b| b.backup_id == decision.backup_id).unwrap();
            if decision.steps.contains(&Step::Remove) {
                let grace = SignedDuration::from_hours(24 * i64::from(policy.grace_days));
                prop_assert!(backup.expiring_since.is_some_and(|since| since + grace <= now));
                prop_assert!(!decision.keep);
            }
            if decision.steps.iter().any(|s| matches!(s, Step::Move { .. } | Step::Promote { .. })) {
                prop_assert!(backup.good() || (backup.whole && decision.steps.contains(&Step::TakeBack)));
            }
        }
        let held = Facts { lease_held: true, ..facts };
        prop_assert!(plan(&held, &policy, now).leftovers.iter().all(|l| !l.remove));
    }

    #[test]
    fn applying_a_plan_twice_is_applying_it_once(
        nights in history(), words in policy_words(), later in 0_i64..60,
    ) {
        let (mut facts, last) = facts(&nights);
        let (policy, now) = (policy(words), last + SignedDuration::from_hours(24 * later));
        let first = plan(&facts, &policy, now);
        apply(&mut facts, &first);
        let second = plan(&facts, &policy, now);
        prop_assert!(second.is_empty(), "{}\nthen\n{}", first, second);
        for (before, after) in first.decisions.iter().zip(&second.decisions) {
            prop_assert_eq!(before.keep, after.keep);
        }
    }

    #[test]
    fn failed_and_unverified_uploads_never_push_a_good_one_out(
        nights in history(), words in policy_words(), failures in prop::collection::vec((0_i64..40, any::<bool>()), 1..8),
    ) {
        let (mut facts, last) = facts(&nights);
        let policy = policy(words);
        let now = last + SignedDuration::from_hours(24);
        let before = plan(&facts, &policy, now);
        // The oldest stays the oldest: promotions ask when the history began.
        let oldest = facts.backups.iter().map(|b| b.at).min().unwrap_or(last);
        for (number, (days, readable)) in failures.iter().enumerate() {
            let at = (last - SignedDuration::from_hours(24 * days)).max(oldest) + SignedDuration::from_mins(90);
            facts.backups.push(BackupFacts {
                backup_id: BackupId::new(at, 1000 + number as u64),
                at,
                date: at.to_zoned(TimeZone::UTC).date(),
                tier: Tier::of(at, &TimeZone::UTC),
                whole: false,
                readable: *readable,
                held: None,
                locked_until: None,
                expiring_since: None,
                leaving: false,
                bytes: 1,
                class: None,
            });
        }
        let after = plan(&facts, &policy, now);
        for decision in &before.decisions {
            let same = after.decisions.iter().find(|d| d.backup_id == decision.backup_id).unwrap();
            prop_assert_eq!(decision.keep, same.keep, "{}: {} became {}", decision.backup_id, decision.reason, same.reason);
        }
    }

    #[test]
    fn age_alone_deletes_nothing(
        nights in history(), words in policy_words(), years in 1_i64..10,
    ) {
        // No new dumps for years, retention runs all the while: what is good and newest stays for ever.
        let (mut facts, last) = facts(&nights);
        let policy = policy(words);
        let good = facts.backups.iter().filter(|b| is_good_and_past(b, last)).count();
        for run in 1..=4 {
            let now = last + SignedDuration::from_hours(24 * 365 * years * run);
            let next = plan(&facts, &policy, now);
            apply(&mut facts, &next);
            facts.backups.retain(|b| !b.leaving);
        }
        let end = last + SignedDuration::from_hours(24 * 365 * 40);
        let stay = facts.backups.iter().filter(|b| is_good_and_past(b, end)).count();
        prop_assert!(stay >= good.min(policy.min_good as usize), "{} of {} stayed", stay, good);
    }
}

/// A nightly history up to the last night, all verified.
fn nightly(nights: i64) -> Facts {
    let mut facts = facts(&[]).0;
    facts.lease_held = false;
    for n in 0..nights {
        let at = day(n) + SignedDuration::from_hours(2);
        facts.backups.push(BackupFacts {
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
            bytes: 1000,
            class: Some(StorageClass::Standard),
        });
    }
    facts
}

fn run_daily(facts: &mut Facts, policy: &Policy, nights: i64) {
    for n in 0..nights {
        let now = day(n) + SignedDuration::from_hours(5);
        let mut seen =
            Facts { backups: facts.backups.iter().filter(|b| b.at <= now).cloned().collect(), ..facts.clone() };
        let next = plan(&seen, policy, now);
        apply(&mut seen, &next);
        let rest: Vec<_> = facts.backups.iter().filter(|b| b.at > now).cloned().collect();
        seen.backups.retain(|b| !b.leaving);
        seen.backups.extend(rest);
        *facts = seen;
    }
}

#[test]
fn a_year_of_nights_under_the_default_policy_ends_as_seven_five_six() {
    let policy = Policy::default();
    let mut facts = nightly(366);
    run_daily(&mut facts, &policy, 366);
    let good = |tier| facts.backups.iter().filter(|b| b.good() && b.tier == tier).count();
    assert_eq!((good(Tier::Daily), good(Tier::Weekly), good(Tier::Monthly)), (7, 5, 6));
    assert!(
        facts
            .backups
            .iter()
            .filter(|b| b.good() && b.tier == Tier::Monthly)
            .all(|b| b.class == Some(StorageClass::Glacier))
    );
    // What is in its grace is all that is there besides.
    assert!(facts.backups.iter().filter(|b| !b.good()).count() <= 4);
}

#[test]
fn where_sundays_or_the_firsts_dump_failed_the_next_good_one_is_promoted_once() {
    let mut facts = nightly(80);
    // Sunday 2026-01-11 and Monday after it, and the first of February.
    for (month, date) in [(1, 11), (1, 12), (2, 1)] {
        facts
            .backups
            .iter_mut()
            .filter(|b| b.date.month() == month && b.date.day() == date)
            .for_each(|b| b.whole = false);
    }
    let policy = Policy { weekly: TierRule { keep: Some(9), ..TierRule::default() }, ..Policy::default() };
    let now = day(79) + SignedDuration::from_hours(5);
    let first = plan(&facts, &policy, now);
    let promoted: Vec<String> = first
        .decisions
        .iter()
        .filter(|d| d.steps.iter().any(|s| matches!(s, Step::Promote { .. })))
        .map(|d| format!("{} {:?}", d.at, d.tier))
        .collect();
    assert_eq!(promoted, ["2026-02-02T02:00:00Z Monthly", "2026-01-13T02:00:00Z Weekly"]);
    apply(&mut facts, &first);
    assert!(
        plan(&facts, &policy, now).decisions.iter().all(|d| !d.steps.iter().any(|s| matches!(s, Step::Promote { .. })))
    );
}

#[test]
fn many_dumps_on_one_day_do_not_push_out_the_days_before() {
    let mut facts = nightly(10);
    let template = facts.backups[9].clone();
    for n in 1..40 {
        let at = template.at + SignedDuration::from_mins(10 * n);
        facts.backups.push(BackupFacts { backup_id: BackupId::new(at, n.unsigned_abs()), at, ..template.clone() });
    }
    let plan = plan(&facts, &Policy::default(), day(10));
    let kept_days = plan.decisions.iter().filter(|d| d.keep).map(|d| d.backup_id.as_str()[..8].to_owned());
    let mut kept_days: Vec<String> = kept_days.collect();
    kept_days.dedup();
    assert_eq!(kept_days.len(), 9, "seven daily, one Sunday, the first: {kept_days:?}");
}

#[test]
fn an_expiring_backup_is_taken_back_when_it_is_needed_again() {
    let mut facts = nightly(4);
    let policy = Policy { daily: TierRule { keep: Some(2), ..TierRule::default() }, ..Policy::default() };
    let now = day(4);
    let first = plan(&facts, &policy, now);
    assert_eq!(first.decisions[2].steps, [Step::Announce]);
    assert_eq!(first.decisions[2].reason, Reason::Surplus { tier: Tier::Daily, keep: 2 });
    apply(&mut facts, &first);
    facts.backups[3].whole = false;
    let second = plan(&facts, &policy, now);
    assert_eq!(second.decisions[2].steps, [Step::TakeBack]);
    assert!(second.decisions[2].keep);
}

#[test]
fn a_plan_reads_as_one_line_per_backup_with_its_reason() {
    let mut facts = nightly(4);
    facts.backups[0].held = Some("audit 2026".to_owned());
    facts.backups[2].expiring_since = Some(day(3));
    let policy = Policy { daily: TierRule { keep: Some(1), ..TierRule::default() }, min_good: 1, ..Policy::default() };
    let text = plan(&facts, &policy, day(4)).to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "keep    orders/20251204T020000Z-aaaa  daily    day 1 of the 1 that daily keeps");
    assert_eq!(
        lines[1],
        "expire  orders/20251203T020000Z-aaaa  daily    daily keeps 1 day and has them newer; to be removed from 2025-12-07T00:00:00Z on"
    );
    assert_eq!(
        lines[2],
        "expire  orders/20251202T020000Z-aaaa  daily    daily keeps 1 day and has them newer; attest that it is expiring"
    );
    assert_eq!(lines[3], "keep    orders/20251201T020000Z-aaaa  monthly  held: audit 2026; move to GLACIER");
}
