//! Instances that AWS Backup made: lent, never removed, and reported back once.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    config::Span,
    drill::{
        Origin,
        steps::{self, DrillState, Ended, Reported, Step, Validation, ValidationPorts},
    },
    ids::DatabaseSlug,
    ports::{RestoreTests, ValidationStatus},
    report::Verdict,
};
use lifeboat_testkit::{BackupBuilder, RdsCall};

use crate::machine::{EXECUTION, Mishap, World};

const INSTANCE: &str = "awsbackup-restore-test-1a2b";
const JOB: &str = "0B2C4A5E-7D3F";
const TAG: (&str, &str) = ("awsbackup-restore-test", "job");

fn origin() -> Origin {
    let instance = format!("arn:aws:rds:us-east-1:000000000000:db:{INSTANCE}");
    Origin::Adopt { instance, restore_job: JOB.to_owned() }
}

/// AWS Backup, which takes one word on each job.
#[derive(Default)]
struct Told {
    words: Mutex<Vec<(String, ValidationStatus, String)>>,
    refuses: AtomicBool,
}

#[async_trait]
impl RestoreTests for Told {
    async fn recovery_point_at(&self, _: &str) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    async fn validated(&self, restore_job: &str, status: ValidationStatus, message: &str) -> Result<()> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Store, "AWS Backup was told to refuse"));
        }
        let mut words = self.words.lock().unwrap();
        assert!(words.iter().all(|(job, _, _)| job != restore_job), "told twice");
        words.push((restore_job.to_owned(), status, message.to_owned()));
        Ok(())
    }
}

fn orders() -> DatabaseSlug {
    "orders".parse().unwrap()
}

async fn begun(world: &World) -> DrillState {
    world.begin_of(origin(), EXECUTION).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_instance_that_is_lent_is_given_a_password_and_outlives_the_drill() {
    let (world, _) = World::with_backup().await;
    world.instances.make(INSTANCE, &[TAG]);
    let state = begun(&world).await;
    assert!(state.adopted && state.thawed, "{state:?}");
    let executed = world.execute(state, Mishap::Twice).await;
    let report = executed.outcome.unwrap().report;
    assert_eq!(executed.state.instance_id.as_deref(), Some(INSTANCE));
    assert!(report.reasons[0].contains("phase restore failed: connect to scratch.example"), "{:?}", report.reasons);
    assert!(report.closure.torn_down, "{:?}", report.closure);
    let proof = report.closure.tear_down_proof.value.unwrap();
    assert!(proof.contains(INSTANCE) && proof.contains("is AWS Backup's"), "{proof}");
    assert_eq!(report.origin.unwrap().id, JOB);
    for (call, times) in [(RdsCall::Create, 0), (RdsCall::Delete, 0)] {
        assert_eq!(world.instances.count(call), times, "{call:?}");
    }
    let taken_over = world.instances.taken_over();
    assert!(!taken_over.is_empty() && taken_over.iter().all(|(id, lent)| id == INSTANCE && *lent), "{taken_over:?}");
    assert_eq!(world.instances.there().len(), 1);
    assert!(world.reap().await.is_empty(), "health knows nothing of it");
}

#[tokio::test]
async fn an_instance_that_nobody_lent_is_refused_and_one_that_is_gone_is_missed() {
    let (world, _) = World::with_backup().await;
    world.instances.make(INSTANCE, &[("lifeboat:scratch", "true")]);
    let executed = world.execute(begun(&world).await, Mishap::None).await;
    assert_eq!(executed.state.failed_in.as_deref(), Some("provision"));
    assert_eq!(executed.state.error.unwrap().error, "refused");
    assert_eq!((world.instances.count(RdsCall::TakeOver), world.instances.count(RdsCall::Delete)), (0, 0));

    let (world, _) = World::with_backup().await;
    let executed = world.execute(begun(&world).await, Mishap::None).await;
    let report = executed.outcome.unwrap().report;
    assert!(report.reasons[0].contains("is gone before it was used"), "{:?}", report.reasons);
    assert!(report.origin.is_some(), "a drill of a restore test counts for no backup, however it ends");
}

#[tokio::test]
async fn of_two_events_of_one_restore_job_one_drills() {
    let (world, _) = World::with_backup().await;
    assert!(world.begin_of(origin(), "arn:one").await.unwrap().is_some());
    assert!(world.begin_of(origin(), "arn:two").await.unwrap().is_none());
    let other = Origin::Adopt { instance: INSTANCE.to_owned(), restore_job: "another".to_owned() };
    assert!(world.begin_of(other, "arn:three").await.unwrap().is_some());
    let odd = Origin::Adopt { instance: INSTANCE.to_owned(), restore_job: "../another".to_owned() };
    assert_eq!(world.begin_of(odd, "arn:four").await.unwrap_err().kind(), ErrorKind::Usage);
}

#[tokio::test]
async fn a_restore_test_is_compared_with_the_backup_nearest_to_its_recovery_point() {
    for (recovery_point, nearest) in [(None, 1), (Some("2026-11-11T02:00:00Z"), 0), (Some("2026-11-18T02:00:00Z"), 1)] {
        let (mut world, older) = World::with_backup().await;
        let newer = BackupBuilder::new("orders", "2026-11-19T02:00:00Z").store_verified(&world.store).await.unwrap();
        world.recovery_point = recovery_point.map(|at| at.parse().unwrap());
        world.instances.make(INSTANCE, &[TAG]);
        let executed = world.execute(begun(&world).await, Mishap::Twice).await;
        let report = executed.outcome.unwrap().report;
        assert_eq!(report.backup.backup_id, [older, newer][nearest].backup_id, "{recovery_point:?}");
        assert_eq!(report.origin.unwrap().taken_at, world.recovery_point);
        // An old recovery point was chosen by AWS Backup: there may be newer ones.
        assert_eq!(report.rpo.actual_seconds.value, None);
    }
}

#[tokio::test]
async fn only_the_execution_that_has_the_restore_job_tells_of_it() {
    let (world, _) = World::with_backup().await;
    world.instances.make(INSTANCE, &[TAG]);
    begun(&world).await;
    let told = Arc::new(Told::default());
    let ports = ValidationPorts { control: world.control().control, tests: Arc::clone(&told) as _ };
    let reported =
        |outcome| Reported { verdict: Some(Verdict::Failed), outcome: Some(outcome), error: None, found_wrong: false };
    let wanted = Validation::of(JOB, reported("its function was killed before it could look"));
    // The second event's execution, which came to nothing.
    for run in [70, 71] {
        let context = world.context(run);
        assert_eq!(steps::validation(&ports, &orders(), "arn:two", wanted.clone(), &context).await.unwrap(), None);
        assert_eq!(steps::tell(&ports, &orders(), "arn:two", wanted.clone(), &context).await.unwrap(), None);
    }
    assert!(told.words.lock().unwrap().is_empty());
    let whole =
        Reported { verdict: Some(Verdict::Passed), outcome: Some("as it should be"), error: None, found_wrong: false };
    let passed = Validation::of(JOB, whole);
    let said = steps::validation(&ports, &orders(), EXECUTION, passed.clone(), &world.context(72)).await.unwrap();
    assert_eq!(said, Some(passed));

    // Where nobody has it, whoever tells takes it: AWS Backup removes the instance, and there is nothing left to drill.
    let other = Validation::of("another", reported("there is no backup"));
    assert_eq!(
        steps::tell(&ports, &orders(), "arn:three", other.clone(), &world.context(73)).await.unwrap(),
        Some(other)
    );
    let late = Origin::Adopt { instance: INSTANCE.to_owned(), restore_job: "another".to_owned() };
    assert!(world.begin_of(late, "arn:four").await.unwrap().is_none());
    assert_eq!(told.words.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn aws_backup_is_told_once_and_what_was_to_be_told_first_holds() {
    let (mut world, _) = World::with_backup().await;
    world.config.times.available_within = Span(60);
    world.instances.make(INSTANCE, &[TAG]);
    world.instances.hold();
    let state = world.execute(begun(&world).await, Mishap::None).await.state;
    let error = state.error.as_ref().map(|caught| caught.error.as_str());
    assert_eq!((state.verdict, error), (Some(Verdict::Failed), Some("deadline")));
    let reported =
        Reported { verdict: state.verdict, outcome: Some("it was not available"), error, found_wrong: false };
    let wanted = Validation::of(JOB, reported);

    let told = Arc::new(Told::default());
    let ports = ValidationPorts { control: world.control().control, tests: Arc::clone(&told) as _ };
    let tell = |validation: Validation, run| {
        let (ports, context) = (ports.clone(), world.context(run));
        async move { steps::validation(&ports, &orders(), EXECUTION, validation, &context).await }
    };
    told.refuses.store(true, Ordering::SeqCst);
    assert!(tell(wanted.clone(), 70).await.is_err());
    told.refuses.store(false, Ordering::SeqCst);

    // The execution failed by that; who cleans up has a verdict of its own, which comes second.
    let ended = Ended {
        database: orders(),
        execution: EXECUTION.to_owned(),
        status: "FAILED".to_owned(),
        cause: Some("AWS Backup was told to refuse".to_owned()),
        restore_job: Some(JOB.to_owned()),
    };
    let ending = steps::ended(&world.control(), &ended, &world.context(80)).await.unwrap();
    assert!(ending.removed.is_empty() && ending.remaining.is_empty(), "{ending:?}");
    let of_the_end = ending.validation.unwrap();
    assert_eq!(of_the_end.status, ValidationStatus::Failed);
    let last = ending.reasons.last().unwrap();
    assert_eq!(last, "the execution of the drill failed in phase validation: AWS Backup was told to refuse");
    for run in [90, 91] {
        assert_eq!(tell(of_the_end.clone(), run).await.unwrap(), Some(wanted.clone()));
    }
    let words = told.words.lock().unwrap().clone();
    assert_eq!(words, [(JOB.to_owned(), ValidationStatus::TimedOut, "it was not available".to_owned())]);
    let step = steps::control(Step::Validation, &world.control(), state, &world.context(92)).await;
    assert_eq!(step.unwrap_err().kind(), ErrorKind::Usage, "it is no step on RDS");
}
