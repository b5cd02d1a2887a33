//! Requests and answers of the operations, one shape for functions, command line and `events/*.json`.

use jiff::Timestamp;
use lifeboat_core::{
    drill::DrillOutcome,
    dump::DumpOutcome,
    ids::{BackupId, DatabaseSlug, DrillId, RunId},
    manifest::{Omitted, PhaseDuration, Tier},
    ports::Finding,
    report::Verdict,
    verify::VerifyOutcome,
};
use serde::{Deserialize, Serialize};

/// Asks the function `dump` for one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DumpRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// The rule's time: the run's key. Without it the run is not scheduled, and happens every time it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

/// Asks the function `drill` for one drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// What was verified of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Objects read.
    pub objects: u64,
    /// Bytes read, as stored.
    pub bytes: u64,
    /// Seconds it took.
    pub seconds: f64,
}

impl From<&VerifyOutcome> for Verified {
    fn from(outcome: &VerifyOutcome) -> Self {
        Self { objects: outcome.objects, bytes: outcome.bytes, seconds: total(&outcome.phases) }
    }
}

/// One backup that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DumpAnswer {
    /// The database.
    pub database: DatabaseSlug,
    /// The backup.
    pub backup_id: BackupId,
    /// The run.
    pub run_id: RunId,
    /// Its folder in the store.
    pub location: String,
    /// Its tier.
    pub tier: Tier,
    /// When the source's state was.
    pub snapshot_at: Timestamp,
    /// Tables with data.
    pub tables: u64,
    /// Rows.
    pub rows: u64,
    /// Large objects.
    pub large_objects: u64,
    /// Objects, without the manifest.
    pub objects: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Codec.
    pub compression: String,
    /// Seconds the dump took, verifying aside.
    pub seconds: f64,
    /// Seconds per phase.
    pub phases: Vec<PhaseDuration>,
    /// What the backup does not hold.
    pub omitted: Vec<Omitted>,
    /// What preflight found.
    pub findings: Vec<Finding>,
    /// What the verify right after it read; null where it was not asked for.
    pub verified: Option<Verified>,
}

impl DumpAnswer {
    /// Of a dump that succeeded.
    pub fn new(outcome: &DumpOutcome, store_url: &str) -> Self {
        let manifest = &outcome.manifest;
        let totals = &manifest.totals;
        Self {
            database: manifest.database.clone(),
            backup_id: manifest.backup_id.clone(),
            run_id: manifest.run_id.clone(),
            location: format!("{}/{}", store_url.trim_end_matches('/'), manifest.folder()),
            tier: manifest.tier,
            snapshot_at: manifest.source.snapshot_at,
            tables: totals.tables,
            rows: totals.rows,
            large_objects: totals.large_objects,
            objects: totals.objects,
            raw_bytes: totals.raw_bytes,
            stored_bytes: totals.stored_bytes,
            compression: manifest.compression.clone(),
            seconds: total(&manifest.phases),
            phases: manifest.phases.clone(),
            omitted: manifest.omitted.clone(),
            findings: outcome.findings.clone(),
            verified: None,
        }
    }
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

/// What a function answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Answer<T> {
    /// The run was made.
    Done(T),
    /// The run of this time was made before: this request was delivered twice.
    AlreadyDone {
        /// What it answered.
        earlier: serde_json::Value,
    },
    /// The run of this time is being made: this request was delivered twice.
    AlreadyRunning,
}

/// The sum of all phases, in seconds.
pub fn total(phases: &[PhaseDuration]) -> f64 {
    phases.iter().map(|p| p.seconds).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_requests_are_read() {
        let dump: DumpRequest = serde_json::from_str(include_str!("../../../events/dump/nightly.json")).unwrap();
        assert_eq!(dump.database.as_str(), "orders");
        assert_eq!(dump.scheduled_at, Some("2026-11-20T02:00:00Z".parse().unwrap()));
        let now: DumpRequest = serde_json::from_str(include_str!("../../../events/dump/now.json")).unwrap();
        assert_eq!(now.scheduled_at, None);
        let drill: DrillRequest = serde_json::from_str(include_str!("../../../events/drill/monthly.json")).unwrap();
        assert_eq!(drill.select.as_deref(), Some("rotate"));
    }

    #[test]
    fn a_request_with_an_unknown_field_is_refused() {
        let request = r#"{"database":"orders","schedule_at":"2026-11-20T02:00:00Z"}"#;
        assert!(serde_json::from_str::<DumpRequest>(request).is_err());
        assert!(serde_json::from_str::<DumpRequest>(r#"{"database":"../x"}"#).is_err());
    }

    #[test]
    fn answers_say_whether_the_run_was_made() {
        let done = serde_json::to_value(Answer::Done(serde_json::json!({ "database": "orders" }))).unwrap();
        assert_eq!(done, serde_json::json!({ "status": "done", "database": "orders" }));
        let already = serde_json::to_value(Answer::<()>::AlreadyRunning).unwrap();
        assert_eq!(already, serde_json::json!({ "status": "already_running" }));
    }
}
