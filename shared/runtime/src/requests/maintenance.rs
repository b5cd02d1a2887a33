//! Request and answer of maintenance.

use jiff::Timestamp;
use lifeboat_core::{
    events::MOST_NAMED,
    ids::{DatabaseSlug, RunId},
    maintenance::{Advice, LeftOutLine, MaintenanceReport, Operation, Outcome, StatementLine},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks the function `maintenance` to care for one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// `vacuum`, `analyze`, `reindex`; as configured where it is not given; an empty list only looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<Operation>>,
    /// Only these tables, as `schema.table`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// The rule's time: the run's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

/// What maintenance came to. The lists hold at most 50 entries; the report in the control store holds all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaintenanceAnswer {
    /// The database.
    pub database: DatabaseSlug,
    /// The run.
    pub run_id: RunId,
    /// Key of the report in the control store; null for a dry run.
    pub report: Option<String>,
    /// Nothing was run.
    pub dry_run: bool,
    /// Seconds it took.
    pub seconds: f64,
    /// Statements run to their end; of a dry run, none.
    pub done: u64,
    /// Statements left out because of a lock, of the application or of the time.
    pub skipped: u64,
    /// Bytes that the objects worked on have less than before.
    pub reclaimed_bytes: i64,
    /// What ended it early.
    pub ended_by: Option<String>,
    /// The statements.
    pub statements: Vec<StatementLine>,
    /// What is due and was not tried.
    pub left_out: Vec<LeftOutLine>,
    /// What a person should do, gravest first.
    pub recommendations: Vec<Advice>,
}

impl MaintenanceAnswer {
    /// Of a report, and where it is kept.
    pub fn new(report: &MaintenanceReport, key: Option<String>) -> Self {
        Self {
            database: report.database.clone(),
            run_id: report.run_id.clone(),
            report: key,
            dry_run: report.dry_run,
            seconds: report.seconds,
            done: report.count(Outcome::Done),
            skipped: report.count(Outcome::Skipped),
            reclaimed_bytes: report.reclaimed_bytes(),
            ended_by: report.ended_by.clone(),
            statements: first(&report.statements),
            left_out: first(&report.left_out),
            recommendations: first(&report.recommendations),
        }
    }
}

fn first<T: Clone>(all: &[T]) -> Vec<T> {
    all.iter().take(MOST_NAMED).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_requests_are_read() {
        let weekly: MaintenanceRequest =
            serde_json::from_str(include_str!("../../../../events/maintenance/weekly.json")).unwrap();
        assert_eq!(weekly.operations, Some(vec![Operation::Vacuum, Operation::Analyze]));
        assert!(weekly.scheduled_at.is_some() && !weekly.dry_run);
        let indexes: MaintenanceRequest =
            serde_json::from_str(include_str!("../../../../events/maintenance/indexes.json")).unwrap();
        assert_eq!((indexes.operations, indexes.tables.len()), (Some(vec![Operation::Reindex]), 1));
        let dry: MaintenanceRequest =
            serde_json::from_str(include_str!("../../../../events/maintenance/dry-run.json")).unwrap();
        assert!(dry.dry_run && dry.operations.is_none() && dry.scheduled_at.is_none());
        assert!(
            serde_json::from_str::<MaintenanceRequest>(r#"{"database":"orders","operations":["repack"]}"#).is_err()
        );
    }
}
