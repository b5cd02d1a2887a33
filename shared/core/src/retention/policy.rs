//! The retention policy: what each tier wants, how carefully the rest goes, and the presets.

use serde::Serialize;

use crate::{Error, ErrorKind, Result, manifest::Tier, retention::StorageClass};

/// What one tier wants. With neither `keep` nor `max_age_days` it wants everything; with both, a backup must fit both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TierRule {
    /// How many days (daily), weeks (weekly) or months (monthly) with a good backup it reaches back. The newest good
    /// backup of each counts, so that many dumps on one day cannot push out another day's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// How old a backup may be, days. Older ones go only while `min_good` newer good ones exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_days: Option<u32>,
    /// The storage class that its verified backups move to, where the store has classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<StorageClass>,
}

impl TierRule {
    const fn new(keep: u32, storage_class: Option<StorageClass>) -> Self {
        Self { keep: Some(keep), max_age_days: None, storage_class }
    }

    /// Days that the tier reaches back with a dump on every one of its days; `None`: for ever.
    pub fn reach_days(&self, tier: Tier) -> Option<u32> {
        let per_period = match tier {
            Tier::Daily => 1,
            Tier::Weekly => 7,
            Tier::Monthly => 30,
        };
        match (self.keep.map(|n| n.saturating_mul(per_period)), self.max_age_days) {
            (Some(count), Some(age)) => Some(count.min(age)),
            (count, age) => count.or(age),
        }
    }
}

/// Which backups of a database are kept, where, and how carefully the rest goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The daily tier.
    pub daily: TierRule,
    /// The weekly tier.
    pub weekly: TierRule,
    /// The monthly tier.
    pub monthly: TierRule,
    /// A backup goes only while so many newer good ones exist; at least 1.
    pub min_good: u32,
    /// Days between the intent to expire a backup and its removal.
    pub grace_days: u32,
    /// Days after which what an unfinished dump left behind is removed; at least 1.
    pub reclaim_unfinished_after_days: u32,
}

impl Default for Policy {
    /// `7-5-6`: seven daily, five weekly in `STANDARD_IA`, six monthly in `GLACIER`.
    fn default() -> Self {
        Self {
            daily: TierRule::new(7, None),
            weekly: TierRule::new(5, Some(StorageClass::StandardIa)),
            monthly: TierRule::new(6, Some(StorageClass::Glacier)),
            min_good: 2,
            grace_days: 3,
            reclaim_unfinished_after_days: 2,
        }
    }
}

impl Policy {
    /// The presets' names.
    pub const PRESETS: [&'static str; 3] = ["30d", "7-5-6", "30-12-12"];

    /// A preset by its name.
    pub fn preset(name: &str) -> Result<Self> {
        let default = Self::default();
        match name {
            "7-5-6" => Ok(default),
            "30d" => {
                let rule = TierRule { keep: None, max_age_days: Some(30), storage_class: None };
                Ok(Self { daily: rule, weekly: rule, monthly: rule, ..default })
            }
            "30-12-12" => Ok(Self {
                daily: TierRule::new(30, None),
                weekly: TierRule::new(12, Some(StorageClass::StandardIa)),
                monthly: TierRule::new(12, Some(StorageClass::Glacier)),
                ..default
            }),
            _ => Err(Error::new(ErrorKind::Config, format!("'{name}' is not a retention preset"))
                .with_hint(format!("the presets are {}", Self::PRESETS.join(", ")))),
        }
    }

    /// The rule of a tier.
    pub fn rule(&self, tier: Tier) -> &TierRule {
        match tier {
            Tier::Daily => &self.daily,
            Tier::Weekly => &self.weekly,
            Tier::Monthly => &self.monthly,
        }
    }

    /// Refuses what would be no policy.
    pub fn check(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::new(ErrorKind::Config, format!("retention: {message}")));
        if self.min_good == 0 {
            return wrong("min_good must be at least 1: retention never removes the last good backup");
        }
        if self.reclaim_unfinished_after_days == 0 {
            return wrong("reclaim_unfinished_after_days must be at least 1: a dump may be under way");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_seven_five_six() {
        assert_eq!(Policy::preset("7-5-6").unwrap(), Policy::default());
        let policy = Policy::default();
        assert_eq!([policy.daily.keep, policy.weekly.keep, policy.monthly.keep], [Some(7), Some(5), Some(6)]);
        assert_eq!((policy.min_good, policy.grace_days, policy.reclaim_unfinished_after_days), (2, 3, 2));
    }

    #[test]
    fn every_preset_is_a_policy_and_nothing_else_is_a_preset() {
        for name in Policy::PRESETS {
            Policy::preset(name).unwrap().check().unwrap();
        }
        assert!(Policy::preset("90d").unwrap_err().hint().contains("30d, 7-5-6, 30-12-12"));
    }

    #[test]
    fn what_is_no_policy_is_refused_with_the_reason() {
        for policy in [
            Policy { min_good: 0, ..Policy::default() },
            Policy { reclaim_unfinished_after_days: 0, ..Policy::default() },
        ] {
            let error = policy.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("at least 1"), "{error}");
        }
    }

    #[test]
    fn a_tier_reaches_back_as_far_as_both_count_and_age_allow() {
        let rule = |keep, max_age_days| TierRule { keep, max_age_days, storage_class: None };
        assert_eq!(rule(Some(5), None).reach_days(Tier::Weekly), Some(35));
        assert_eq!(rule(Some(5), Some(20)).reach_days(Tier::Weekly), Some(20));
        assert_eq!(rule(None, Some(20)).reach_days(Tier::Weekly), Some(20));
        assert_eq!(rule(None, None).reach_days(Tier::Monthly), None);
    }
}
