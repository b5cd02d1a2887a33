//! The retention policy as the configuration gives it: a preset's name, or a table over the defaults.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{Error, ErrorKind, Result, manifest::Tier, retention::StorageClass};

/// What one tier wants. With neither `keep` nor `max_age_days` it wants everything; with both, a backup must fit both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierRule {
    /// How many days (daily), weeks (weekly) or months (monthly) with a good backup it reaches back. The newest good
    /// backup of each counts, so that many dumps on one day cannot push out another day's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// How old a backup may be, days. Older ones go only while `min_good` newer good ones exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_days: Option<u32>,
    /// The storage class that its verified backups move to, where the store has classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    preset: Option<String>,
    daily: Option<TierRule>,
    weekly: Option<TierRule>,
    monthly: Option<TierRule>,
    min_good: Option<u32>,
    grace_days: Option<u32>,
    reclaim_unfinished_after_days: Option<u32>,
}

impl Table {
    fn policy(self) -> Result<Policy> {
        let base = self.preset.as_deref().map_or_else(|| Ok(Policy::default()), Policy::preset)?;
        let policy = Policy {
            daily: self.daily.unwrap_or(base.daily),
            weekly: self.weekly.unwrap_or(base.weekly),
            monthly: self.monthly.unwrap_or(base.monthly),
            min_good: self.min_good.unwrap_or(base.min_good),
            grace_days: self.grace_days.unwrap_or(base.grace_days),
            reclaim_unfinished_after_days: self
                .reclaim_unfinished_after_days
                .unwrap_or(base.reclaim_unfinished_after_days),
        };
        policy.check()?;
        Ok(policy)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PresetOrTable;

        impl<'de> Visitor<'de> for PresetOrTable {
            type Value = Policy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a retention preset ({}) or a table", Policy::PRESETS.join(", "))
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Policy, E> {
                Policy::preset(name).map_err(|e| E::custom(format!("{e}; {}", e.hint())))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Policy, A::Error> {
                Table::deserialize(MapAccessDeserializer::new(map))?.policy().map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(PresetOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> std::result::Result<Policy, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn a_policy_is_a_preset_or_a_table_over_the_default() {
        assert_eq!(parse("\"7-5-6\"").unwrap(), Policy::default());
        assert_eq!(parse("{}").unwrap(), Policy::default());
        let policy =
            parse(r#"{"daily":{"keep":14},"weekly":{"keep":3,"storage_class":"GLACIER_IR"},"min_good":4}"#).unwrap();
        assert_eq!((policy.daily.keep, policy.min_good), (Some(14), 4));
        assert_eq!(policy.weekly.storage_class, Some(StorageClass::GlacierIr));
        assert_eq!(policy.monthly, Policy::default().monthly);
        let policy = parse(r#"{"preset":"30d","grace_days":7}"#).unwrap();
        assert_eq!((policy.daily.max_age_days, policy.daily.keep, policy.grace_days), (Some(30), None, 7));
    }

    #[test]
    fn what_is_written_reads_back() {
        for preset in Policy::PRESETS {
            let policy = Policy::preset(preset).unwrap();
            assert_eq!(parse(&serde_json::to_string(&policy).unwrap()).unwrap(), policy);
        }
    }

    #[test]
    fn what_is_no_policy_is_refused_with_the_reason() {
        for (json, part) in [
            ("\"90d\"", "the presets are 30d, 7-5-6, 30-12-12"),
            (r#"{"min_good":0}"#, "at least 1"),
            (r#"{"reclaim_unfinished_after_days":0}"#, "at least 1"),
            (r#"{"dayly":{}}"#, "unknown field `dayly`"),
            (r#"{"daily":{"kept":1}}"#, "unknown field `kept`"),
            (r#"{"daily":{"storage_class":"COLD"}}"#, "unknown variant `COLD`"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
