//! The maintenance of one database as configured.

use serde_json::json;

use super::{Rows, Schedule, Setting, Size, Span};
use crate::maintenance::{Limits, Operation, Thresholds};

/// How a database is maintained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaintenanceConfig {
    /// When it is run.
    pub schedule: Option<Setting<Schedule>>,
    /// What is done where nothing else is asked for.
    pub operations: Setting<Vec<Operation>>,
    /// When it stops at the latest.
    pub time_budget: Setting<Span>,
    /// The most that it waits for a lock, and lets others wait for one of its own.
    pub lock_timeout: Setting<Span>,
    /// How often a statement is tried.
    pub attempts: Setting<u32>,
    /// Milliseconds of VACUUM's pauses.
    pub cost_delay_ms: Setting<u32>,
    /// Work between two pauses.
    pub cost_limit: Setting<u32>,
    /// Parallel workers of a VACUUM.
    pub parallel: Setting<u32>,
    /// Percent of dead tuples.
    pub dead_tuples_percent: Setting<u32>,
    /// Least number of dead tuples.
    pub dead_tuples_least: Setting<u32>,
    /// Percent of changed rows.
    pub changed_percent: Setting<u32>,
    /// Percent of bloat.
    pub bloat_percent: Setting<u32>,
    /// Least size of bloat.
    pub bloat_least: Setting<Size>,
    /// How long an index must not have been used.
    pub unused_index_after: Setting<Span>,
    /// Percent of a sequence's range.
    pub sequence_percent: Setting<u32>,
    /// From when on a query is long.
    pub long_query: Setting<Span>,
}

impl Default for MaintenanceConfig {
    fn default() -> Self {
        let (thresholds, limits) = (Thresholds::default(), Limits::default());
        Self {
            schedule: None,
            operations: Setting::default_of(vec![Operation::Vacuum, Operation::Analyze]),
            time_budget: Setting::default_of(Span(limits.time_budget_seconds)),
            lock_timeout: Setting::default_of(Span(limits.lock_timeout_seconds)),
            attempts: Setting::default_of(limits.attempts),
            cost_delay_ms: Setting::default_of(limits.cost_delay_ms),
            cost_limit: Setting::default_of(limits.cost_limit),
            parallel: Setting::default_of(limits.parallel),
            dead_tuples_percent: Setting::default_of(thresholds.dead_tuples_percent),
            dead_tuples_least: Setting::default_of(u32::try_from(thresholds.dead_tuples_least).unwrap_or(u32::MAX)),
            changed_percent: Setting::default_of(thresholds.changed_percent),
            bloat_percent: Setting::default_of(thresholds.bloat_percent),
            bloat_least: Setting::default_of(Size(thresholds.bloat_least_bytes)),
            unused_index_after: Setting::default_of(Span(thresholds.unused_index_after_seconds)),
            sequence_percent: Setting::default_of(thresholds.sequence_percent),
            long_query: Setting::default_of(Span(thresholds.long_query_seconds)),
        }
    }
}

impl MaintenanceConfig {
    /// From when on something is done.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds {
            dead_tuples_percent: self.dead_tuples_percent.value,
            dead_tuples_least: self.dead_tuples_least.value.into(),
            changed_percent: self.changed_percent.value,
            bloat_percent: self.bloat_percent.value,
            bloat_least_bytes: self.bloat_least.value.0,
            unused_index_after_seconds: self.unused_index_after.value.0,
            sequence_percent: self.sequence_percent.value,
            long_query_seconds: self.long_query.value.0,
        }
    }

    /// How much it may ask of the server.
    pub fn limits(&self) -> Limits {
        Limits {
            time_budget_seconds: self.time_budget.value.0,
            lock_timeout_seconds: self.lock_timeout.value.0,
            attempts: self.attempts.value,
            cost_delay_ms: self.cost_delay_ms.value,
            cost_limit: self.cost_limit.value,
            parallel: self.parallel.value,
        }
    }

    pub(super) fn in_force(&self, path: &str, rows: &mut Rows) {
        rows.maybe(format!("{path}.schedule"), self.schedule.as_ref());
        rows.push(format!("{path}.operations"), json!(self.operations.value), &self.operations.origin);
        rows.set(format!("{path}.time_budget"), &self.time_budget);
        rows.set(format!("{path}.lock_timeout"), &self.lock_timeout);
        rows.set(format!("{path}.attempts"), &self.attempts);
        rows.set(format!("{path}.cost_delay_ms"), &self.cost_delay_ms);
        rows.set(format!("{path}.cost_limit"), &self.cost_limit);
        rows.set(format!("{path}.parallel"), &self.parallel);
        rows.set(format!("{path}.dead_tuples_percent"), &self.dead_tuples_percent);
        rows.set(format!("{path}.dead_tuples_least"), &self.dead_tuples_least);
        rows.set(format!("{path}.changed_percent"), &self.changed_percent);
        rows.set(format!("{path}.bloat_percent"), &self.bloat_percent);
        rows.set(format!("{path}.bloat_least"), &self.bloat_least);
        rows.set(format!("{path}.unused_index_after"), &self.unused_index_after);
        rows.set(format!("{path}.sequence_percent"), &self.sequence_percent);
        rows.set(format!("{path}.long_query"), &self.long_query);
    }
}
