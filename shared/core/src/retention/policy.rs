//! The retention policy in force: what each tier wants, and how carefully the rest goes.

use serde::Serialize;

use crate::{
    Error, ErrorKind, Result,
    config::{Origin, PRESETS, RetentionConfig, Span, TierConfig},
    manifest::Tier,
    retention::StorageClass,
};

const DAY: u64 = 86_400;

/// What one tier wants. With neither `keep` nor `max_age` it wants everything; with both, a backup must fit both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TierRule {
    /// How many days (daily), weeks (weekly) or months (monthly) with a good backup it reaches back. The newest good
    /// backup of each counts, so that many dumps on one day cannot push out another day's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// How old a backup may be. Older ones go only while `min_good` newer good ones exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// The storage class that its verified backups move to, where the store has classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<StorageClass>,
}

impl TierRule {
    /// Days that the tier reaches back with a dump on every one of its days; `None`: for ever.
    pub fn reach_days(&self, tier: Tier) -> Option<u32> {
        let per_period = match tier {
            Tier::Daily => 1,
            Tier::Weekly => 7,
            Tier::Monthly => 30,
        };
        let age = self.max_age.map(|age| u32::try_from(age.0 / DAY).unwrap_or(u32::MAX));
        match (self.keep.map(|n| n.saturating_mul(per_period)), age) {
            (Some(count), Some(age)) => Some(count.min(age)),
            (count, age) => count.or(age),
        }
    }
}

impl TryFrom<&TierConfig> for TierRule {
    type Error = Error;

    fn try_from(config: &TierConfig) -> Result<Self> {
        Ok(Self {
            keep: Some(config.keep.value),
            max_age: config.max_age.as_ref().map(|age| age.value),
            storage_class: Some(config.storage_class.value.parse()?),
        })
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
    /// Between the intent to expire a backup and its removal.
    pub grace: Span,
    /// What an unfinished dump left behind is removed when nothing was written to it for so long; at least a day.
    pub reclaim_unfinished_after: Span,
}

impl TryFrom<&RetentionConfig> for Policy {
    type Error = Error;

    fn try_from(config: &RetentionConfig) -> Result<Self> {
        let policy = Self {
            daily: (&config.daily).try_into()?,
            weekly: (&config.weekly).try_into()?,
            monthly: (&config.monthly).try_into()?,
            min_good: config.min_good.value,
            grace: config.grace.value,
            reclaim_unfinished_after: Span(2 * DAY),
        };
        policy.check()?;
        Ok(policy)
    }
}

impl Policy {
    /// A preset of the configuration by its name.
    pub fn preset(name: &str) -> Result<Self> {
        let preset = RetentionConfig::preset(name, Origin::Default).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("'{name}' is not a retention preset"))
                .with_hint(format!("the presets are {}", PRESETS.join(", ")))
        })?;
        Self::try_from(&preset)
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
        if self.reclaim_unfinished_after.0 < DAY {
            return wrong("unfinished dumps must be left alone for at least a day: one may be under way");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    #[test]
    fn the_default_is_seven_five_six() {
        let policy = Policy::try_from(&RetentionConfig::default()).unwrap();
        assert_eq!(policy, Policy::preset("7-5-6").unwrap());
        assert_eq!([policy.daily.keep, policy.weekly.keep, policy.monthly.keep], [Some(7), Some(5), Some(6)]);
        assert_eq!(policy.weekly.storage_class, Some(StorageClass::StandardIa));
        assert_eq!((policy.min_good, policy.grace), (2, Span(3 * DAY)));
    }

    #[test]
    fn every_preset_is_a_policy_and_nothing_else_is_a_preset() {
        for name in PRESETS {
            Policy::preset(name).unwrap();
        }
        assert!(Policy::preset("90d").unwrap_err().hint().contains("7-5-6"));
    }

    #[test]
    fn what_is_no_policy_is_refused_with_the_reason() {
        let mut config = RetentionConfig { min_good: Setting::default_of(0), ..RetentionConfig::default() };
        assert!(Policy::try_from(&config).unwrap_err().to_string().contains("at least 1"));
        config.min_good.value = 1;
        config.weekly.storage_class.value = "COLD".to_owned();
        assert!(Policy::try_from(&config).unwrap_err().to_string().contains("'COLD'"));
    }

    #[test]
    fn a_tier_reaches_back_as_far_as_both_count_and_age_allow() {
        let rule =
            |keep, days: Option<u64>| TierRule { keep, max_age: days.map(|d| Span(d * DAY)), storage_class: None };
        assert_eq!(rule(Some(5), None).reach_days(Tier::Weekly), Some(35));
        assert_eq!(rule(Some(5), Some(20)).reach_days(Tier::Weekly), Some(20));
        assert_eq!(rule(None, Some(20)).reach_days(Tier::Weekly), Some(20));
        assert_eq!(rule(None, None).reach_days(Tier::Monthly), None);
    }
}
