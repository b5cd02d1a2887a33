//! The state machine in a few lines: which step follows which, what is waited for, what is caught.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lifeboat_tests::{
    StoreUnderTest, emulator::Invoked, rds, stack::on_localstack, stores::localstack, tasks::Container,
};
use serde_json::{Value, json};

use super::super::emulator::Functions;
use crate::shared::fifteen;

/// An instance is made, and goes, within seconds here.
const LONGEST: Duration = Duration::from_mins(4);

/// One database, one store, and the function that drills it.
pub(super) struct Machine {
    functions: Functions,
    pub(super) execution: String,
    /// What a task of the drill is given, beside its request.
    environment: Vec<(String, String)>,
}

/// What the function told of drills, in a store that is a folder.
pub(super) fn told(store: &StoreUnderTest) -> Result<Vec<Value>> {
    let folder = store.path().context("a folder")?.join(".control/undelivered");
    let mut events = Vec::new();
    for file in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let kept: Value = serde_json::from_str(&fs::read_to_string(file?.path())?)?;
        events.extend(kept["events"].as_array().into_iter().flatten().cloned());
    }
    Ok(events)
}

/// The one event that the function told of this drill.
pub(super) fn told_of(store: &StoreUnderTest, state: &Value) -> Result<Value> {
    let mut events = told(store)?;
    events.retain(|event| event["drill_id"] == state["drill_id"]);
    ensure!(events.len() == 1, "told once: {events:#?}");
    events.pop().context("an event")
}

/// How an execution ended.
pub(super) struct Executed {
    /// The last state.
    pub(super) state: Value,
    /// The steps, in order; those that look again only once.
    pub(super) steps: Vec<String>,
}

impl Machine {
    /// The functions of a database, called like it in the configuration, so that its instances begin with a name of their own.
    pub(super) fn start(store: &StoreUnderTest, slug: &str, database: &str, rds_keys: &str) -> Result<Self> {
        Self::start_on(store, slug, database, &fifteen()?.url(database), rds_keys)
    }

    /// The same with another server as the source.
    pub(super) fn start_on(
        store: &StoreUnderTest,
        slug: &str,
        database: &str,
        url: &str,
        rds_keys: &str,
    ) -> Result<Self> {
        let mut functions = Functions::start(store, database)?;
        functions.write(
            "lifeboat.toml",
            &format!(
                "[databases.{slug}]\nurl = {{ env = \"ORDERS_URL\" }}\nrto = \"30m\"\n\n[databases.{slug}.drill]\n\
                 scratch = {{ rds = {{ class = \"db.t4g.medium\", look_every = \"1s\", {rds_keys} }} }}\n\
                 checks = [{{ name = \"there are customers\", sql = \"SELECT count(*) > 0 FROM shop.customers\" }}]\n"
            ),
        )?;
        let endpoint = &localstack()?.endpoint;
        let mut further = on_localstack(endpoint);
        further.extend([rds::on_rds()?, rds::on_backup()?]);
        // Secrets lie in LocalStack, which takes any credentials; a store that checks them brings its own.
        for (name, value) in [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")] {
            if !store.environment().iter().any(|(known, _)| *known == name) {
                further.push((name.to_owned(), value.to_owned()));
            }
        }
        let further: Vec<(&str, &str)> = further.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        functions.serve("dump", 1, &[("ORDERS_URL", url)])?;
        functions.serve("health", 1, &further)?;
        // Nobody is at the bus: what there is to tell is kept in the control store, where tests find it.
        let telling = [("LIFEBOAT_EVENT_BUS", "lifeboat"), ("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:1")];
        let further = [further.as_slice(), &telling].concat();
        functions.serve("drill", 1, &further)?;
        let given = further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = functions.environment().iter().cloned().chain(given).collect();
        let execution = format!("arn:aws:states:us-east-1:000000000000:execution:lifeboat-drill:{slug}");
        Ok(Self { functions, execution, environment })
    }

    /// Says in the configuration what restores and compares.
    pub(super) fn run_on(&self, runner: &str) -> Result<()> {
        let file = self.environment.iter().find(|(name, _)| name == "LIFEBOAT_CONFIG").context("the configuration")?;
        let toml = fs::read_to_string(&file.1)?.replace("rto =", &format!("runner = \"{runner}\"\nrto ="));
        self.functions.write("lifeboat.toml", &toml)
    }

    pub(super) fn dump(&self, slug: &str) -> Result<Value> {
        self.functions.invoke_made_up("dump", &json!({ "database": slug }).to_string())?.answer()
    }

    pub(super) fn health(&self, slug: &str) -> Result<Value> {
        self.functions.invoke_made_up("health", &json!({ "database": slug }).to_string())?.answer()
    }

    fn invoke(&self, payload: &Value) -> Result<Invoked> {
        self.functions.invoke_made_up("drill", &payload.to_string())
    }

    /// A step by a task, where the state says that restore and compare are ones: nothing of it comes into the state.
    fn step_as_task(&self, step: &str, state: &Value) -> Result<Result<Value, String>> {
        let request = json!({ "step": step, "state": state }).to_string();
        let environment = self.environment.iter().cloned().chain([("LIFEBOAT_REQUEST".to_owned(), request)]).collect();
        let ended = Container { command: vec!["drill".to_owned()], environment }.run()?;
        Ok(if ended.code == 0 { Ok(state.clone()) } else { Err(format!("Error: States.TaskFailed {}", ended.stdout)) })
    }

    /// A step's answer, or Lambda's error as the machine catches it.
    pub(super) fn step(&self, step: &str, state: &Value) -> Result<Result<Value, String>> {
        if state["runner"] == "fargate" && ["restore", "compare"].contains(&step) {
            return self.step_as_task(step, state);
        }
        Ok(match self.invoke(&json!({ "step": step, "state": state }))? {
            Invoked::Answer(state) => Ok(state),
            Invoked::Error(error) => Err(error),
        })
    }

    /// The end of an execution that did not come to its own.
    pub(super) fn ended(&self, slug: &str, status: &str) -> Result<Value> {
        self.ended_as(&self.execution, &json!({ "database": slug }), status)
    }

    /// The same of an execution that was started with this.
    pub(super) fn ended_as(&self, execution: &str, input: &Value, status: &str) -> Result<Value> {
        let input = input.to_string();
        let detail =
            json!({ "executionArn": execution, "status": status, "input": input, "cause": "stopped by a test" });
        let kind = "Step Functions Execution Status Change";
        self.invoke(&json!({ "detail-type": kind, "source": "aws.states", "detail": detail }))?.answer()
    }

    pub(super) fn select(&self, slug: &str, select: &str) -> Result<Value> {
        let request = json!({ "database": slug, "select": select, "scheduled_at": "2026-12-06T04:00:00Z" });
        self.invoke(&json!({ "step": "select", "request": request, "execution": self.execution }))?.answer()
    }

    /// The last step of a drill of an instance that AWS Backup made, or its error.
    pub(super) fn validate(&self, state: &Value, execution: &str) -> Result<Result<Value, String>> {
        Ok(match self.invoke(&json!({ "step": "validation", "state": state, "execution": execution }))? {
            Invoked::Answer(state) => Ok(state),
            Invoked::Error(error) => Err(error),
        })
    }

    /// The first state of a drill of something else than a backup.
    pub(super) fn select_origin(&self, slug: &str, origin: &Value) -> Result<Value> {
        let request = json!({ "database": slug, "origin": origin });
        let execution = format!("{}-{origin}", self.execution);
        self.invoke(&json!({ "step": "select", "request": request, "execution": execution }))?.answer()
    }

    /// Runs to the end.
    pub(super) fn execute(&self, slug: &str, select: &str) -> Result<Executed> {
        let state = self.select(slug, select)?;
        self.execute_from("provision", state, None)
    }

    /// Runs from a step on, to the end or up to another step.
    pub(super) fn execute_from(&self, from: &str, mut state: Value, until: Option<&str>) -> Result<Executed> {
        let began = Instant::now();
        let mut steps: Vec<String> = Vec::new();
        let mut next = from.to_owned();
        loop {
            ensure!(began.elapsed() < LONGEST, "the drill does not end: {steps:?} {state:#}");
            if steps.last() != Some(&next) {
                steps.push(next.clone());
            }
            let goes_on = match self.step(&next, &state)? {
                Ok(answer) => {
                    state = answer;
                    true
                }
                Err(error) => {
                    // `Error: <kind> <message>`, as the terminal shows it.
                    let mut words = error.split_whitespace().skip(1);
                    let kind = words.next().context("the error's kind")?.to_owned();
                    let message = words.collect::<Vec<_>>().join(" ");
                    // As infra/lib/drill-machine.ts notes them.
                    let (caught, failed_in) = match next.as_str() {
                        "tear-down" | "gone" => ("removal_error", "removal_failed_in"),
                        _ => ("error", "failed_in"),
                    };
                    state[caught] = json!({ "Error": kind, "Cause": json!({ "errorMessage": message }).to_string() });
                    state[failed_in] = json!(next);
                    if next == "report" {
                        bail!("the report failed: {error}");
                    }
                    false
                }
            };
            if next == "report" {
                return Ok(Executed { state, steps });
            }
            next = following(&next, &state, goes_on).to_owned();
            if until == Some(next.as_str()) {
                return Ok(Executed { state, steps });
            }
        }
    }
}

fn following(step: &str, state: &Value, goes_on: bool) -> &'static str {
    match (step, goes_on) {
        ("tear-down" | "gone", false) => "report",
        (_, false) | ("negative-control", true) => "tear-down",
        ("provision" | "await", true) if state["available"] == true => "restore",
        ("provision" | "await", true) => "await",
        ("restore", true) => "compare",
        ("compare", true) => "checks",
        ("checks", true) => "negative-control",
        (_, true) if state["gone"] == true => "report",
        (_, true) => "gone",
    }
}
