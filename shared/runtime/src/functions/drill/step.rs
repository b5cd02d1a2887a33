//! One step of a drill, as the state machine asks for it.

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind, Result,
    drill::{
        self, DrillOutcome, Selection,
        steps::{self, Asked, ControlPorts, DataPorts, DrillState, Step},
    },
    events::{Body, DrillEnded, Failure, brief},
    ports::RunContext,
    report::Verdict,
};
use serde_json::{Value, json};

use super::validation;
use crate::{
    requests::DrillStep,
    runs::{self, DrillOptions},
    setup::{Selected, Setup},
    telling::{Told, tell},
};

/// Does the step; the state that replaces the one before. What fails is for the state machine to catch: the last step tells
/// of it.
pub(super) async fn step(setup: &Setup, asked: &DrillStep, context: &RunContext) -> Result<Value> {
    match asked.step {
        Step::Select => select(setup, asked, context).await,
        Step::Report => report(setup, asked, context).await,
        Step::Validation => validation::validation(setup, asked, context).await,
        step => {
            let state = asked.drill_state().map_err(|e| unreadable(step, &e))?;
            let selected = setup.one(Some(&state.database), None)?;
            let state = if step.controls() {
                Box::pin(steps::control(step, &control_ports(setup, &selected).await?, state, context)).await?
            } else {
                let request = request(&selected, &state)?;
                Box::pin(steps::data(step, &data_ports(setup, &selected).await?, &request, state, context)).await?
            };
            encoded(&state)
        }
    }
}

pub(super) fn unreadable(step: Step, why: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("step {step}: {why}"))
        .with_hint("see events/drill/ for steps as they should be")
}

fn encoded(state: &DrillState) -> Result<Value> {
    serde_json::to_value(state).map_err(|e| Error::new(ErrorKind::Unexpected, format!("encode the state: {e}")))
}

/// What the steps on RDS work with.
pub(super) async fn control_ports(setup: &Setup, selected: &Selected) -> Result<ControlPorts> {
    Ok(ControlPorts {
        config: setup.rds_scratch(selected)?,
        control: setup.open_control().await?,
        store: setup.open_store().await?,
        instances: setup.open_instances().await?,
        tests: setup.open_restore_tests().await?,
        prefix: setup.deployment().to_owned(),
    })
}

async fn data_ports(setup: &Setup, selected: &Selected) -> Result<DataPorts> {
    Ok(DataPorts { identities: setup.identities(&selected.config, None).await?, ..ports_of_report(setup).await? })
}

/// Without the keys: a report is written whatever became of them.
async fn ports_of_report(setup: &Setup) -> Result<DataPorts> {
    Ok(DataPorts {
        store: setup.open_store().await?,
        identities: Arc::default(),
        control: setup.open_control().await?,
        databases: setup.instance_databases(),
    })
}

fn request(selected: &Selected, state: &DrillState) -> Result<drill::DrillRequest> {
    let options = DrillOptions {
        select: Some(state.selection.parse()?),
        trigger: state.trigger.clone(),
        operator: Some(state.execution.clone()),
        thaw: true,
        origin: state.origin.clone(),
        ..DrillOptions::default()
    };
    Ok(runs::drill_request(selected, &options))
}

async fn select(setup: &Setup, asked: &DrillStep, context: &RunContext) -> Result<Value> {
    let missing = |what: &str| unreadable(Step::Select, &format!("it names no {what}"));
    let request = asked.request.as_ref().ok_or_else(|| missing("request"))?;
    let execution = asked.execution.clone().ok_or_else(|| missing("execution"))?;
    let selected = setup.one(Some(&request.database), None)?;
    // Refused now, before anything is thawed.
    setup.rds_scratch(&selected)?;
    let options = DrillOptions {
        select: match request.origin {
            // Its catalog is what is compared, unless it turns out that another is nearer to what is drilled.
            Some(_) => Some(Selection::Latest),
            None => request.select.as_deref().map(str::parse::<Selection>).transpose()?,
        },
        trigger: super::trigger(request),
        operator: Some(execution.clone()),
        thaw: true,
        origin: request.origin.clone(),
        ..DrillOptions::default()
    };
    let wanted = Asked {
        request: runs::drill_request(&selected, &options),
        scheduled_at: request.scheduled_at,
        execution: execution.clone(),
        runner: selected.config.runner.value,
    };
    match Box::pin(steps::select(&data_ports(setup, &selected).await?, &wanted, context)).await? {
        Some(state) => encoded(&state),
        None => Ok(json!({
            "already": true, "database": request.database, "scheduled_at": request.scheduled_at, "execution": execution,
        })),
    }
}

/// Writes the report and tells what came of the drill. Where not even a backup was chosen, that is told.
async fn report(setup: &Setup, asked: &DrillStep, context: &RunContext) -> Result<Value> {
    let mut state = match (asked.drill_state(), asked.caught()) {
        (Ok(state), _) => state,
        (Err(_), Some(_)) => return not_begun(setup, asked, context).await,
        (Err(why), None) => return Err(unreadable(Step::Report, &why)),
    };
    let selected = setup.one(Some(&state.database), None)?;
    let ports = ports_of_report(setup).await?;
    let outcome = Box::pin(steps::report(&ports, &request(&selected, &state)?, &state, context)).await?;
    state.verdict = Some(outcome.report.verdict);
    state.found_wrong = outcome.report.found_wrong();
    state.outcome = Some(brief(&in_a_sentence(&outcome)));
    if !steps::was_told(&*ports.control, &state.database, &state.execution).await? {
        let event = runs::drill_ended(&outcome, selected.config.rto.as_ref().map(|s| s.value.0));
        let telling = async { Ok(Told::new((), vec![event])) };
        tell(setup, context, &state.database, runs::drill_failed, telling).await?;
        steps::told(&*ports.control, &state.database, &state.execution, context).await?;
    }
    encoded(&state)
}

fn in_a_sentence(outcome: &DrillOutcome) -> String {
    let report = &outcome.report;
    let place = format!("report {}report.html", outcome.folder);
    if report.verdict == Verdict::Failed {
        return format!("{}; {place}", report.reasons.join("; "));
    }
    let compared = match &report.origin {
        Some(_) => {
            let backup = &report.backup.backup_id;
            format!("the catalog is that of backup {backup}, and every check held; rows were not compared")
        }
        None => "every table is as the manifest says, and every check held".to_owned(),
    };
    format!("{compared}; {place}")
}

async fn not_begun(setup: &Setup, asked: &DrillStep, context: &RunContext) -> Result<Value> {
    let database = asked.database().map_err(|e| unreadable(Step::Report, &e))?;
    let (caught, step) = asked.caught().ok_or_else(|| unreadable(Step::Report, "nothing was caught"))?;
    let step = step.unwrap_or(Step::Select);
    let origin = asked.origin().map(|origin| origin.to_string());
    let then = match &origin {
        Some(_) => "start the state machine with the same input, or wait for the next restore test".to_owned(),
        None => format!("lifeboat drill {database}"),
    };
    let failure = Failure {
        kind: caught.error.clone(),
        message: brief(&caught.words()),
        hint: format!("the drill was not begun; look at the log of the function, then: {then}"),
        backup_id: None,
    };
    let outcome = failure.message.clone();
    let event = Body::DrillFailed(DrillEnded {
        drill_id: None,
        backup_id: None,
        origin,
        report: None,
        verdict: None,
        phase: Some(step.phase().to_owned()),
        reasons: vec![brief(&format!("phase {} failed: {}", step.phase(), caught.words()))],
        rto_seconds: None,
        rto_objective_seconds: None,
        failure: Some(failure),
    });
    let telling = async { Ok(Told::new((), vec![event])) };
    tell(setup, context, &database, runs::drill_failed, telling).await?;
    let mut state = asked.state.clone().unwrap_or_default();
    state["verdict"] = json!(Verdict::Failed);
    state["outcome"] = json!(outcome);
    // The machine goes on as it would have.
    state["adopted"] = json!(state["origin"]["adopt"].is_object());
    Ok(state)
}
