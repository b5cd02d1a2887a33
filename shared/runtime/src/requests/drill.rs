//! What a drill is asked, and what it answers.

use jiff::Timestamp;
use lifeboat_core::{
    drill::DrillOutcome,
    ids::{BackupId, DatabaseSlug, DrillId, RunId},
    report::Verdict,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks the function `drill` for one drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// `latest`, `oldest`, `random`, `rotate` or a backup's id; as configured where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// The rule's time: the run's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

/// One drill that was run to its end, whatever its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillAnswer {
    /// The database.
    pub database: DatabaseSlug,
    /// The drill.
    pub drill_id: DrillId,
    /// The run.
    pub run_id: RunId,
    /// The backup that was restored.
    pub backup_id: BackupId,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, in sentences.
    pub reasons: Vec<String>,
    /// Keys of the report in the store.
    pub report: ReportKeys,
}

/// Where a drill's report lies in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportKeys {
    /// For programs.
    pub json: String,
    /// For people.
    pub html: String,
    /// For tickets.
    pub markdown: String,
}

impl ReportKeys {
    fn below(folder: &str) -> Self {
        let key = |extension: &str| format!("{folder}report.{extension}");
        Self { json: key("json"), html: key("html"), markdown: key("md") }
    }
}

impl DrillAnswer {
    /// Of a drill that was run.
    pub fn new(outcome: &DrillOutcome) -> Self {
        let report = &outcome.report;
        Self {
            database: report.database.clone(),
            drill_id: report.drill_id.clone(),
            run_id: report.run_id.clone(),
            backup_id: report.backup.backup_id.clone(),
            verdict: report.verdict,
            reasons: report.reasons.clone(),
            report: ReportKeys::below(&outcome.folder),
        }
    }
}
