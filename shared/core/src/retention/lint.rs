//! Warns of retention policies that make no sense.

use crate::{
    manifest::Tier,
    ports::{Finding, Severity},
    retention::{Policy, StorageClass},
};

/// What the policy has to fit to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LintInput {
    /// Hours between two dumps of the schedule; `None` where there is none.
    pub schedule_hours: Option<f64>,
    /// Days that the store locks a backup; `None` where it does not.
    pub lock_days: Option<u32>,
}

const TIERS: [Tier; 3] = [Tier::Daily, Tier::Weekly, Tier::Monthly];

/// What makes no sense, gravest first. An empty list: all is well.
pub fn lint(policy: &Policy, input: LintInput) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |severity, code: &str, message: String, remedy: &str| {
        findings.push(Finding { code: code.to_owned(), severity, message, remedy: remedy.to_owned() });
    };
    if let Err(e) = policy.check() {
        add(Severity::Error, "not_a_policy", e.to_string(), "see docs/CONFIG.md");
    }
    for tier in TIERS {
        let rule = policy.rule(tier);
        let Some(days) = rule.reach_days(tier) else { continue };
        let name = tier.name();
        if let Some(class) = rule.storage_class.filter(|class| days > 0 && class.minimum_days() > days) {
            add(
                Severity::Warning,
                "class_minimum_exceeds_retention",
                format!("{name} keeps {days} days in {class}, which bills at least {} days", class.minimum_days()),
                "keep these backups longer, or leave them in a warmer class",
            );
        }
        if let Some(lock) = input.lock_days.filter(|lock| days > 0 && *lock > days) {
            add(
                Severity::Warning,
                "lock_longer_than_retention",
                format!("the store locks backups for {lock} days, {name} wants them for {days}"),
                "shorten the lock to the shortest tier; retention extends it for the longer ones",
            );
        }
        if let (Some(age), Some(hours)) = (rule.max_age_days, input.schedule_hours)
            && f64::from(age) * 24.0 < hours
        {
            add(
                Severity::Warning,
                "age_shorter_than_schedule",
                format!("{name} wants backups of at most {age} days, but a dump runs every {hours} hours"),
                "raise max_age_days above the time between two dumps, or dump more often",
            );
        }
    }
    for (lower, higher, days) in [(Tier::Daily, Tier::Weekly, 7), (Tier::Weekly, Tier::Monthly, 31)] {
        if let Some(reach) = policy.rule(lower).reach_days(lower)
            && reach < days
            && policy.rule(higher).reach_days(higher).is_none_or(|farther| farther > reach)
        {
            add(
                Severity::Warning,
                "gap_between_tiers",
                format!(
                    "{} reaches back {reach} days, so that between it and the newest {} backup nothing may be left",
                    lower.name(),
                    higher.name()
                ),
                "let the lower tier reach back to the next one: 7 daily, 5 weekly",
            );
        }
    }
    if TIERS.iter().all(|tier| policy.rule(*tier).reach_days(*tier) == Some(0)) {
        add(
            Severity::Warning,
            "nothing_wanted",
            format!("no tier wants any backup: only min_good = {} stay", policy.min_good),
            "let at least one tier keep something",
        );
    }
    if policy.grace_days == 0 {
        add(
            Severity::Warning,
            "no_grace",
            "grace_days is 0: there is no time to notice and undo a mistake".to_owned(),
            "leave it at 3",
        );
    }
    if policy.daily.storage_class.is_some_and(|class| class >= StorageClass::Glacier) {
        add(
            Severity::Info,
            "newest_backups_need_thaw",
            "daily backups move to a class that must be thawed first: every restore takes hours longer".to_owned(),
            "keep at least the daily tier in STANDARD or GLACIER_IR",
        );
    }
    if let Some(hours) = input.schedule_hours.filter(|hours| *hours < 24.0)
        && policy.daily.keep.is_some()
    {
        add(
            Severity::Info,
            "one_backup_a_day_is_kept",
            format!("a dump runs every {hours} hours, but of each day the newest good one is kept"),
            "use max_age_days without keep where every dump shall stay",
        );
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(policy: &Policy, input: LintInput) -> Vec<String> {
        lint(policy, input).into_iter().map(|f| f.code).collect()
    }

    #[test]
    fn the_presets_make_sense_for_a_nightly_dump() {
        for preset in Policy::PRESETS {
            let policy = Policy::preset(preset).unwrap();
            let input = LintInput { schedule_hours: Some(24.0), lock_days: Some(7) };
            assert_eq!(codes(&policy, input), Vec::<String>::new(), "{preset}");
        }
    }

    #[test]
    fn every_finding_can_be_found() {
        let mut policy = Policy::default();
        policy.daily.keep = Some(3);
        policy.daily.storage_class = Some(StorageClass::Glacier);
        policy.weekly.max_age_days = Some(1);
        policy.grace_days = 0;
        policy.min_good = 0;
        let input = LintInput { schedule_hours: Some(48.0), lock_days: Some(30) };
        let found = codes(&policy, input);
        for code in [
            "not_a_policy",
            "class_minimum_exceeds_retention",
            "lock_longer_than_retention",
            "age_shorter_than_schedule",
            "gap_between_tiers",
            "no_grace",
            "newest_backups_need_thaw",
        ] {
            assert!(found.iter().any(|f| f == code), "{code}");
        }
        assert_eq!(found[0], "not_a_policy");
        for tier in [&mut policy.daily, &mut policy.weekly, &mut policy.monthly] {
            tier.keep = Some(0);
        }
        assert!(codes(&policy, LintInput::default()).contains(&"nothing_wanted".to_owned()));
        let hourly = LintInput { schedule_hours: Some(1.0), lock_days: None };
        assert_eq!(codes(&Policy::default(), hourly), ["one_backup_a_day_is_kept"]);
    }
}
