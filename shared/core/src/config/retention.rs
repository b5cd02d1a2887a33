//! Retention's presets and defaults.

use super::{Origin, RetentionConfig, Setting, Span, TierConfig};

/// The storage classes of S3 that a tier may be moved to.
pub const STORAGE_CLASSES: [&str; 5] = ["STANDARD", "STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];

/// The presets by name.
pub const PRESETS: [&str; 4] = ["7-5-6", "30-12-12", "7-4-6", "30d"];

/// The preset in force where none is named.
pub const DEFAULT_PRESET: &str = "7-5-6";

/// Good backups that must always be left.
const MIN_GOOD: u32 = 2;
/// How long an expiring backup can be taken back: three days.
const GRACE: Span = Span(3 * 86_400);

fn tier(keep: u32, storage_class: &str, origin: &Origin) -> TierConfig {
    TierConfig {
        keep: Setting::new(keep, origin.clone()),
        max_age: None,
        storage_class: Setting::new(storage_class.to_owned(), origin.clone()),
    }
}

impl RetentionConfig {
    /// A preset; `None` where there is none of that name.
    pub fn preset(name: &str, origin: Origin) -> Option<Self> {
        let inner = match &origin {
            Origin::Default => Origin::Default,
            _ => Origin::Derived("preset"),
        };
        let (daily, weekly, monthly) = match name {
            "7-5-6" => (tier(7, "STANDARD", &inner), tier(5, "STANDARD_IA", &inner), tier(6, "GLACIER", &inner)),
            "7-4-6" => (tier(7, "STANDARD", &inner), tier(4, "STANDARD_IA", &inner), tier(6, "GLACIER", &inner)),
            "30-12-12" => (tier(30, "STANDARD", &inner), tier(12, "STANDARD", &inner), tier(12, "STANDARD", &inner)),
            // Every day counts the same: a Sunday's and a first of month's backup are kept as long as any other.
            "30d" => (tier(30, "STANDARD", &inner), tier(5, "STANDARD", &inner), tier(1, "STANDARD", &inner)),
            _ => return None,
        };
        Some(Self {
            preset: Setting::new(name.to_owned(), origin),
            daily,
            weekly,
            monthly,
            min_good: Setting::default_of(MIN_GOOD),
            grace: Setting::default_of(GRACE),
        })
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let inner = &Origin::Default;
        Self::preset(DEFAULT_PRESET, Origin::Default).unwrap_or_else(|| Self {
            preset: Setting::default_of(DEFAULT_PRESET.to_owned()),
            daily: tier(7, "STANDARD", inner),
            weekly: tier(5, "STANDARD_IA", inner),
            monthly: tier(6, "GLACIER", inner),
            min_good: Setting::default_of(MIN_GOOD),
            grace: Setting::default_of(GRACE),
        })
    }
}
