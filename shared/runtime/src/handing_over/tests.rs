//! Tests of handing runs over, with tasks that are only noted down.

use bytes::Bytes;
use jiff::SignedDuration;
use lifeboat_core::{
    lease::{Occasion, RunClaim},
    ports::{Removal, Store},
};
use lifeboat_testkit::{ManualClock, MemoryStore, MemoryTasks, context};

use super::*;
use crate::{environment::Environment, one_run::Alive, secrets::Kept};

const TASK: &str = r#"{"cluster":"lifeboat","task_definition":"lifeboat-dump:7","container":"lifeboat","subnets":["subnet-1"],"security_groups":["sg-1"]}"#;
const NIGHTLY: &str = r#"{"database":"orders","scheduled_at":"2026-11-20T02:00:00Z"}"#;

struct Stage {
    tasks: MemoryTasks,
    control: MemoryStore,
    clock: Arc<ManualClock>,
    database: DatabaseSlug,
}

impl Stage {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-20T02:00:05Z"));
        let control = MemoryStore::with_clock(Removal::Delete, clock.clone());
        Self { tasks: MemoryTasks::default(), control, clock, database: "orders".parse().unwrap() }
    }

    fn setup(&self, task: &str, request_id: &str) -> Setup {
        self.setup_of(task, request_id, NIGHTLY)
    }

    fn setup_of(&self, task: &str, request_id: &str, request: &str) -> Setup {
        let environment = Environment::of([("LIFEBOAT_STORE", "file:///none"), ("LIFEBOAT_TASK", task)]);
        let kept = Arc::new(Kept::with_tasks(Arc::new(self.tasks.clone())));
        let invoked = invoked(Host::Lambda, request_id, request);
        Setup::of_function(environment, "dump", kept).unwrap().of_invocation(invoked)
    }

    fn scheduled(&self) -> OneRun<'_> {
        let occasion = Occasion::Scheduled("2026-11-20T02:00:00Z".parse().unwrap());
        let (alive, longest) = (Alive::Leased, SignedDuration::from_mins(15));
        OneRun { control: &self.control, operation: "dump", database: &self.database, occasion, alive, longest }
    }

    /// The run that a request is, as a function has it, or a task.
    fn of_request(&self, longest: SignedDuration) -> OneRun<'_> {
        let (occasion, alive) = (Occasion::request("8f0a-1").unwrap(), Alive::Claimed);
        OneRun { control: &self.control, operation: "restore", database: &self.database, occasion, alive, longest }
    }

    /// One delivery of the nightly request to a function with 14 minutes.
    async fn deliver(&self, runner: Runner, predicted: Result<Option<f64>>) -> Result<Option<Answer<()>>> {
        let (setup, context) = (self.setup(TASK, "r"), context().clock(self.clock.clone()).build());
        let Some(handing) = Handing::of(&setup, "dump", &self.database, runner)? else { return Ok(None) };
        handing.before(Some(&self.scheduled()), async { predicted }, &context).await
    }
}

fn invoked(host: Host, request_id: &str, request: &str) -> Invoked {
    let (time, longest) = (Duration::from_mins(14), Duration::from_mins(15));
    Invoked { request: request.to_owned(), request_id: request_id.to_owned(), time, longest, host }
}

fn handed(answer: Option<Answer<()>>) -> HandedOver {
    match answer {
        Some(Answer::HandedOver(handed)) => handed,
        other => panic!("not handed over: {other:?}"),
    }
}

#[tokio::test]
async fn a_run_that_would_outlast_its_function_is_one_task_however_often_it_is_delivered() {
    let stage = Stage::new();
    let first = handed(stage.deliver(Runner::Auto, Ok(Some(1200.0))).await.unwrap());
    assert_eq!(first.why, "it is predicted to take 20 min, and the function has 14 min");
    for _ in 0..2 {
        assert_eq!(handed(stage.deliver(Runner::Auto, Ok(Some(1200.0))).await.unwrap()), first);
    }
    let [task] = stage.tasks.started().try_into().unwrap();
    assert_eq!(task.variables, [("LIFEBOAT_REQUEST".to_owned(), NIGHTLY.to_owned())]);
    assert_eq!((task.place.task_definition.as_str(), task.started_by.as_str()), ("lifeboat-dump:7", "dump/orders"));
    assert_eq!(task.token.len(), 64);
    // Another deployment in this account has a database of this name, and the same schedule.
    let (other, context) = (stage.setup(&TASK.replace("lifeboat-dump", "other-dump"), "r"), context().build());
    let handing = Handing::of(&other, "dump", &stage.database, Runner::Auto).unwrap().unwrap();
    handed(handing.before(Some(&stage.scheduled()), async { Ok(Some(1200.0)) }, &context).await.unwrap());
    assert_eq!(stage.tasks.started().len(), 2);
}

#[tokio::test]
async fn what_is_short_or_unknown_or_kept_here_by_the_configuration_is_not_handed_over() {
    let stage = Stage::new();
    for (runner, predicted) in [
        (Runner::Auto, Ok(Some(500.0))),
        (Runner::Auto, Ok(None)),
        (Runner::Auto, Err(Error::new(ErrorKind::Corrupt, "the last manifest"))),
        (Runner::Lambda, Ok(Some(9000.0))),
    ] {
        assert_eq!(stage.deliver(runner, predicted).await.unwrap(), None);
    }
    assert_eq!(stage.tasks.started(), []);
    let said = handed(stage.deliver(Runner::Fargate, Ok(Some(1.0))).await.unwrap());
    assert_eq!(said.why, "the configuration says that a task runs it");
}

#[tokio::test]
async fn a_run_that_is_being_made_or_was_made_is_no_further_task_and_one_that_failed_is() {
    let stage = Stage::new();
    let deliver = || stage.deliver(Runner::Fargate, Ok(None));
    let first = handed(deliver().await.unwrap());
    // The task claims it.
    let (key, run) = ("runs/dump/orders/20261120T020000Z", context().run(7).build());
    let claim = RunClaim { run_id: run.run_id.clone(), until: "2026-11-20T14:00:00Z".parse().unwrap() };
    stage.control.put_new(key, claim.to_json().unwrap(), &run.run_id).await.unwrap();
    assert_eq!(deliver().await.unwrap(), Some(Answer::AlreadyRunning));
    // It fails, and gives the claim back.
    let (_, claim) = stage.control.read(key, 100).await.unwrap();
    stage.control.swap(key, claim.etag.as_deref(), Bytes::new()).await.unwrap();
    let second = handed(deliver().await.unwrap());
    assert_ne!(first.task, second.task);
    assert_eq!(handed(deliver().await.unwrap()), second, "one task for the second attempt too");
    // It is done.
    stage.control.put_new(&format!("{key}.answer.json"), Bytes::from("8"), &run.run_id).await.unwrap();
    assert_eq!(deliver().await.unwrap(), Some(Answer::AlreadyDone { earlier: serde_json::json!(8) }));
}

#[tokio::test]
async fn a_run_that_nothing_foretold_is_tried_once_and_then_handed_over_once() {
    let stage = Stage::new();
    assert_eq!(stage.deliver(Runner::Auto, Ok(None)).await.unwrap(), None);
    // It reaches the end of its time, and gives its claim back.
    let (key, run) = ("runs/dump/orders/20261120T020000Z", context().run(7).build());
    stage.control.put_new(key, Bytes::new(), &run.run_id).await.unwrap();
    let (setup, context) = (stage.setup(TASK, "r"), context().clock(stage.clock.clone()).build());
    let handing = Handing::of(&setup, "dump", &stage.database, Runner::Auto).unwrap().unwrap();
    let late = handed(Some(handing.after(Some(&stage.scheduled()), &context).await.unwrap()));
    assert_eq!(late.why, "the function's time did not suffice");
    // Delivered again before the task has begun.
    let again = handed(stage.deliver(Runner::Auto, Ok(None)).await.unwrap());
    assert_eq!((&again.task, again.why.as_str()), (&late.task, "the attempt before did not succeed"));
    assert_eq!(stage.deliver(Runner::Auto, Ok(Some(60.0))).await.unwrap(), None, "what is short is tried here again");
}

#[tokio::test]
async fn a_request_without_a_time_is_one_task_for_one_invocation() {
    let (stage, context) = (Stage::new(), context().build());
    for (id, tasks) in [("a", 1), ("a", 1), ("b", 2)] {
        let setup = stage.setup(TASK, id);
        let handing = Handing::of(&setup, "restore", &stage.database, Runner::Fargate).unwrap().unwrap();
        handed(handing.before(None, async { Ok(None) }, &context).await.unwrap());
        assert_eq!(stage.tasks.started().len(), tasks, "{id}");
    }
}

#[tokio::test]
async fn the_task_of_a_request_is_given_its_id_and_a_scheduled_run_comes_under_several() {
    let (stage, context) = (Stage::new(), context().build());
    let setup = stage.setup(TASK, "8f0a-1");
    let handing = Handing::of(&setup, "restore", &stage.database, Runner::Fargate).unwrap().unwrap();
    let run = stage.of_request(SignedDuration::from_mins(15));
    for run in [Some(&run), None] {
        handed(handing.before(run, async { Ok(None) }, &context).await.unwrap());
        let given = stage.tasks.started().pop().unwrap().variables;
        assert!(given.contains(&("LIFEBOAT_REQUEST_ID".to_owned(), "8f0a-1".to_owned())), "{given:?}");
    }
    handed(handing.before(Some(&stage.scheduled()), async { Ok(None) }, &context).await.unwrap());
    let given = stage.tasks.started().pop().unwrap().variables;
    assert_eq!(given, [("LIFEBOAT_REQUEST".to_owned(), NIGHTLY.to_owned())]);
}

#[tokio::test]
async fn a_request_that_its_task_carries_out_or_has_carried_out_is_no_further_task() {
    let stage = Stage::new();
    let long = context().run(7).clock(stage.clock.clone()).build();
    let (setup, context) = (stage.setup(TASK, "8f0a-1"), context().clock(stage.clock.clone()).build());
    let handing = Handing::of(&setup, "restore", &stage.database, Runner::Auto).unwrap().unwrap();
    let deliver = async || {
        // What would take it for something to be done right here.
        let unknown = async { Err(Error::new(ErrorKind::Corrupt, "the last report")) };
        handing.before::<u32>(Some(&stage.of_request(SignedDuration::from_mins(15))), unknown, &context).await.unwrap()
    };
    let task = stage.of_request(SignedDuration::from_hours(12));
    let carried_out = task.once(&long, async {
        stage.clock.advance(SignedDuration::from_hours(11));
        assert_eq!(deliver().await, Some(Answer::AlreadyRunning));
        Ok(crate::telling::Told::nothing(7))
    });
    assert_eq!(Box::pin(carried_out).await.unwrap().answer, Answer::Done(7));
    stage.clock.advance(SignedDuration::from_hours(11));
    assert_eq!(deliver().await, Some(Answer::AlreadyDone { earlier: serde_json::json!(7) }));
    assert_eq!(stage.tasks.started(), []);
}

#[tokio::test]
async fn the_same_time_in_other_words_is_a_task_of_its_own_and_no_conflict() {
    let (stage, context) = (Stage::new(), context().build());
    for (request, tasks) in [(NIGHTLY, 1), (r#"{"database":"orders","scheduled_at":"2026-11-20T02:00:00+00:00"}"#, 2)] {
        let setup = stage.setup_of(TASK, "r", request);
        let handing = Handing::of(&setup, "dump", &stage.database, Runner::Fargate).unwrap().unwrap();
        handed(handing.before(Some(&stage.scheduled()), async { Ok(None) }, &context).await.unwrap());
        assert_eq!(stage.tasks.started().len(), tasks);
    }
}

#[tokio::test]
async fn a_task_that_ended_before_it_claimed_its_run_is_another_at_the_next_delivery() {
    let stage = Stage::new();
    let first = handed(stage.deliver(Runner::Fargate, Ok(None)).await.unwrap());
    stage.tasks.end_the_last();
    let second = handed(stage.deliver(Runner::Fargate, Ok(None)).await.unwrap());
    assert_ne!(first.task, second.task);
    assert_eq!(handed(stage.deliver(Runner::Fargate, Ok(None)).await.unwrap()), second);
}

#[tokio::test]
async fn a_task_that_cannot_be_started_is_an_error_that_says_what_could_not_be_handed_over() {
    let stage = Stage::new();
    stage.tasks.fill();
    let error = stage.deliver(Runner::Fargate, Ok(None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("hand the dump of orders over") && error.to_string().contains("RESOURCE"));
    let setup = stage.setup("{}", "r");
    let error = Handing::of(&setup, "dump", &stage.database, Runner::Auto).err().unwrap();
    assert!(error.to_string().contains("LIFEBOAT_TASK") && error.kind() == ErrorKind::Config, "{error}");
}

#[test]
fn a_task_hands_nothing_over() {
    let environment = Environment::of([("LIFEBOAT_STORE", "file:///none"), ("LIFEBOAT_TASK", TASK)]);
    let setup = Setup::of_function(environment, "dump", Arc::default()).unwrap();
    let setup = setup.of_invocation(invoked(Host::Task, "r", NIGHTLY));
    assert!(Handing::of(&setup, "dump", &"orders".parse().unwrap(), Runner::Fargate).unwrap().is_none());
}
