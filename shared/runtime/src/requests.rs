//! Requests and answers of the operations, one shape for functions, command line and `events/*.json`.

mod alert;
mod drill;
mod dump;
mod handed_over;
mod health;
mod maintenance;
mod restore;
mod retention;
mod verify;

use lifeboat_core::manifest::PhaseDuration;
use serde::{Deserialize, Serialize};

pub use alert::{
    AlertAnswer, AlertRequest, AlertWish, Batch, Notified, NotifyAnswer, NotifyRequest, NotifyWish, SqsFailure,
    SqsFailures,
};
pub use drill::{DrillAnswer, DrillReply, DrillRequest, DrillStep, DrillTrigger, ReportKeys};
pub use dump::{DumpAnswer, DumpRequest};
pub use handed_over::HandedOver;
pub use health::{DatabaseHealth, HealthAnswer, HealthRequest};
pub use maintenance::{MaintenanceAnswer, MaintenanceRequest};
pub(crate) use restore::shortened;
pub use restore::{RestoreAnswer, RestoreRequest};
pub use retention::RetentionRequest;
pub use verify::{BackupVerdict, Verified, VerifyAnswer, VerifyRequest, VerifyTrigger};

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
    /// A task makes the run: it would outlast the function.
    HandedOver(HandedOver),
    /// The run of this time is being made, because this request was delivered twice; or another run of the database is.
    AlreadyRunning,
}

/// The sum of all phases, in seconds.
pub fn total(phases: &[PhaseDuration]) -> f64 {
    phases.iter().map(|p| p.seconds).sum()
}

#[cfg(test)]
mod tests {
    use lifeboat_core::drill::steps::Step;

    use super::*;

    /// Every sample of a function, by its name.
    fn samples<T: serde::de::DeserializeOwned>(function: &str) -> Vec<(String, T)> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(function);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let read = |path: std::path::PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap();
            let sample = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            (path.file_stem().unwrap().to_string_lossy().into_owned(), sample)
        };
        files.into_iter().map(read).collect()
    }

    #[test]
    fn the_sample_requests_are_read() {
        for (name, dump) in samples::<DumpRequest>("dump") {
            assert_eq!(dump.database.as_str(), "orders");
            assert_eq!(dump.scheduled_at, (name == "nightly").then(|| "2026-11-20T02:00:00Z".parse().unwrap()));
        }
        for (name, trigger) in samples::<DrillTrigger>("drill") {
            assert_eq!(trigger.database().unwrap().as_str(), "orders", "{name}");
            match trigger {
                DrillTrigger::Whole(request) => assert_eq!(request.select.as_deref(), Some("rotate")),
                DrillTrigger::Step(step) if step.step == Step::Select => assert!(step.execution.is_some()),
                DrillTrigger::Step(step) => {
                    assert_eq!(name, format!("step-{}", step.step));
                    assert!(step.drill_state().unwrap().execution.starts_with("arn:aws:states:"), "{name}");
                }
                DrillTrigger::Ended(ended) => {
                    assert_eq!((name.as_str(), ended.status.as_str()), ("execution-aborted", "ABORTED"));
                }
            }
        }
        for (name, retention) in samples::<RetentionRequest>("retention") {
            assert_eq!((retention.dry_run, retention.scheduled_at.is_some()), (name == "plan", name == "daily"));
        }
        for (name, health) in samples::<HealthRequest>("health") {
            assert_eq!((health.database.is_some(), health.scheduled_at.is_some()), (name != "all", name == "hourly"));
        }
        let verify = samples::<VerifyTrigger>("verify");
        let kinds: Vec<_> =
            verify.iter().map(|(name, v)| (name.as_str(), matches!(v, VerifyTrigger::Asked(_)))).collect();
        assert_eq!(kinds, [("backup-completed", false), ("latest", true), ("older", true)]);
        for (_, trigger) in verify {
            assert_eq!(trigger.database().as_str(), "orders");
        }
    }

    #[test]
    fn verify_is_brought_about_by_no_other_event_than_that_a_backup_exists() {
        let sample = include_str!("../../../events/verify/backup-completed.json");
        let read = |text: &str| serde_json::from_str::<VerifyTrigger>(text).map_err(|e| e.to_string());
        let VerifyTrigger::Completed { backup_id, verified, .. } = read(sample).unwrap() else { panic!("a request") };
        assert_eq!((backup_id.as_str(), verified), ("20261120T020004Z-k3vd", false));
        let other = r#"{"detail-type":"HealthRecovered","detail":{"format_version":1,"run_id":"a","database":"orders",
            "at":"2026-11-20T02:00:00Z","type":"HealthRecovered","recovered":[]}}"#;
        assert!(read(other).unwrap_err().contains("brought about by BackupCompleted"));
        assert!(read(r#"{"detail-type":"BackupCompleted"}"#).unwrap_err().contains("no detail"));
        assert!(read(r#"{"database":"orders","backups":"latest"}"#).unwrap_err().contains("unknown field `backups`"));
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
