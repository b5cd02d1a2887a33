//! Tells AWS Backup what came of the instance that its restore test made.

use lifeboat_core::{
    Result,
    drill::{
        Origin,
        steps::{self, Reported, Step, Validation, ValidationPorts},
    },
    ports::RunContext,
    report::Verdict,
};
use serde_json::{Value, json};

use super::step::unreadable;
use crate::{requests::DrillStep, setup::Setup};

pub(super) async fn ports(setup: &Setup) -> Result<ValidationPorts> {
    Ok(ValidationPorts { control: setup.open_control().await?, tests: setup.open_restore_tests().await? })
}

/// The step: also of a drill that was not even begun, whose state is what the execution was started with.
pub(super) async fn validation(setup: &Setup, asked: &DrillStep, context: &RunContext) -> Result<Value> {
    let wrong = |why: String| unreadable(Step::Validation, &why);
    let mut state = asked.state.clone().ok_or_else(|| wrong("it has no state".to_owned()))?;
    let execution = asked.execution.as_deref().ok_or_else(|| wrong("it names no execution".to_owned()))?;
    let database = asked.database().map_err(wrong)?;
    let origin: Option<Origin> = serde_json::from_value(state["origin"].clone())
        .map_err(|e| wrong(format!("the origin cannot be read: {e}")))?;
    let job = origin.as_ref().and_then(Origin::restore_job);
    let job = job.ok_or_else(|| wrong("no restore test made the instance".to_owned()))?;
    let verdict: Option<Verdict> = serde_json::from_value(state["verdict"].clone()).ok();
    let reported = Reported {
        verdict,
        outcome: state["outcome"].as_str(),
        error: state["error"]["Error"].as_str(),
        found_wrong: state["found_wrong"] == true,
    };
    let wanted = Validation::of(job, reported);
    let told = steps::validation(&ports(setup).await?, &database, execution, wanted, context).await?;
    // Null where another execution has the job.
    state["validation"] = json!(told);
    Ok(state)
}
