//! Lifeboat as it is deployed: its bus, topic, queues, rules and functions, made in LocalStack under names of their own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    aws::{ACCOUNT, Aws, Invocation, REGION},
    program::{built, wait_until},
};

/// Every function that is deployed, where it has been built.
pub const FUNCTIONS: [&str; 9] =
    ["dump", "verify", "retention", "drill", "restore", "health", "maintenance", "alert", "notify"];

/// When each scheduled function runs, and with which request. The rules are made disabled.
const SCHEDULES: [(&str, &str, &str); 8] = [
    ("dump", "cron(0 2 * * ? *)", r#"{"database":"orders","scheduled_at":<time>}"#),
    ("verify", "cron(0 6 ? * 1 *)", r#"{"database":"orders","backup":"older","scheduled_at":<time>}"#),
    ("retention", "cron(0 5 * * ? *)", r#"{"database":"orders","dry_run":false,"scheduled_at":<time>}"#),
    ("drill", "cron(0 4 ? * 1#1 *)", r#"{"database":"orders","select":"rotate","scheduled_at":<time>}"#),
    ("health", "rate(1 hour)", r#"{"database":"orders","scheduled_at":<time>}"#),
    ("maintenance", "cron(0 3 ? * 7 *)", r#"{"database":"orders","scheduled_at":<time>}"#),
    ("alert", "rate(1 hour)", r#"{"remind":true}"#),
    ("notify", "rate(1 hour)", r#"{"deliver":true}"#),
];

/// How long a batch of events for `alert` is collected. A minute on AWS; here somebody waits for it.
const BATCH_SECONDS: u32 = 1;
/// Longer than any function of a small database takes.
const TIMEOUT_SECONDS: u32 = 300;

/// One deployment. It lives as long as its LocalStack.
#[derive(Debug)]
pub struct Deployment {
    /// LocalStack's APIs.
    pub aws: Aws,
    name: String,
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

impl Deployment {
    /// Makes bus, topic and queues. All names begin with `name`; `folder` is where the functions' `bootstrap`s are written and
    /// must outlive the deployment; `environment` is every function's.
    pub fn create(aws: Aws, name: &str, folder: &Path, environment: &[(String, String)]) -> Result<Self> {
        let mut deployment = Self { aws, name: name.to_owned(), folder: folder.to_owned(), environment: Vec::new() };
        deployment.environment.extend(environment.iter().cloned());
        deployment.environment.push(("LIFEBOAT_EVENT_BUS".to_owned(), deployment.bus().to_owned()));
        deployment.environment.push(("LIFEBOAT_ALERT_TOPIC".to_owned(), deployment.topic_arn()));
        aws.json("events", "CreateEventBus", &json!({ "Name": deployment.bus() }))?;
        aws.query("sns", "CreateTopic", &[("Name", &format!("{name}-alerts"))])?;
        for queue in ["dead-letters", "events-seen", "alerts-seen"] {
            deployment.create_queue(queue, &json!({}))?;
        }
        let dead_letters = json!({ "deadLetterTargetArn": deployment.queue_arn("dead-letters"), "maxReceiveCount": 3 });
        // AWS asks for six times the function's time-out; here somebody waits for the second try.
        let attributes = json!({ "RedrivePolicy": dead_letters.to_string(), "VisibilityTimeout": "30" });
        deployment.create_queue("alert", &attributes)?;
        let pattern = json!({ "source": ["lifeboat"] });
        deployment.put_rule("alert", &pattern, &json!({ "Arn": deployment.queue_arn("alert") }))?;
        deployment.put_rule("events-seen", &pattern, &json!({ "Arn": deployment.queue_arn("events-seen") }))?;
        deployment.subscribe("sqs", &deployment.queue_arn("alerts-seen"))?;
        Ok(deployment)
    }

    /// The name of the bus.
    pub fn bus(&self) -> &str {
        &self.name
    }

    /// What every function has, the deployment's own names among it.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// A function's name in LocalStack.
    pub fn function(&self, function: &str) -> String {
        format!("{}-{function}", self.name)
    }

    /// The ARN of the topic that alerts go to.
    pub fn topic_arn(&self) -> String {
        format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}-alerts", self.name)
    }

    /// The ARN of one of the queues: `alert`, `dead-letters`, `events-seen` or `alerts-seen`.
    pub fn queue_arn(&self, queue: &str) -> String {
        format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}-{queue}", self.name)
    }

    fn function_arn(&self, function: &str) -> String {
        format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}", self.function(function))
    }

    /// Deploys functions as cargo has built them, and connects them to bus, queue and topic. Gives the names of those that
    /// have not been built.
    pub fn deploy(&self, functions: &[&str]) -> Result<Vec<String>> {
        let (mut deployed, mut missing) = (Vec::new(), Vec::new());
        for function in functions {
            if let Ok(program) = built(function) {
                self.create_function(function, &program)?;
                deployed.push(*function);
            } else {
                missing.push((*function).to_owned());
            }
        }
        for function in deployed {
            self.wait_until_active(function)?;
            self.connect(function)?;
        }
        Ok(missing)
    }

    /// The "zip" is a folder (LocalStack's hot reloading) with a script that starts what cargo has built: nothing is
    /// copied, and the next process of the function is of the newest build.
    fn create_function(&self, function: &str, program: &Path) -> Result<()> {
        let code = self.folder.join(function);
        fs::create_dir_all(&code).with_context(|| format!("make {}", code.display()))?;
        let bootstrap = code.join("bootstrap");
        fs::write(&bootstrap, format!("#!/bin/sh\nexec '{}'\n", program.display()))?;
        fs::set_permissions(&bootstrap, fs::Permissions::from_mode(0o755))?;
        let variables: serde_json::Map<String, Value> =
            self.environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let input = json!({
            "FunctionName": self.function(function),
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Role": format!("arn:aws:iam::{ACCOUNT}:role/{}", self.function(function)),
            "Code": { "S3Bucket": "hot-reload", "S3Key": code },
            "Timeout": TIMEOUT_SECONDS,
            "MemorySize": 1024,
            "Environment": { "Variables": variables },
            "DeadLetterConfig": { "TargetArn": self.queue_arn("dead-letters") },
        });
        self.aws.lambda("POST", "/2015-03-31/functions", &input)?;
        Ok(())
    }

    fn wait_until_active(&self, function: &str) -> Result<()> {
        let path = format!("/2015-03-31/functions/{}", self.function(function));
        wait_until(&format!("{function} is active"), Duration::from_mins(1), || {
            Ok(self.aws.lambda("GET", &path, &Value::Null)?["Configuration"]["State"] == "Active")
        })
    }

    fn connect(&self, function: &str) -> Result<()> {
        // Each operation has a retry policy of its own: a failed dump is not simply done again.
        let retries = json!({ "MaximumRetryAttempts": if function == "notify" { 2 } else { 0 } });
        let path = format!("/2019-09-25/functions/{}/event-invoke-config", self.function(function));
        self.aws.lambda("PUT", &path, &retries)?;
        for (_, expression, request) in SCHEDULES.iter().filter(|(scheduled, ..)| *scheduled == function) {
            self.schedule(function, expression, request)?;
        }
        match function {
            "verify" => {
                let pattern = json!({ "source": ["lifeboat"], "detail-type": ["BackupCompleted"] });
                // The event as it is: verify knows it.
                let target = json!({ "Arn": self.function_arn(function) });
                self.put_rule("verify", &pattern, &target)
            }
            "alert" => {
                let mapping = json!({
                    "EventSourceArn": self.queue_arn("alert"),
                    "FunctionName": self.function(function),
                    "BatchSize": 100,
                    "MaximumBatchingWindowInSeconds": BATCH_SECONDS,
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                });
                self.aws.lambda("POST", "/2015-03-31/event-source-mappings", &mapping).map(drop)
            }
            "notify" => self.subscribe("lambda", &self.function_arn(function)),
            _ => Ok(()),
        }
    }

    /// A rule on the default bus, where schedules must be; disabled.
    fn schedule(&self, function: &str, expression: &str, request: &str) -> Result<()> {
        let name = self.function(function);
        let rule = json!({ "Name": name, "ScheduleExpression": expression, "State": "DISABLED" });
        self.aws.json("events", "PutRule", &rule)?;
        let target = json!({
            "Id": "1",
            "Arn": self.function_arn(function),
            "InputTransformer": { "InputPathsMap": { "time": "$.time" }, "InputTemplate": request },
        });
        self.aws.json("events", "PutTargets", &json!({ "Rule": name, "Targets": [target] })).map(drop)
    }

    fn put_rule(&self, name: &str, pattern: &Value, target: &Value) -> Result<()> {
        let name = format!("{}-{name}", self.name);
        let rule = json!({ "Name": name, "EventBusName": self.bus(), "EventPattern": pattern.to_string() });
        self.aws.json("events", "PutRule", &rule)?;
        let mut target = target.clone();
        target["Id"] = json!("1");
        let targets = json!({ "Rule": name, "EventBusName": self.bus(), "Targets": [target] });
        self.aws.json("events", "PutTargets", &targets).map(drop)
    }

    fn create_queue(&self, queue: &str, attributes: &Value) -> Result<()> {
        let input = json!({ "QueueName": format!("{}-{queue}", self.name), "Attributes": attributes });
        self.aws.json("sqs", "CreateQueue", &input).map(drop)
    }

    fn subscribe(&self, protocol: &str, endpoint: &str) -> Result<()> {
        let topic = self.topic_arn();
        let parameters = [("TopicArn", topic.as_str()), ("Protocol", protocol), ("Endpoint", endpoint)];
        self.aws.query("sns", "Subscribe", &parameters).map(drop)
    }

    /// Invokes a function and waits for what comes of it.
    pub fn invoke(&self, function: &str, event: &Value) -> Result<Invocation> {
        self.aws.invoke(&self.function(function), event)
    }

    /// What a function has logged so far.
    pub fn logs(&self, function: &str) -> Result<String> {
        self.aws.logs(&self.function(function))
    }

    /// Puts an event on the bus, as Lifeboat would.
    pub fn put_event(&self, detail_type: &str, detail: &Value) -> Result<()> {
        let entry = json!({
            "Source": "lifeboat",
            "DetailType": detail_type,
            "Detail": detail.to_string(),
            "EventBusName": self.bus(),
        });
        let answer = self.aws.json("events", "PutEvents", &json!({ "Entries": [entry] }))?;
        anyhow::ensure!(answer["FailedEntryCount"] == 0, "{answer:#}");
        Ok(())
    }

    /// The events that have come over the bus since this was last asked, in no certain order.
    pub fn take_events(&self) -> Result<Vec<Value>> {
        self.take("events-seen")
    }

    /// What has been published to the topic since this was last asked: `Subject`, `Message`, `MessageAttributes`.
    pub fn take_alerts(&self) -> Result<Vec<Value>> {
        self.take("alerts-seen")
    }

    /// What functions and queues have given up since this was last asked.
    pub fn take_dead_letters(&self) -> Result<Vec<Value>> {
        self.take("dead-letters")
    }

    fn take(&self, queue: &str) -> Result<Vec<Value>> {
        let url = format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{}-{queue}", self.name);
        let mut taken = Vec::new();
        loop {
            let input = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0 });
            let answer = self.aws.json("sqs", "ReceiveMessage", &input)?;
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(taken);
            }
            for message in messages {
                let body = message["Body"].as_str().context("a message without a body")?;
                taken.push(serde_json::from_str(body).with_context(|| format!("not JSON: {body}"))?);
                let receipt = json!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"] });
                self.aws.json("sqs", "DeleteMessage", &receipt)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_runtime::requests::{
        AlertRequest, DrillRequest, DumpRequest, HealthRequest, MaintenanceRequest, NotifyRequest, RetentionRequest,
        VerifyTrigger,
    };

    use super::*;

    #[test]
    fn every_function_understands_what_its_rule_sends() {
        for (function, _, request) in SCHEDULES {
            let request = request.replace("<time>", "\"2026-11-20T02:00:00Z\"");
            let read = match function {
                "dump" => serde_json::from_str::<DumpRequest>(&request).map(drop),
                "verify" => serde_json::from_str::<VerifyTrigger>(&request).map(drop),
                "retention" => serde_json::from_str::<RetentionRequest>(&request).map(drop),
                "drill" => serde_json::from_str::<DrillRequest>(&request).map(drop),
                "health" => serde_json::from_str::<HealthRequest>(&request).map(drop),
                "maintenance" => serde_json::from_str::<MaintenanceRequest>(&request).map(drop),
                "alert" => serde_json::from_str::<AlertRequest>(&request).map(drop),
                "notify" => serde_json::from_str::<NotifyRequest>(&request).map(drop),
                other => panic!("{other} has a rule, and nobody knows what it is asked"),
            };
            read.unwrap_or_else(|e| panic!("{function}: {e}: {request}"));
        }
    }
}
