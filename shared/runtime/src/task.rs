//! The program of a function as a task: one request from the environment, and its answer on standard output.

use std::{
    io::{self, Write},
    sync::Arc,
    time::SystemTime,
};

use lifeboat_core::{Error, ErrorKind, Result, ports::RunContext};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    config,
    environment::Environment,
    handing_over::{REQUEST, REQUEST_ID},
    lambda::{Host, Invocation, invoke},
    one_run::error_document,
    secrets::Kept,
    setup::{Setup, temporary_folder},
};

/// Does the one request; the process's exit code, which is that of the error's kind. Answer or error is one line of JSON.
pub(crate) async fn run<Q, A, F, R>(operation: &'static str, environment: Environment, run: &F) -> u8
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Fn(Arc<Setup>, Q, RunContext) -> R,
    R: Future<Output = Result<A>>,
{
    let (document, code) = match Box::pin(once(operation, environment, run)).await {
        Ok(answer) => (answer, 0),
        Err(error) => (error_document(&error), error.kind().exit_code()),
    };
    // Where nobody reads it, the log has it.
    drop(writeln!(io::stdout(), "{document}"));
    code
}

async fn once<Q, A, F, R>(operation: &'static str, environment: Environment, run: &F) -> Result<Value>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Fn(Arc<Setup>, Q, RunContext) -> R,
    R: Future<Output = Result<A>>,
{
    let folder = temporary_folder(&environment).join("lifeboat-configuration");
    let fetched = async {
        let environment = config::fetched(environment, &folder).await?;
        let text = environment.text(REQUEST)?.unwrap_or_default();
        let payload = serde_json::from_str(&text).map_err(|e| {
            Error::new(ErrorKind::Usage, format!("{REQUEST} is not JSON: {e}"))
                .with_hint(format!("see events/{operation}/ for requests as they should be"))
        })?;
        let request_id = environment.text(REQUEST_ID)?.unwrap_or_default();
        Ok((environment, request_id, payload))
    };
    let (environment, request_id, payload) = fetched
        .await
        .inspect_err(|e: &Error| tracing::error!(kind = e.kind().name(), hint = e.hint(), "{e}; nothing was done"))?;
    let invocation = Invocation { deadline: SystemTime::UNIX_EPOCH, request_id, payload, host: Host::Task };
    invoke(operation, &environment, &Arc::new(Kept::default()), invocation, run).await
}
