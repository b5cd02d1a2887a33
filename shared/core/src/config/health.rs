//! From when on health calls something a finding: every threshold with its default, for all databases and for each.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Origin, Rows, Size, Span};

/// How a threshold is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThresholdKind {
    /// A duration.
    Span,
    /// Bytes.
    Size,
    /// A whole number within limits.
    Number {
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
}

/// A threshold's value as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThresholdValue {
    /// A duration.
    Span(Span),
    /// Bytes.
    Size(Size),
    /// A whole number.
    Number(u32),
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const PERCENT: ThresholdKind = ThresholdKind::Number { least: 1, most: 100 };
/// The server itself stops at two thousand million.
const IDS: ThresholdKind = ThresholdKind::Number { least: 1_000_000, most: 2_000_000_000 };

macro_rules! thresholds {
    ($($(#[$doc:meta])* $name:ident: $variant:ident($type:ty), $kind:expr, $default:expr;)*) => {
        /// The thresholds in force for one database.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Thresholds {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for Thresholds {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// The keys of all thresholds, with how each is written.
        pub const THRESHOLDS: &[(&str, ThresholdKind)] = &[$((stringify!($name), $kind),)*];

        /// Everything that may stand in a section `health`.
        pub const HEALTH_KEYS: &[&str] = &[$(stringify!($name),)* "ignore"];

        impl Thresholds {
            /// Sets one; false where there is none of this name and kind.
            pub fn set(&mut self, key: &str, value: ThresholdValue) -> bool {
                match (key, value) {
                    $((stringify!($name), ThresholdValue::$variant(value)) => self.$name = value,)*
                    _ => return false,
                }
                true
            }

            fn entries(&self) -> Vec<(&'static str, Value)> {
                vec![$((stringify!($name), json!(self.$name)),)*]
            }
        }
    };
}

thresholds! {
    /// The newest good backup may be so old, where no RPO is set.
    backup_age: Span(Span), ThresholdKind::Span, Span(30 * HOUR);
    /// The newest backup's size may differ by so much from the mean of the seven days before, per cent.
    size_change_percent: Number(u32), PERCENT, 50;
    /// A table may have so much fewer rows than it usually has, per cent.
    rows_change_percent: Number(u32), PERCENT, 50;
    /// Tables that usually have fewer rows are not looked at.
    rows_at_least: Number(u32), ThresholdKind::Number { least: 1, most: 1_000_000_000 }, 100;
    /// A backup must have been verified so long after its end.
    verify_within: Span(Span), ThresholdKind::Span, Span(6 * HOUR);
    /// A scheduled dump or drill may come so much later than its schedule says.
    schedule_grace: Span(Span), ThresholdKind::Span, Span(3 * HOUR);
    /// The last drill may be so old, where no schedule is set.
    drill_age: Span(Span), ThresholdKind::Span, Span(35 * DAY);
    /// A recovery time objective that will be missed within this time is told.
    rto_missed_within: Span(Span), ThresholdKind::Span, Span(30 * DAY);
    /// A run may hold the lease so long.
    run_age: Span(Span), ThresholdKind::Span, Span(12 * HOUR);
    /// The server's certificate must be valid so long yet.
    certificate_left: Span(Span), ThresholdKind::Span, Span(21 * DAY);
    /// The role's password must be valid so long yet.
    credentials_left: Span(Span), ThresholdKind::Span, Span(14 * DAY);
    /// An inactive replication slot may retain so much WAL.
    slot_wal: Size(Size), ThresholdKind::Size, Size(1 << 30);
    /// The oldest transaction id of any database may be so old.
    transaction_ids: Number(u32), IDS, 500_000_000;
    /// The oldest multixact id of any database may be so old.
    multixact_ids: Number(u32), IDS, 500_000_000;
    /// A transaction may be open so long.
    long_transaction: Span(Span), ThresholdKind::Span, Span(HOUR);
    /// A session may wait so long within a transaction.
    idle_in_transaction: Span(Span), ThresholdKind::Span, Span(15 * 60);
    /// A prepared transaction may be so old.
    prepared_transaction: Span(Span), ThresholdKind::Span, Span(HOUR);
    /// What an unfinished dump left behind may be so old.
    unfinished_upload: Span(Span), ThresholdKind::Span, Span(26 * HOUR);
    /// A scratch target may live so long; older ones are removed.
    scratch_age: Span(Span), ThresholdKind::Span, Span(DAY);
    /// So much of the server's disk must be free, per cent.
    disk_free_percent: Number(u32), PERCENT, 10;
    /// A standby may be so far behind.
    replication_lag: Span(Span), ThresholdKind::Span, Span(5 * 60);
    /// So many of the server's connections may be in use, per cent.
    connections_percent: Number(u32), PERCENT, 85;
    /// The server's clock may differ from ours by so much.
    clock_difference: Span(Span), ThresholdKind::Span, Span(60);
}

/// The section `health` of a database: the thresholds, where each came from, and what nobody wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HealthConfig {
    /// In force.
    pub thresholds: Thresholds,
    /// Codes of findings that are not told; they are shown as facts.
    pub ignore: Vec<String>,
    /// Where a value came from that is no default.
    pub origins: BTreeMap<&'static str, Origin>,
}

impl HealthConfig {
    pub(super) fn in_force(&self, path: &str, rows: &mut Rows) {
        let ignore = ("ignore", json!(self.ignore));
        for (key, value) in self.thresholds.entries().into_iter().chain([ignore]) {
            rows.push(format!("{path}.{key}"), value, self.origins.get(key).unwrap_or(&Origin::Default));
        }
    }
}
