//! The state machine of docs/ARCHITECTURE.md in a few lines: what it does with steps, their answers and their failures.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{
    Error, ErrorKind, Result,
    config::RdsScratch,
    drill::{
        DrillOutcome, DrillRequest, LeftInstances, Origin, Selection,
        steps::{self, Asked, Caught, ControlPorts, DataPorts, DrillState, Step},
    },
    ids::RunId,
    manifest::{Manifest, SourceFacts},
    ports::{
        Clock, InstanceAddress, InstanceDatabases, Inventory, InventoryItem, Removal, RestoreTests, RunContext,
        ScratchReaper, Store, Target, ToolMessage, ValidationStatus,
    },
    report::{DataEvidence, LargeObjectEvidence, SchemaEvidence, TableEvidence},
};
use lifeboat_testkit::{BackupBuilder, FixedEntropy, ManualClock, MemoryInstances, MemoryStore, context};

pub(crate) const EXECUTION: &str = "arn:aws:states:us-east-1:000000000000:execution:lifeboat-drill:one";

/// No restore succeeds in these instances.
struct OutOfReach;

#[async_trait]
impl InstanceDatabases for OutOfReach {
    async fn prepare(
        &self,
        address: &InstanceAddress,
        _: &str,
        _: &SourceFacts,
        _: &[u8],
        _: &RunContext,
    ) -> Result<Vec<ToolMessage>> {
        Err(Error::new(ErrorKind::Database, format!("connect to {}: refused", address.host)))
    }

    async fn open(&self, address: &InstanceAddress, _: &str) -> Result<Arc<dyn Target>> {
        Err(Error::new(ErrorKind::Database, format!("connect to {}: refused", address.host)))
    }
}

/// AWS Backup, of which is known at most from when a recovery point is.
struct RecoveryPoint(Option<Timestamp>);

#[async_trait]
impl RestoreTests for RecoveryPoint {
    async fn validated(&self, restore_job: &str, _: ValidationStatus, _: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Usage, format!("no step on RDS tells what {restore_job} came to")))
    }

    async fn recovery_point_at(&self, _: &str) -> Result<Option<Timestamp>> {
        Ok(self.0)
    }
}

/// What happens to a step besides what it does itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Nothing.
    None,
    /// Its function is killed before it has done anything.
    KilledBefore(Step),
    /// It is killed when it has done everything but answer.
    KilledAfter(Step),
    /// Every step is delivered twice.
    Twice,
    /// The machine is stopped there: nothing else is called.
    Aborted(Step),
}

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) control: MemoryStore,
    pub(crate) instances: MemoryInstances,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) config: RdsScratch,
    pub(crate) recovery_point: Option<Timestamp>,
    entropy: Arc<FixedEntropy>,
}

/// How an execution ended.
pub(crate) struct Executed {
    pub(crate) state: DrillState,
    pub(crate) outcome: Option<DrillOutcome>,
    pub(crate) called: Vec<Step>,
}

impl World {
    pub(crate) async fn with_backup() -> (Self, Manifest) {
        let world = Self {
            store: MemoryStore::new(Removal::TagForLifecycle),
            control: MemoryStore::new(Removal::Delete),
            instances: MemoryInstances::default(),
            clock: Arc::new(ManualClock::at("2026-11-20T12:00:00Z")),
            config: RdsScratch::of_class("db.t4g.medium"),
            recovery_point: None,
            entropy: Arc::new(FixedEntropy::default()),
        };
        let manifest = BackupBuilder::new("orders", "2026-11-10T02:00:00Z").store_verified(&world.store).await.unwrap();
        (world, manifest)
    }

    pub(crate) fn context(&self, run: u64) -> RunContext {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        RunContext { run_id: RunId::new(run), ..context().clock(clock).entropy(Arc::clone(&self.entropy) as _).build() }
    }

    pub(crate) fn data(&self) -> DataPorts {
        DataPorts {
            identities: Arc::default(),
            store: Arc::new(self.store.clone()),
            control: Arc::new(self.control.clone()),
            databases: Arc::new(OutOfReach),
        }
    }

    pub(crate) fn control(&self) -> ControlPorts {
        ControlPorts {
            control: Arc::new(self.control.clone()),
            store: Arc::new(self.store.clone()),
            instances: Arc::new(self.instances.clone()),
            tests: Arc::new(RecoveryPoint(self.recovery_point)),
            config: self.config.clone(),
            prefix: "lifeboat".to_owned(),
        }
    }

    pub(crate) fn asked(execution: &str) -> Asked {
        Asked {
            request: request(),
            scheduled_at: Some("2026-11-20T04:00:00Z".parse().unwrap()),
            execution: execution.to_owned(),
            runner: lifeboat_core::runner::Runner::Lambda,
        }
    }

    pub(crate) async fn begin(&self) -> Result<Option<DrillState>> {
        steps::select(&self.data(), &Self::asked(EXECUTION), &self.context(1)).await
    }

    /// The same of a drill of something else than a backup.
    pub(crate) async fn begin_of(&self, origin: Origin, execution: &str) -> Result<Option<DrillState>> {
        let request = DrillRequest { origin: Some(origin), selection: Selection::Latest, ..request() };
        let asked = Asked { request, scheduled_at: None, ..Self::asked(execution) };
        steps::select(&self.data(), &asked, &self.context(1)).await
    }

    async fn once(&self, step: Step, state: DrillState, run: u64) -> Result<DrillState> {
        let context = self.context(run);
        if step.controls() {
            steps::control(step, &self.control(), state, &context).await
        } else {
            steps::data(step, &self.data(), &request_of(&state), state, &context).await
        }
    }

    /// Puts on record what a step is to have found.
    pub(crate) async fn record(&self, state: &DrillState, name: &str, found: &serde_json::Value) {
        let key = format!("drills/orders/{}/{name}.json", state.drill_id);
        self.control.put_new(&key, found.to_string().into(), &RunId::new(4)).await.unwrap();
    }

    /// Runs the machine from the state after `select` to its end.
    pub(crate) async fn execute(&self, state: DrillState, mishap: Mishap) -> Executed {
        let first = if state.thawed { Step::Provision } else { Step::Thaw };
        self.execute_from(first, state, mishap).await
    }

    /// The state with an instance that is available.
    pub(crate) async fn available(&self) -> DrillState {
        let mut state = self.begin().await.unwrap().unwrap();
        state = self.once(Step::Provision, state, 5).await.unwrap();
        while !state.available {
            state = self.once(Step::Await, state, 6).await.unwrap();
        }
        state
    }

    /// Runs the machine from a step to its end.
    pub(crate) async fn execute_from(&self, first: Step, mut state: DrillState, mishap: Mishap) -> Executed {
        let mut called = vec![Step::Select];
        let mut next = first;
        let mut run = 10;
        loop {
            self.clock.advance(SignedDuration::from_secs(20));
            run += 10;
            called.push(next);
            assert!(called.len() < 500, "the machine does not end: {called:?}");
            if mishap == Mishap::Aborted(next) {
                return Executed { state, outcome: None, called };
            }
            if next == Step::Report {
                if mishap == Mishap::Twice {
                    steps::report(&self.data(), &request_of(&state), &state, &self.context(run + 1)).await.unwrap();
                }
                let outcome =
                    steps::report(&self.data(), &request_of(&state), &state, &self.context(run)).await.unwrap();
                state.verdict = Some(outcome.report.verdict);
                return Executed { state, outcome: Some(outcome), called };
            }
            let killed = Error::new(ErrorKind::Unexpected, "Lambda.Unknown");
            let answer = match mishap {
                Mishap::KilledBefore(step) if step == next => Err(killed),
                Mishap::KilledAfter(step) if step == next => {
                    drop(self.once(next, state.clone(), run).await);
                    Err(killed)
                }
                Mishap::Twice => {
                    let first = self.once(next, state.clone(), run).await;
                    let second = self.once(next, state.clone(), run + 1).await;
                    assert_eq!(first.is_ok(), second.is_ok(), "{next}: {second:?}");
                    second
                }
                _ => self.once(next, state.clone(), run).await,
            };
            let goes_on = match answer {
                Ok(answer) => {
                    state = answer;
                    true
                }
                Err(error) => {
                    let (name, cause) = match error.to_string().as_str() {
                        "Lambda.Unknown" => {
                            ("Lambda.Unknown", "RequestId: 1 Process exited before completing request".to_owned())
                        }
                        message => (error.kind().name(), serde_json::json!({ "errorMessage": message }).to_string()),
                    };
                    let caught = Some(Caught { error: name.to_owned(), cause });
                    let failed_in = Some(next.name().to_owned());
                    if matches!(next, Step::TearDown | Step::Gone) {
                        (state.removal_error, state.removal_failed_in) = (caught, failed_in);
                    } else {
                        (state.error, state.failed_in) = (caught, failed_in);
                    }
                    false
                }
            };
            next = following(next, &state, goes_on);
            self.clock.advance(SignedDuration::from_secs(i64::try_from(state.wait_seconds).unwrap()));
        }
    }

    /// What health finds past its time, and removes.
    pub(crate) async fn reap(&self) -> Vec<String> {
        let reaper = LeftInstances {
            instances: Arc::new(self.instances.clone()),
            deployment: "lifeboat".to_owned(),
            database: "orders".parse().unwrap(),
            others: std::collections::BTreeSet::new(),
        };
        let mut names = Vec::new();
        for left in reaper.left().await.unwrap() {
            if left.expires_at.unwrap() < self.clock.now() {
                reaper.remove(&left).await.unwrap();
                names.push(left.name);
            }
        }
        names
    }
}

/// Where the machine goes after a step.
fn following(step: Step, state: &DrillState, goes_on: bool) -> Step {
    match (step, goes_on) {
        (Step::Thaw | Step::TearDown | Step::Gone, false) => Step::Report,
        (_, false) | (Step::NegativeControl, true) => Step::TearDown,
        (Step::Thaw, true) if state.thawed => Step::Provision,
        (Step::Provision | Step::Await, true) if state.available => Step::Restore,
        (Step::Provision | Step::Await, true) => Step::Await,
        (Step::Restore, true) => Step::Compare,
        (Step::Compare, true) => Step::Checks,
        (Step::Checks, true) => Step::NegativeControl,
        (Step::TearDown | Step::Gone, true) if state.gone => Step::Report,
        (Step::TearDown | Step::Gone, true) => Step::Gone,
        (step, true) => step,
    }
}

fn request_of(state: &DrillState) -> DrillRequest {
    DrillRequest { origin: state.origin.clone(), ..request() }
}

pub(crate) fn request() -> DrillRequest {
    DrillRequest {
        database: "orders".parse().unwrap(),
        selection: Selection::Rotate,
        checks: Vec::new(),
        rpo_seconds: None,
        rto_seconds: None,
        jobs: 1,
        trigger: "schedule".to_owned(),
        operator: None,
        thaw_within: Some(48 * 3600),
        origin: None,
    }
}

/// What compare finds of a table that lost a row and a trigger that is not there.
pub(crate) fn differing() -> serde_json::Value {
    let trigger = InventoryItem {
        kind: "trigger".to_owned(),
        name: "shop.customers.touch".to_owned(),
        state: "enabled=O".to_owned(),
    };
    let schema = SchemaEvidence::compare(&Inventory { items: vec![trigger] }, &Inventory::default());
    let table = TableEvidence::compared("shop.orders", (3, "a".to_owned()), (2, "b".to_owned()));
    let data = DataEvidence::new(vec![table], LargeObjectEvidence::default());
    serde_json::json!({ "schema": schema, "data": data })
}

/// Whether a store holds a key that ends like this.
pub(crate) async fn holds(store: &MemoryStore, end: &str) -> bool {
    store.list("").await.unwrap().iter().any(|object| object.key.ends_with(end))
}
