//! The adapter of functions: decode, run, encode; a deadline that leaves time to clean up; errors with their kind.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use lifeboat_core::{
    Error, ErrorKind, Result, cancel,
    config::Span,
    ids::{DatabaseSlug, RunId},
    ports::{Clock, Entropy, Progress, RunContext},
    runner::{CLEANING_UP, FUNCTION_LIMIT, LONGEST_TASK},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    clock::{SystemClock, SystemEntropy},
    deadline::{self, Alarm},
    environment::Environment,
    functions,
    handing_over::{Invoked, REQUEST},
    metrics,
    secrets::Kept,
    setup::Setup,
    stop, task, telemetry,
};

/// Serves invocations of one function until the process is ended; or, as a task that was started for one request, does this
/// one and ends the process with the error's exit code.
pub async fn serve<Q, A, F, R>(operation: &'static str, run: F) -> std::result::Result<(), lambda_runtime::Error>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Fn(Arc<Setup>, Q, RunContext) -> R,
    R: Future<Output = Result<A>>,
{
    let environment = Environment::of_process();
    telemetry::for_functions(&environment);
    if environment.raw(REQUEST).is_some() {
        std::process::exit(i32::from(Box::pin(task::run(operation, environment, &run)).await));
    }
    let (environment, kept, run) = (&environment, &Arc::new(Kept::default()), &run);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let invocation = Invocation {
            deadline: event.context.deadline(),
            request_id: event.context.request_id,
            payload: event.payload,
            host: Host::Lambda,
        };
        invoke(operation, environment, kept, invocation, run).await.map_err(|e| diagnose(&e))
    }))
    .await
}

/// What runs the program of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Lambda, for a quarter of an hour at most: what takes longer may be handed over to a task.
    Lambda,
    /// A container that was started for this request, and is stopped by a signal.
    Task,
}

/// What the runtime gives with one invocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// When it ends; a time of long ago where the runtime names none.
    pub deadline: SystemTime,
    /// As AWS names it: the same when it is delivered again. Of a task, that of the function which handed the run over; empty
    /// where none did, and where the run is its scheduled time's.
    pub request_id: String,
    /// The request, or the event that stands for one.
    pub payload: Value,
    /// What runs it.
    pub host: Host,
}

/// One invocation: its payload is decoded, and the answer encoded. `kept` is the process's.
pub async fn invoke<Q, A, F, R>(
    operation: &'static str,
    environment: &Environment,
    kept: &Arc<Kept>,
    invocation: Invocation,
    run: &F,
) -> Result<Value>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Fn(Arc<Setup>, Q, RunContext) -> R,
    R: Future<Output = Result<A>>,
{
    let (clock, run_id) = (SystemClock::default(), RunId::new(SystemEntropy.next()));
    let _running = telemetry::begin(telemetry::Run {
        operation: operation.to_owned(),
        run_id: run_id.to_string(),
        database: database_of(&invocation.payload),
        request_id: invocation.request_id.clone(),
    });
    tracing::info!("the run begins");
    let setup = Setup::of_function(environment.clone(), operation, Arc::clone(kept));
    let deployment = setup.as_ref().ok().map(|setup| setup.deployment().to_owned());
    let result = decode_and_run(operation, environment, setup, invocation, run_id.clone(), run).await;
    match &result {
        Ok(_) => tracing::info!("the run is done"),
        Err(e) => tracing::error!(kind = e.kind().name(), hint = e.hint(), "{e}"),
    }
    let (seconds, success) = (clock.monotonic_seconds(), result.is_ok());
    metrics::emit_invocation(clock.now(), deployment.as_deref(), operation, &run_id, seconds, success);
    result
}

async fn decode_and_run<Q, A, F, R>(
    operation: &'static str,
    environment: &Environment,
    setup: Result<Setup>,
    invocation: Invocation,
    run_id: RunId,
    run: &F,
) -> Result<Value>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Fn(Arc<Setup>, Q, RunContext) -> R,
    R: Future<Output = Result<A>>,
{
    let database = database_of(&invocation.payload).and_then(|name| name.parse::<DatabaseSlug>().ok());
    let request = serde_json::from_value::<Q>(invocation.payload.clone()).map_err(|e| {
        Error::new(ErrorKind::Usage, format!("{operation}: the request cannot be read: {e}"))
            .with_hint(format!("see events/{operation}/ for requests as they should be"))
    });
    let (canceller, cancel) = cancel::pair();
    // A rule that is misspelt fails every time: somebody must hear of it.
    if let (Err(error), Ok(setup), Some(database)) = (&request, &setup, &database) {
        let context = RunContext { run_id: run_id.clone(), ..setup.context(Arc::new(Logged), cancel.clone()) };
        Box::pin(functions::tell_unread(setup, &context, operation, database, error)).await;
    }
    let (request, setup) = (request?, setup?);
    let context = RunContext { run_id, ..setup.context(Arc::new(Logged), cancel) };
    let left = time_left(environment, &invocation)?;
    let time = deadline::time_to_work(left, setting(environment, MARGIN_VARIABLE, CLEANING_UP)?);
    let longest = match invocation.host {
        Host::Lambda => FUNCTION_LIMIT,
        Host::Task => {
            stop::on_signals(canceller.clone(), || tracing::warn!("the task is stopped"))?;
            left
        }
    };
    let (payload, request_id) = (invocation.payload.to_string(), invocation.request_id);
    let setup = setup.of_invocation(Invoked { request: payload, request_id, time, longest, host: invocation.host });
    let _alarm = Alarm::set(time, canceller);
    let answer = Box::pin(run(Arc::new(setup), request, context)).await?;
    serde_json::to_value(answer)
        .map_err(|e| Error::new(ErrorKind::Unexpected, format!("{operation}: encode the answer: {e}")))
}

/// The database of a request, or of the event that stands for one.
fn database_of(payload: &Value) -> Option<String> {
    let within = |part: &str| payload.get(part)?.get("database");
    let named =
        payload.get("database").or_else(|| within("detail")).or_else(|| within("state")).or_else(|| within("request"));
    named.and_then(Value::as_str).map(str::to_owned)
}

const MARGIN_VARIABLE: &str = "LIFEBOAT_DEADLINE_MARGIN";
const LIMIT_VARIABLE: &str = "LIFEBOAT_TIME_LIMIT";

fn setting(environment: &Environment, name: &str, default: Duration) -> Result<Duration> {
    let Some(text) = environment.text(name)? else { return Ok(default) };
    let span: Span = text.parse().map_err(|e| Error::new(ErrorKind::Config, format!("{name}: {e}")))?;
    Ok(Duration::from_secs(span.0))
}

/// What is left until the run must end. Where the runtime names no deadline to come, as `cargo lambda` does not: as long
/// as there is at most.
fn time_left(environment: &Environment, invocation: &Invocation) -> Result<Duration> {
    let longest = match invocation.host {
        Host::Lambda => FUNCTION_LIMIT,
        Host::Task => LONGEST_TASK,
    };
    match invocation.deadline.duration_since(SystemTime::now()) {
        Ok(left) if !left.is_zero() => Ok(left),
        _ => setting(environment, LIMIT_VARIABLE, longest),
    }
}

fn diagnose(error: &Error) -> Diagnostic {
    Diagnostic {
        error_type: error.kind().name().to_owned(),
        error_message: format!("{error} (hint: {})", error.hint()),
    }
}

/// Progress as log lines: phases and notes, no bytes.
struct Logged;

impl Progress for Logged {
    fn phase(&self, name: &str, total_bytes: Option<u64>) {
        tracing::info!(phase = name, total_bytes, "phase begins");
    }

    fn advance(&self, _bytes: u64) {}

    fn note(&self, text: &str) {
        tracing::info!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_core::events::Event;
    use lifeboat_testkit::MemoryBus;
    use serde_json::json;

    use super::*;
    use crate::requests::DumpRequest;

    async fn call(variables: [(&str, &str); 2], payload: Value, deadline: SystemTime, work: Duration) -> Result<Value> {
        let run = move |_, request: DumpRequest, context: RunContext| async move {
            let done = async {
                tokio::time::sleep(work).await;
                Ok(json!({ "database": request.database }))
            };
            context.cancel.race(done).await
        };
        let invocation = Invocation { deadline, request_id: "r".to_owned(), payload, host: Host::Lambda };
        invoke("dump", &Environment::of(variables), &Arc::default(), invocation, &run).await
    }

    /// What the bus hears of a request to a function that nobody can read.
    async fn told(operation: &'static str, payload: Value) -> Vec<Event> {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("file://{}", folder.path().display());
        let environment = Environment::of([("LIFEBOAT_STORE", store.as_str()), ("LIFEBOAT_EVENT_BUS", "lifeboat")]);
        let bus = MemoryBus::default();
        let kept = Arc::new(Kept::with_bus(Arc::new(bus.clone())));
        let invocation =
            Invocation { deadline: SystemTime::UNIX_EPOCH, request_id: "r".to_owned(), payload, host: Host::Lambda };
        let run = |_, _: DumpRequest, _| async { Ok(Value::Null) };
        invoke(operation, &environment, &kept, invocation, &run).await.unwrap_err();
        bus.events()
    }

    #[tokio::test]
    async fn a_request_that_cannot_be_read_is_told_as_the_failure_of_its_operation_once() {
        let misspelt = || json!({ "database": "orders", "schedule_at": "2026-11-20T02:00:00Z" });
        for (operation, name) in [
            ("dump", "BackupFailed"),
            ("verify", "VerifyFailed"),
            ("retention", "RetentionRefused"),
            ("drill", "DrillFailed"),
            ("maintenance", "MaintenanceFailed"),
            ("health", "HealthDegraded"),
        ] {
            let told = told(operation, misspelt()).await;
            assert_eq!(told.iter().map(|event| event.body.name()).collect::<Vec<_>>(), [name]);
            assert_eq!(told[0].database.as_str(), "orders");
            let text = serde_json::to_string(&told).unwrap();
            assert!(text.contains("schedule_at"), "what is wrong with it: {text}");
        }
        assert_eq!(told("alert", misspelt()).await, []);
        assert_eq!(told("dump", json!({ "databse": "orders" })).await, []);
    }

    const NO_VARIABLES: [(&str, &str); 2] = [("A", ""), ("B", "")];

    #[tokio::test]
    async fn a_request_that_cannot_be_read_says_where_to_look() {
        let error = call(NO_VARIABLES, json!({ "databse": "x" }), SystemTime::UNIX_EPOCH, Duration::ZERO).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.hint().contains("events/dump/"));
        let diagnostic = diagnose(&error);
        assert_eq!(diagnostic.error_type, "usage");
        assert!(diagnostic.error_message.contains("hint: "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_stopped_before_its_deadline_with_time_to_clean_up() {
        let deadline = SystemTime::now() + Duration::from_mins(5);
        let payload = json!({ "database": "orders" });
        let long = call(NO_VARIABLES, payload.clone(), deadline, Duration::from_mins(4) + Duration::from_secs(5)).await;
        assert_eq!(long.unwrap_err().kind(), ErrorKind::Deadline);
        let short = call(NO_VARIABLES, payload, deadline, Duration::from_mins(3)).await;
        assert_eq!(short.unwrap(), json!({ "database": "orders" }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_of_long_ago_is_none_and_the_limit_can_be_set() {
        let payload = json!({ "database": "orders" });
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_mins(10);
        let minutes = Duration::from_mins(13);
        assert!(call(NO_VARIABLES, payload.clone(), long_ago, minutes).await.is_ok());
        let limited = [(LIMIT_VARIABLE, "10s"), (MARGIN_VARIABLE, "3s")];
        let stopped = call(limited, payload.clone(), long_ago, Duration::from_secs(8)).await;
        assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Deadline);
        assert!(call(limited, payload, long_ago, Duration::from_secs(6)).await.is_ok());
    }
}
