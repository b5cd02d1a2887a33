//! Why retention keeps or expires a backup, for programs and for people.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::manifest::Tier;

/// The reason of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// Kept: somebody holds it.
    Held {
        /// Their words.
        why: String,
    },
    /// Kept: the store locks it.
    Locked {
        /// Until when.
        until: Timestamp,
    },
    /// Kept: its time has not come; a clock is or was wrong.
    InFuture {
        /// Its time.
        at: Timestamp,
    },
    /// Kept: it cannot be read, a person has to look.
    Unreadable,
    /// Kept: its tier wants it.
    Wanted {
        /// The tier.
        tier: Tier,
        /// Its place among the tier's days, weeks or months, from 1.
        place: u32,
        /// How many of them the tier keeps; `None`: as long as they are young enough.
        keep: Option<u32>,
    },
    /// Kept: no tier wants it, but too few newer backups are good.
    TooFewNewer {
        /// Newer good ones.
        newer_good: u32,
        /// How many there must be.
        min_good: u32,
    },
    /// Expires: the tier has enough newer ones.
    Surplus {
        /// The tier.
        tier: Tier,
        /// How many it keeps.
        keep: u32,
    },
    /// Expires: a newer good one stands for the same day, week or month.
    Superseded {
        /// The tier.
        tier: Tier,
    },
    /// Expires: older than its tier wants, and newer good ones exist.
    TooOld {
        /// The tier.
        tier: Tier,
        /// Its limit, days.
        max_age_days: u32,
    },
    /// Expires: its objects are tagged, the lifecycle rule removes them.
    Leaving,
    /// A leftover is removed: no manifest, and nothing was written for days.
    Unfinished,
    /// A leftover stays: something was written to it lately.
    TooYoung {
        /// When it may go.
        until: Timestamp,
    },
    /// A leftover stays: a run holds the database's lease and may be writing it.
    LeaseHeld,
}

fn unit(tier: Tier, n: u32) -> &'static str {
    match (tier, n) {
        (Tier::Daily, 1) => "day",
        (Tier::Daily, _) => "days",
        (Tier::Weekly, 1) => "week",
        (Tier::Weekly, _) => "weeks",
        (Tier::Monthly, 1) => "month",
        (Tier::Monthly, _) => "months",
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { why } => write!(f, "held: {why}"),
            Self::Locked { until } => write!(f, "locked until {until:.0}"),
            Self::InFuture { at } => write!(f, "its time {at:.0} is in the future: a clock is or was wrong"),
            Self::Unreadable => f.write_str("it cannot be read: a person has to look"),
            Self::Wanted { tier, place, keep: Some(keep) } => {
                write!(f, "{} {place} of the {keep} that {} keeps", unit(*tier, 1), tier.name())
            }
            Self::Wanted { tier, keep: None, .. } => write!(f, "young enough for {}", tier.name()),
            Self::TooFewNewer { newer_good, min_good } => {
                write!(f, "only {newer_good} newer good backups, {min_good} must exist before it may go")
            }
            Self::Surplus { tier, keep } => {
                write!(f, "{} keeps {keep} {} and has them newer", tier.name(), unit(*tier, *keep))
            }
            Self::Superseded { tier } => {
                write!(f, "a newer good backup stands for the same {} in {}", unit(*tier, 1), tier.name())
            }
            Self::TooOld { tier, max_age_days } => {
                write!(f, "older than the {max_age_days} days that {} wants, and newer good ones exist", tier.name())
            }
            Self::Leaving => f.write_str("its objects are tagged, the lifecycle rule removes them"),
            Self::Unfinished => f.write_str("no manifest, and nothing was written to it for days"),
            Self::TooYoung { until } => write!(f, "something was written to it lately, kept until {until:.0}"),
            Self::LeaseHeld => f.write_str("a run holds the database's lease and may be writing it"),
        }
    }
}
