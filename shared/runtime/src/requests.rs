//! Requests and answers of the operations, one shape for functions, command line and `events/*.json`.

mod drill;
mod dump;
mod retention;
mod verify;

use lifeboat_core::manifest::PhaseDuration;
use serde::{Deserialize, Serialize};

pub use drill::{DrillAnswer, DrillRequest, ReportKeys};
pub use dump::{DumpAnswer, DumpRequest};
pub use retention::RetentionRequest;
pub use verify::Verified;

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
