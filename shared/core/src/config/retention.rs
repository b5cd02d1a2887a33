//! The retention of one database as configured: a preset, and what was written over it.

use serde_json::{Value, json};

use super::{Origin, RetentionConfig, Rows, Setting};
use crate::{Result, retention::Policy};

/// The preset in force where none is named.
pub const DEFAULT_PRESET: &str = "7-5-6";

impl RetentionConfig {
    /// A preset by its name; `Config` where there is none of that name.
    pub fn preset(name: &str, origin: Origin) -> Result<Self> {
        Ok(Self::of(name, origin, &Policy::preset(name)?))
    }

    fn of(name: &str, origin: Origin, policy: &Policy) -> Self {
        let inner = match &origin {
            Origin::Default => Origin::Default,
            _ => Origin::Derived("preset"),
        };
        Self {
            preset: Setting::new(name.to_owned(), origin),
            daily: Setting::new(policy.daily, inner.clone()),
            weekly: Setting::new(policy.weekly, inner.clone()),
            monthly: Setting::new(policy.monthly, inner.clone()),
            min_good: Setting::new(policy.min_good, inner.clone()),
            grace_days: Setting::new(policy.grace_days, inner.clone()),
            reclaim_unfinished_after_days: Setting::new(policy.reclaim_unfinished_after_days, inner),
        }
    }

    /// What retention works with.
    pub fn policy(&self) -> Policy {
        Policy {
            daily: self.daily.value,
            weekly: self.weekly.value,
            monthly: self.monthly.value,
            min_good: self.min_good.value,
            grace_days: self.grace_days.value,
            reclaim_unfinished_after_days: self.reclaim_unfinished_after_days.value,
        }
    }

    pub(super) fn in_force(&self, path: &str, rows: &mut Rows) {
        rows.set(format!("{path}.preset"), &self.preset);
        for (name, tier) in [("daily", &self.daily), ("weekly", &self.weekly), ("monthly", &self.monthly)] {
            let rule = tier.value;
            let class = rule.storage_class.map_or(Value::Null, |class| json!(class));
            for (key, value) in
                [("keep", json!(rule.keep)), ("max_age_days", json!(rule.max_age_days)), ("storage_class", class)]
            {
                rows.push(format!("{path}.{name}.{key}"), value, &tier.origin);
            }
        }
        rows.set(format!("{path}.min_good"), &self.min_good);
        rows.set(format!("{path}.grace_days"), &self.grace_days);
        rows.set(format!("{path}.reclaim_unfinished_after_days"), &self.reclaim_unfinished_after_days);
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self::of(DEFAULT_PRESET, Origin::Default, &Policy::default())
    }
}
