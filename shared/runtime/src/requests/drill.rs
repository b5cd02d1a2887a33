//! What a drill is asked, and what it answers.

use jiff::Timestamp;
use lifeboat_core::{
    drill::{
        DrillOutcome, Origin,
        steps::{Caught, DrillState, Ended, Ending, Step},
    },
    ids::{BackupId, DatabaseSlug, DrillId, RunId},
    report::Verdict,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Answer;

/// Asks the function `drill` for one drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// `latest`, `oldest`, `random`, `rotate` or a backup's id; as configured where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Another origin than a backup, for the state machine: a snapshot or point in time of the source's own instance of RDS, or
    /// an instance that a restore test of AWS Backup made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The rule's time: the run's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
}

/// What brings the function `drill` about: a request for a whole drill, a step of the state machine, or that its execution
/// did not come to its end.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum DrillTrigger {
    /// A whole drill in one go.
    Whole(DrillRequest),
    /// One step.
    Step(Box<DrillStep>),
    /// The execution failed, ran out of time or was aborted.
    Ended(Ended),
}

/// One step of a drill, as the state machine asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillStep {
    /// Which.
    pub step: Step,
    /// The state so far; the answer replaces it. Not with `select`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// With `select`: what the execution was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<DrillRequest>,
    /// With `select` and `validation`: the execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
}

impl DrillTrigger {
    /// The database it is about.
    pub fn database(&self) -> Result<DatabaseSlug, String> {
        match self {
            Self::Whole(request) => Ok(request.database.clone()),
            Self::Ended(ended) => Ok(ended.database.clone()),
            Self::Step(step) => step.database(),
        }
    }
}

impl DrillStep {
    /// The database it is about.
    pub fn database(&self) -> Result<DatabaseSlug, String> {
        if let Some(request) = &self.request {
            return Ok(request.database.clone());
        }
        let named = self.state.as_ref().and_then(|state| state["database"].as_str());
        named.ok_or("the state names no database")?.parse().map_err(|e: lifeboat_core::Error| e.to_string())
    }

    /// What is drilled instead of a backup, whether or not the drill was begun.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let asked = self.request.as_ref().and_then(|request| request.origin.clone());
        asked.or_else(|| serde_json::from_value(self.state.as_ref()?.get("origin")?.clone()).ok())
    }

    /// The state, where the drill was begun.
    pub(crate) fn drill_state(&self) -> Result<DrillState, String> {
        let state = self.state.clone().ok_or("a step needs the state of the one before it")?;
        serde_json::from_value(state).map_err(|e| format!("the state cannot be read: {e}"))
    }

    /// What the machine caught before there was a drill, and where.
    pub(crate) fn caught(&self) -> Option<(Caught, Option<Step>)> {
        let state = self.state.as_ref()?;
        let caught = serde_json::from_value(state.get("error")?.clone()).ok()?;
        Some((caught, state["failed_in"].as_str().and_then(Step::named)))
    }
}

impl TryFrom<Value> for DrillTrigger {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if value.get("step").is_some() {
            let step: DrillStep = serde_json::from_value(value).map_err(|e| e.to_string())?;
            step.database()?;
            return Ok(Self::Step(Box::new(step)));
        }
        let Some(name) = value.get("detail-type") else {
            return serde_json::from_value(value).map(Self::Whole).map_err(|e| e.to_string());
        };
        if name != EXECUTION_ENDED {
            return Err(format!("drill is brought about by '{EXECUTION_ENDED}', not by {name}"));
        }
        let detail = value.get("detail").ok_or("the event has no detail")?;
        let text = |key: &str| detail[key].as_str().map(str::to_owned);
        // The input is JSON in a text.
        let input = text("input").ok_or("the event names no input of the execution")?;
        let input: Value = serde_json::from_str(&input).map_err(|e| format!("the execution's input: {e}"))?;
        let database = input["database"].as_str().ok_or("the execution's input names no database")?;
        Ok(Self::Ended(Ended {
            database: database.parse().map_err(|e: lifeboat_core::Error| e.to_string())?,
            execution: text("executionArn").ok_or("the event names no execution")?,
            status: text("status").unwrap_or_default(),
            cause: text("cause").or_else(|| text("error")),
            restore_job: input["origin"]["adopt"]["restore_job"].as_str().map(str::to_owned),
        }))
    }
}

/// The detail-type of Step Functions' events.
const EXECUTION_ENDED: &str = "Step Functions Execution Status Change";

/// What the function `drill` answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DrillReply {
    /// To a whole drill.
    Whole(Answer<DrillAnswer>),
    /// To a step: the state that replaces the one before.
    State(Value),
    /// To an execution that ended.
    Ending(Ending),
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
