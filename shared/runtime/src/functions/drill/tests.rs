//! What the function tells of drills that come to no report.

use std::sync::Arc;

use lifeboat_core::{
    drill::steps::{Ended, Ending},
    events::{Body, DrillEnded},
    report::Verdict,
};
use lifeboat_testkit::{MemoryBus, context};

use super::*;
use crate::{environment::Environment, secrets::Kept};

#[tokio::test]
async fn a_request_of_a_snapshot_that_is_sent_whole_begins_no_incident_of_backups() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("file://{}", folder.path().display());
    let environment = Environment::of([("LIFEBOAT_STORE", store.as_str()), ("LIFEBOAT_EVENT_BUS", "lifeboat")]);
    let bus = MemoryBus::default();
    let setup = Setup::of_function(environment, "drill", Arc::new(Kept::with_bus(Arc::new(bus.clone())))).unwrap();
    for (origin, told) in [(Some(Origin::Snapshot("latest".to_owned())), Some("snapshot latest")), (None, None)] {
        let request = DrillRequest {
            database: "orders".parse().unwrap(),
            // Of a backup, there is none of this name.
            select: origin.is_none().then(|| "nonsense".to_owned()),
            origin,
            scheduled_at: None,
        };
        let drilled = drill(Arc::new(setup.clone()), DrillTrigger::Whole(request), context().build()).await;
        assert_eq!(drilled.unwrap_err().kind(), ErrorKind::Usage);
        let events = bus.events();
        let Body::DrillFailed(event) = &events.last().unwrap().body else { panic!("{events:?}") };
        assert_eq!(event.origin.as_deref(), told);
    }
}

/// What is told of an execution that ended.
fn told(restore_job: Option<&str>, origin: Option<&str>, verdict: Option<Verdict>) -> DrillEnded {
    let ended = Ended {
        database: "orders".parse().unwrap(),
        execution: "arn:one".to_owned(),
        status: "FAILED".to_owned(),
        cause: None,
        restore_job: restore_job.map(str::to_owned),
    };
    let ending = Ending {
        drill_id: None,
        backup_id: None,
        origin: origin.map(str::to_owned),
        verdict,
        phase: Some("compare".to_owned()),
        reasons: vec!["shop.orders: 2 instead of 3".to_owned()],
        removed: Vec::new(),
        remaining: Vec::new(),
        told: false,
        validation: None,
    };
    match ended::event(&ended, &ending) {
        Body::DrillFailed(event) => event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_told_of_an_execution_that_ended_names_what_was_found_and_what_to_do_next() {
    assert_eq!(told(None, None, Some(Verdict::Failed)).verdict, Some(Verdict::Failed));
    assert_eq!(told(None, None, None).verdict, None);
    for (restore_job, origin, says) in [
        (None, None, "lifeboat drill orders drills again"),
        (None, Some("snapshot rds:one"), "the state machine, started with the same input, drills again"),
        (Some("job"), Some("restore job job of AWS Backup"), "its instance is AWS Backup's, which removes it"),
    ] {
        let hint = told(restore_job, origin, None).failure.unwrap().hint;
        assert!(hint.contains(says), "{hint}");
        assert_eq!(hint.contains("are being removed"), restore_job.is_none(), "{hint}");
        assert_eq!(hint.contains("lifeboat drill"), origin.is_none(), "{hint}");
    }
}
