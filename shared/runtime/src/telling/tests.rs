//! Tests of telling on a store in a folder and a bus in memory.

use std::sync::Arc;

use lifeboat_core::ports::{RunContext, Store};
use lifeboat_testkit::{MemoryBus, context};
use tempfile::TempDir;

use super::*;
use crate::{environment::Environment, handing_over::Invoked, lambda::Host, secrets::Kept};

struct Stage {
    _folder: TempDir,
    setup: Setup,
    bus: MemoryBus,
    context: RunContext,
    database: DatabaseSlug,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("file://{}", folder.path().display());
        let environment = Environment::of([("LIFEBOAT_STORE", store.as_str()), ("LIFEBOAT_EVENT_BUS", "lifeboat")]);
        let bus = MemoryBus::default();
        let kept = Arc::new(Kept::with_bus(Arc::new(bus.clone())));
        let setup = Setup::of_function(environment, "dump", kept).unwrap();
        Self { _folder: folder, setup, bus, context: context().build(), database: "orders".parse().unwrap() }
    }

    async fn tell(&self, result: Result<Told<u32>>) -> Result<u32> {
        tell(&self.setup, &self.context, &self.database, Body::BackupFailed, async { result }).await
    }

    async fn control(&self) -> Arc<dyn Store> {
        self.setup.open_control().await.unwrap()
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "read the table").with_hint("look again")
}

#[tokio::test]
async fn a_run_tells_what_happened_and_answers() {
    let stage = Stage::new();
    let body = Body::HealthRecovered(lifeboat_core::events::HealthRecovered { recovered: Vec::new() });
    assert_eq!(stage.tell(Ok(Told::new(7, vec![body.clone()]))).await.unwrap(), 7);
    assert_eq!(stage.bus.events(), [event(&stage.context, &stage.database, body)]);
}

#[tokio::test]
async fn a_failure_is_told_with_its_kind_and_hint_and_still_fails() {
    let stage = Stage::new();
    assert_eq!(stage.tell(Err(error(ErrorKind::Database))).await.unwrap_err().kind(), ErrorKind::Database);
    let told = stage.bus.events();
    let Body::BackupFailed(failure) = &told[0].body else { panic!("{told:?}") };
    assert_eq!((failure.kind.as_str(), failure.hint.as_str()), ("database", "look again"));
}

#[tokio::test]
async fn a_run_that_another_does_and_one_that_a_person_stopped_tell_nothing() {
    let stage = Stage::new();
    for kind in [ErrorKind::AlreadyRunning, ErrorKind::Interrupted] {
        assert_eq!(stage.tell(Err(error(kind))).await.unwrap_err().kind(), kind);
    }
    stage.tell(Ok(Told::nothing(1))).await.unwrap();
    assert!(stage.bus.events().is_empty());
}

#[tokio::test]
async fn a_task_that_is_stopped_tells_of_it_for_nobody_sits_before_it() {
    let mut stage = Stage::new();
    let (request, request_id) = (String::new(), String::new());
    let (time, longest) = (std::time::Duration::from_hours(11), std::time::Duration::from_hours(12));
    stage.setup = stage.setup.of_invocation(Invoked { request, request_id, time, longest, host: Host::Task });
    stage.tell(Err(error(ErrorKind::AlreadyRunning))).await.unwrap_err();
    stage.tell(Err(error(ErrorKind::Interrupted))).await.unwrap_err();
    let told = stage.bus.events();
    let [Body::BackupFailed(failure)] = told.iter().map(|event| &event.body).collect::<Vec<_>>()[..] else {
        panic!("{told:?}")
    };
    assert_eq!(failure.kind, "interrupted");
}

#[tokio::test]
async fn what_is_misspelt_at_the_command_line_is_told_to_nobody_but_a_wrong_request_is() {
    let mut stage = Stage::new();
    stage.tell(Err(error(ErrorKind::Usage))).await.unwrap_err();
    assert_eq!(stage.bus.names(), ["BackupFailed"]);
    stage.setup = Setup::load(&crate::config::Flags::default(), stage.setup.environment().clone()).unwrap();
    stage.setup.config.bus = None;
    stage.tell(Err(error(ErrorKind::Usage))).await.unwrap_err();
    assert_eq!(stage.bus.names(), ["BackupFailed"]);
}

#[tokio::test]
async fn what_the_bus_does_not_take_is_kept_and_sent_later_once() {
    let stage = Stage::new();
    stage.bus.stop(true);
    stage.tell(Err(error(ErrorKind::Database))).await.unwrap_err();
    stage.tell(Err(error(ErrorKind::Store))).await.unwrap_err();
    let control = stage.control().await;
    let keys = undelivered::list(&*control).await.unwrap();
    assert_eq!(keys.len(), 2);
    assert!(undelivered::read(&*control, &keys[0]).await.unwrap().reason.contains("no answer"));

    // Still nobody there: nothing is lost.
    let failed = send_undelivered(&stage.setup, &stage.context).await.unwrap_err();
    assert!(failed.to_string().contains("no answer"), "{failed}");
    assert_eq!(undelivered::list(&*control).await.unwrap(), keys);

    stage.bus.stop(false);
    assert_eq!(send_undelivered(&stage.setup, &stage.context).await.unwrap(), 2);
    assert_eq!(stage.bus.names(), ["BackupFailed", "BackupFailed"]);
    assert!(undelivered::list(&*control).await.unwrap().is_empty());
    assert_eq!(send_undelivered(&stage.setup, &stage.context).await.unwrap(), 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_left_and_does_not_hold_up_the_rest() {
    let stage = Stage::new();
    let control = stage.control().await;
    control.probe(&stage.context.run_id).await.unwrap();
    control.put_new("undelivered/0.json", "no events".into(), &stage.context.run_id).await.unwrap();
    stage.bus.stop(true);
    stage.tell(Err(error(ErrorKind::Database))).await.unwrap_err();
    stage.bus.stop(false);
    assert_eq!(send_undelivered(&stage.setup, &stage.context).await.unwrap(), 1);
    assert_eq!(undelivered::list(&*control).await.unwrap(), ["undelivered/0.json"]);
}

#[tokio::test]
async fn an_event_that_the_bus_will_never_take_holds_up_no_other() {
    let stage = Stage::new();
    let recovered = || Body::HealthRecovered(lifeboat_core::events::HealthRecovered { recovered: Vec::new() });
    let failed = || Body::MaintenanceFailed(Failure::of(&error(ErrorKind::Database)));
    stage.bus.stop(true);
    stage.tell(Ok(Told::new(1, vec![recovered()]))).await.unwrap();
    stage.tell(Ok(Told::new(1, vec![failed(), recovered(), failed()]))).await.unwrap();
    stage.tell(Err(error(ErrorKind::Store))).await.unwrap_err();
    stage.bus.stop(false);
    stage.bus.refuse(Some("HealthRecovered"));
    for _ in 0..2 {
        let refused = send_undelivered(&stage.setup, &stage.context).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.hint().contains("undelivered/") && refused.hint().contains("delete it"), "{}", refused.hint());
        let mut names = stage.bus.names();
        names.sort_unstable();
        assert_eq!(names, ["BackupFailed", "MaintenanceFailed", "MaintenanceFailed"]);
        let control = stage.control().await;
        let mut left = Vec::new();
        for key in undelivered::list(&*control).await.unwrap() {
            left.extend(undelivered::read(&*control, &key).await.unwrap().events);
        }
        assert_eq!(left.iter().map(|event| event.body.name()).collect::<Vec<_>>(), ["HealthRecovered"; 2]);
    }
    stage.bus.refuse(None);
    assert_eq!(send_undelivered(&stage.setup, &stage.context).await.unwrap(), 2);
}
