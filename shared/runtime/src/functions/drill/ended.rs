//! The end of an execution that did not come to its end: what it made is removed, and told once.

use lifeboat_core::{
    Error, ErrorKind, Result,
    drill::steps::{self, Ended, Ending},
    events::{Body, DrillEnded, Failure, brief},
    ports::RunContext,
};

use super::step::control_ports;
use crate::{
    runs,
    setup::Setup,
    telling::{Told, tell},
};

/// Removes the instances of the execution. An error where one remains, so that the event is delivered again.
pub(super) async fn ended(setup: &Setup, ended: &Ended, context: &RunContext) -> Result<Ending> {
    let selected = setup.one(Some(&ended.database), None)?;
    let ports = control_ports(setup, &selected).await?;
    let mut ending = steps::ended(&ports, ended, context).await?;
    if !ending.told {
        let event = event(ended, &ending);
        let telling = async { Ok(Told::new((), vec![event])) };
        tell(setup, context, &ended.database, runs::drill_failed, telling).await?;
        steps::told(&*ports.control, &ended.database, &ended.execution, context).await?;
    }
    // Told last: AWS Backup may not know the job any more, and everything else matters all the same.
    if let Some(wanted) = ending.validation.clone() {
        let ports = super::validation::ports(setup).await?;
        ending.validation = steps::tell(&ports, &ended.database, &ended.execution, wanted, context).await?;
    }
    if ending.remaining.is_empty() {
        return Ok(ending);
    }
    let message = format!("instances of the drill remain: {}", ending.remaining.join(", "));
    Err(Error::new(ErrorKind::Store, message).with_hint("health removes them after their time; RDS's events say more"))
}

pub(super) fn event(ended: &Ended, ending: &Ending) -> Body {
    let reasons: Vec<String> = ending.reasons.iter().map(|reason| brief(reason)).collect();
    let (execution, database) = (&ended.execution, &ended.database);
    let then = match (&ended.restore_job, &ending.origin) {
        (Some(_), _) => {
            "its instance is AWS Backup's, which removes it; the next restore test is drilled again".to_owned()
        }
        (None, Some(_)) => {
            "its instances are being removed; the state machine, started with the same input, drills again".to_owned()
        }
        (None, None) => format!("its instances are being removed; lifeboat drill {database} drills again"),
    };
    let failure = Failure {
        kind: ErrorKind::Interrupted.name().to_owned(),
        message: brief(&reasons.join("; ")),
        hint: brief(&format!("look at the execution {execution} in Step Functions; {then}")),
        backup_id: ending.backup_id.clone(),
    };
    Body::DrillFailed(DrillEnded {
        drill_id: ending.drill_id.clone(),
        backup_id: ending.backup_id.clone(),
        origin: ending.origin.clone(),
        report: None,
        verdict: ending.verdict,
        phase: ending.phase.clone(),
        reasons,
        rto_seconds: None,
        rto_objective_seconds: None,
        failure: Some(failure),
    })
}
