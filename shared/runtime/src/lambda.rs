//! The Lambda adapter: decode, run, encode; a deadline that leaves time to clean up; errors with their kind.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use lifeboat_core::{
    Error, ErrorKind, Result,
    cancel::{self, Canceller},
    config::Span,
    ports::{Progress, RunContext},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tracing::Instrument;

use crate::{config::Flags, environment::Environment, setup::Setup, telemetry};

/// How long before its deadline a function stops: aborted uploads and a scratch target take time to be removed.
const MARGIN: Duration = Duration::from_mins(1);

/// Serves invocations of one function until the process is ended.
pub async fn serve<Q, A, F, R>(operation: &'static str, run: F) -> std::result::Result<(), lambda_runtime::Error>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Fn(Arc<Setup>, Q, RunContext) -> R,
    R: Future<Output = Result<A>>,
{
    let environment = Environment::of_process();
    telemetry::for_functions(&environment);
    let (environment, run) = (&environment, &run);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = event.context.deadline();
        invoke(operation, environment, event.payload, deadline, run).await.map_err(|e| diagnose(&e))
    }))
    .await
}

/// One invocation: `payload` is decoded, and the answer encoded.
pub async fn invoke<Q, A, F, R>(
    operation: &'static str,
    environment: &Environment,
    payload: Value,
    deadline: SystemTime,
    run: &F,
) -> Result<Value>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Fn(Arc<Setup>, Q, RunContext) -> R,
    R: Future<Output = Result<A>>,
{
    let request: Q = serde_json::from_value(payload).map_err(|e| {
        Error::new(ErrorKind::Usage, format!("{operation}: the request cannot be read: {e}"))
            .with_hint(format!("see events/{operation}/ for requests as they should be"))
    })?;
    let setup = Arc::new(Setup::load(&Flags::default(), environment.clone())?);
    let (canceller, cancel) = cancel::pair();
    let context = setup.context(Arc::new(Logged), cancel);
    let _alarm = Alarm::at(deadline, margin(environment)?, canceller);
    let span = tracing::info_span!("run", operation, run_id = %context.run_id);
    async {
        tracing::info!("the run begins");
        let result = run(setup, request, context).await;
        match &result {
            Ok(_) => tracing::info!("the run is done"),
            Err(e) => tracing::error!(kind = e.kind().name(), hint = e.hint(), "{e}"),
        }
        result
    }
    .instrument(span)
    .await
    .and_then(|answer| {
        serde_json::to_value(answer)
            .map_err(|e| Error::new(ErrorKind::Unexpected, format!("{operation}: encode the answer: {e}")))
    })
}

fn margin(environment: &Environment) -> Result<Duration> {
    const NAME: &str = "LIFEBOAT_DEADLINE_MARGIN";
    let Some(text) = environment.text(NAME)? else { return Ok(MARGIN) };
    let span: Span = text.parse().map_err(|e| Error::new(ErrorKind::Config, format!("{NAME}: {e}")))?;
    Ok(Duration::from_secs(span.0))
}

/// Presses the switch shortly before the deadline; goes off with the run.
struct Alarm(tokio::task::JoinHandle<()>);

impl Alarm {
    fn at(deadline: SystemTime, margin: Duration, canceller: Canceller) -> Self {
        let left = deadline.duration_since(SystemTime::now()).unwrap_or_default();
        // A function with very little time still gets half of it to work.
        let wait = left.saturating_sub(margin).max(left / 2);
        Self(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            canceller.cancel(ErrorKind::Deadline);
        }))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.abort();
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
