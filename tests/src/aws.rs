//! LocalStack's APIs, called over plain HTTP: an SDK for each service would take minutes to compile.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use lifeboat_testkit::{
    http::{Answer, again, request},
    servers::LocalStack,
};
use serde_json::Value;

/// The region of everything that tests make.
pub const REGION: &str = "us-east-1";
/// LocalStack's account for credentials that name none.
pub const ACCOUNT: &str = "000000000000";

/// A function may take Lambda's longest time to answer.
const PATIENCE: Duration = Duration::from_secs(905);

/// A caller of one LocalStack.
#[derive(Debug, Clone, Copy)]
pub struct Aws {
    address: SocketAddr,
}

/// What came of a function's invocation.
#[derive(Debug)]
pub enum Invocation {
    /// The function's answer.
    Answer(Value),
    /// Lambda's error: `errorType` and `errorMessage`.
    Error(Value),
}

impl Invocation {
    /// The answer; an error fails.
    pub fn answer(self) -> Result<Value> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Error(error) => bail!("the function failed: {error:#}"),
        }
    }

    /// The error; an answer fails.
    pub fn error(self) -> Result<Value> {
        match self {
            Self::Answer(answer) => bail!("the function did not fail: {answer:#}"),
            Self::Error(error) => Ok(error),
        }
    }
}

impl Aws {
    /// Calls to this LocalStack.
    pub fn new(localstack: &LocalStack) -> Self {
        Self { address: localstack.address }
    }

    /// An action of a service that speaks JSON: `events`, `sqs`, `logs`, `secretsmanager`, `ssm`, `kms` or `states`.
    pub fn json(&self, service: &str, action: &str, input: &Value) -> Result<Value> {
        let (prefix, kind) = match service {
            "events" => ("AWSEvents", "application/x-amz-json-1.1"),
            "sqs" => ("AmazonSQS", "application/x-amz-json-1.0"),
            "logs" => ("Logs_20140328", "application/x-amz-json-1.1"),
            "secretsmanager" => ("secretsmanager", "application/x-amz-json-1.1"),
            "ssm" => ("AmazonSSM", "application/x-amz-json-1.1"),
            "kms" => ("TrentService", "application/x-amz-json-1.1"),
            "states" => ("AWSStepFunctions", "application/x-amz-json-1.0"),
            other => bail!("{other} is not called with JSON here"),
        };
        let headers = [("X-Amz-Target", format!("{prefix}.{action}")), ("Content-Type", kind.to_owned())];
        let body = input.to_string();
        let ask = || self.call(service, "POST", "/", &headers, body.as_bytes());
        let repeatable = ["Get", "List", "Describe", "Receive", "Filter"].iter().any(|verb| action.starts_with(verb));
        let answer = if repeatable { again(ask) } else { ask() }?;
        decoded(&answer).with_context(|| format!("{service} {action} {input}"))
    }

    /// An action of a service that takes a form and answers in XML: `sns`, `iam` or `monitoring` (CloudWatch).
    pub fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let version = match service {
            "sns" => "2010-03-31",
            "iam" => "2010-05-08",
            "monitoring" => "2010-08-01",
            other => bail!("{other} is not called with a form here"),
        };
        let fields = [("Action", action), ("Version", version)];
        let fields =
            fields.iter().chain(parameters).map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let form = fields.collect::<Vec<_>>().join("&");
        let headers = [("Content-Type", "application/x-www-form-urlencoded".to_owned())];
        let answer = self.call(service, "POST", "/", &headers, form.as_bytes())?;
        ensure!(answer.status < 300, "{service} {action}: HTTP {}: {}", answer.status, answer.text());
        Ok(answer.text())
    }

    /// A request of Lambda's own API, such as `POST /2015-03-31/functions`; null is sent as no body.
    pub fn lambda(&self, method: &str, path: &str, input: &Value) -> Result<Value> {
        let headers = [("Content-Type", "application/json".to_owned())];
        let body = if input.is_null() { String::new() } else { input.to_string() };
        let answer = self.call("lambda", method, path, &headers, body.as_bytes())?;
        decoded(&answer).with_context(|| format!("{method} {path} {input}"))
    }

    /// Invokes a function and waits for what comes of it.
    pub fn invoke(&self, function: &str, event: &Value) -> Result<Invocation> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let answer = self.call("lambda", "POST", &path, &[], event.to_string().as_bytes())?;
        let failed = answer.header("X-Amz-Function-Error").is_some();
        let value = decoded(&answer).with_context(|| format!("invoke {function}"))?;
        Ok(if failed { Invocation::Error(value) } else { Invocation::Answer(value) })
    }

    /// Invokes a function without waiting: failures are repeated, then go to its dead-letter queue.
    pub fn invoke_asynchronously(&self, function: &str, event: &Value) -> Result<()> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let headers = [("X-Amz-Invocation-Type", "Event".to_owned())];
        let answer = self.call("lambda", "POST", &path, &headers, event.to_string().as_bytes())?;
        ensure!(answer.status == 202, "invoke {function}: HTTP {}: {}", answer.status, answer.text());
        Ok(())
    }

    /// What a function has logged so far, all its processes together.
    pub fn logs(&self, function: &str) -> Result<String> {
        let group = format!("/aws/lambda/{function}");
        let found = self.json("logs", "FilterLogEvents", &serde_json::json!({ "logGroupName": group }))?;
        let events = found["events"].as_array().into_iter().flatten();
        Ok(events.filter_map(|event| event["message"].as_str()).collect::<Vec<_>>().join("\n"))
    }

    fn call(&self, service: &str, method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> Result<Answer> {
        // LocalStack reads the service and the region from here, and checks no signature.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let mut all = vec![("Authorization", authorization.as_str())];
        all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
        request(self.address, method, path, &all, body, PATIENCE)
            .with_context(|| format!("call {service} {method} {path}"))
    }
}

fn decoded(answer: &Answer) -> Result<Value> {
    ensure!(answer.status < 300, "HTTP {}: {}", answer.status, answer.text());
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("not JSON: {}", answer.text()))
}

/// As forms and URLs want it: everything but letters, digits and `-._~` %-encoded.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn what_a_url_cannot_hold_is_encoded() {
        assert_eq!(encoded("s'cr e/ü~"), "s%27cr%20e%2F%C3%BC~");
    }
}
