//! The CDK app deployed as a user deploys it, to a LocalStack of its own: the same template, its functions' programs those
//! that cargo has built.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lifeboat_testkit::{
    http::{again, request},
    servers::{LocalStack, Rds},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Lifeboat,
    aws::{ACCOUNT, Aws, REGION},
    cluster::{repository, run},
    program::{built, program, wait_looking_every},
    rds::Api,
};

/// Every program that a package is made of.
const PROGRAMS: [&str; 9] =
    ["dump", "verify", "retention", "restore", "drill", "health", "maintenance", "alert", "notify"];

/// What `cdk bootstrap` leaves in an account, as far as a deployment asks for it: a bucket for files, and a version.
const ASSETS: &str = "cdk-hnb659fds-assets-000000000000-us-east-1";
const BOOTSTRAP: (&str, &str) = ("/cdk-bootstrap/hnb659fds/version", "30");

/// How often what takes its time is looked at: each look is several requests.
pub const PAUSE: Duration = Duration::from_millis(500);

/// An account with an RDS beside it, to which stacks are deployed. Everything in it ends with this value or with the test.
pub struct Account {
    /// Its services.
    pub localstack: LocalStack,
    /// Its RDS, which keeps passwords in LocalStack's Secrets Manager.
    pub rds: Rds,
    /// Calls to its services.
    pub aws: Aws,
}

/// A deployed `lifeboat.toml`.
pub struct Deployed {
    store: String,
    folder: TempDir,
}

impl Account {
    /// Starts both.
    pub fn start() -> Result<Self> {
        let localstack = LocalStack::start()?;
        let rds = Rds::start(Some(&localstack.endpoint))?;
        let aws = Aws::new(&localstack);
        localstack.create_bucket(ASSETS)?;
        let version = json!({ "Name": BOOTSTRAP.0, "Value": BOOTSTRAP.1, "Type": "String" });
        aws.json("ssm", "PutParameter", &version)?;
        Ok(Self { localstack, rds, aws })
    }

    /// What its RDS can be told and asked.
    pub fn rds(&self) -> Api<'_> {
        Api(&self.rds)
    }

    /// Puts a secret that a configuration names.
    pub fn put_secret(&self, name: &str, value: &str) -> Result<()> {
        // An SDK makes up a UUID.
        let secret = json!({ "Name": name, "SecretString": value, "ClientRequestToken": format!("{name:0>36}") });
        self.aws.json("secretsmanager", "CreateSecret", &secret).map(drop)
    }

    /// By what a program on this machine reaches the account.
    pub fn environment(&self) -> Vec<(String, String)> {
        let names = [
            ("AWS_ENDPOINT_URL", self.localstack.endpoint.as_str()),
            ("AWS_ENDPOINT_URL_S3", &self.localstack.endpoint),
            ("AWS_ENDPOINT_URL_RDS", &self.rds.endpoint),
            ("AWS_ENDPOINT_URL_BACKUP", &self.rds.endpoint),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        names.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Synthesises the templates of a configuration and deploys them. Its functions have the account's endpoints and these
    /// variables besides.
    pub fn deploy(&self, configuration: &str, further: &[(&str, &str)]) -> Result<Deployed> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("lifeboat.toml");
        fs::write(&file, configuration).with_context(|| format!("write {}", file.display()))?;
        wrap_programs(&folder.path().join("functions"))?;
        let mut overlay: serde_json::Map<String, Value> = self
            .environment()
            .into_iter()
            // A function has its role's.
            .filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL"))
            .map(|(name, value)| (name, value.into()))
            .collect();
        overlay.extend(further.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));

        // Templates are written without any account.
        let mut synthesis = cdk(folder.path())?;
        synthesis.args(["synth", "--quiet", "--context"]);
        synthesis.arg(format!("lifeboat:functions={}", folder.path().join("functions").display()));
        synthesis.args(["--context", &format!("lifeboat:environment={}", Value::from(overlay))]);
        synthesis.env("LIFEBOAT_CONFIG", &file).env("LIFEBOAT_PROGRAM", program()?);
        run(synthesis.current_dir(repository().join("infra")))?;

        let mut deployment = cdk(folder.path())?;
        deployment.args(["deploy", "--all", "--require-approval", "never", "--method", "direct", "--app"]);
        deployment.arg(templates(folder.path())).envs(self.environment());
        run(deployment.current_dir(folder.path()))
            .with_context(|| format!("LocalStack said: {}", last_lines(&self.localstack.log(), 60)))?;
        let store = fs::read_to_string(&file)?;
        let store = store.lines().find_map(|line| line.strip_prefix("url = \"s3://")).context("the store's URL")?;
        let store = format!("s3://{}", store.trim_end_matches('"'));
        Ok(Deployed { store, folder })
    }

    /// A request of S3, by path and query; gives the answer's body.
    pub fn s3(&self, method: &str, path: &str) -> Result<String> {
        self.s3_with(method, path, &[])
    }

    /// Puts an object, whatever was there.
    pub fn s3_put(&self, path: &str, content: &[u8]) -> Result<()> {
        self.s3_with("PUT", path, content).map(drop)
    }

    fn s3_with(&self, method: &str, path: &str, body: &[u8]) -> Result<String> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/s3/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers = [("Authorization", authorization.as_str())];
        // A second PUT or GET is fine.
        let answer = again(|| request(self.localstack.address, method, path, &headers, body, Duration::from_secs(30)))?;
        ensure!(answer.status < 300, "{method} {path}: HTTP {}: {}", answer.status, answer.text());
        Ok(answer.text())
    }

    /// Lets a rule tick by the schedule that it has now: LocalStack looks at it only when the rule is given its targets.
    pub fn heed_schedule(&self, rule: &str) -> Result<()> {
        let given = json!({ "Rule": rule, "Targets": self.targets_of(rule)? });
        self.aws.json("events", "PutTargets", &given).map(drop)
    }

    /// Takes a rule its targets: LocalStack goes on by every schedule that a rule ever had, also where it is disabled.
    pub fn stop_rule(&self, rule: &str) -> Result<()> {
        let targets = self.targets_of(rule)?;
        let ids: Vec<&Value> = targets.as_array().into_iter().flatten().map(|target| &target["Id"]).collect();
        self.aws.json("events", "RemoveTargets", &json!({ "Rule": rule, "Ids": ids })).map(drop)
    }

    fn targets_of(&self, rule: &str) -> Result<Value> {
        Ok(self.aws.json("events", "ListTargetsByRule", &json!({ "Rule": rule }))?["Targets"].take())
    }

    /// Starts a state machine, as a person would: the execution's ARN.
    pub fn start_execution(&self, machine: &str, name: &str, input: &Value) -> Result<String> {
        let machine = format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{machine}");
        let start = json!({ "stateMachineArn": machine, "name": name, "input": input.to_string() });
        let started = self.aws.json("states", "StartExecution", &start)?;
        Ok(started["executionArn"].as_str().context("the execution")?.to_owned())
    }

    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub fn status_of(&self, execution: &str) -> Result<String> {
        let found = self.aws.json("states", "DescribeExecution", &json!({ "executionArn": execution }))?;
        Ok(found["status"].as_str().context("the status")?.to_owned())
    }

    /// Waits for an execution's end, and gives how it ended.
    pub fn end_of(&self, execution: &str, patience: Duration) -> Result<String> {
        let mut status = String::new();
        let ended = wait_looking_every(PAUSE, &format!("{execution} ends"), patience, || {
            status = self.status_of(execution)?;
            Ok(status != "RUNNING")
        });
        ended.with_context(|| format!("it is in {:?}", self.states_of(execution)))?;
        Ok(status)
    }

    /// The states that an execution has entered so far.
    pub fn states_of(&self, execution: &str) -> Result<Vec<String>> {
        let asked = json!({ "executionArn": execution, "maxResults": 1000 });
        let history = self.aws.json("states", "GetExecutionHistory", &asked)?;
        let events = history["events"].as_array().context("the history")?;
        let name = |event: &Value| Some(event["stateEnteredEventDetails"]["name"].as_str()?.to_owned());
        Ok(events.iter().filter_map(name).collect())
    }

    /// Everything that goes over a bus from now on.
    pub fn watch(&self, bus: &str) -> Result<Watch> {
        let queue = format!("{bus}-watched");
        let made = self.aws.json("sqs", "CreateQueue", &json!({ "QueueName": queue }))?;
        let rule = json!({ "Name": queue, "EventBusName": bus, "EventPattern": json!({ "source": ["lifeboat"] }).to_string() });
        self.aws.json("events", "PutRule", &rule)?;
        let target = json!({ "Id": "1", "Arn": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}") });
        let targets = json!({ "Rule": queue, "EventBusName": bus, "Targets": [target] });
        self.aws.json("events", "PutTargets", &targets)?;
        let url = made["QueueUrl"].as_str().context("the queue's URL")?.to_owned();
        Ok(Watch { aws: self.aws, url, seen: Mutex::default() })
    }
}

/// The events of a bus, kept as they come. Several tests may look.
pub struct Watch {
    aws: Aws,
    url: String,
    seen: Mutex<Vec<Value>>,
}

impl Watch {
    /// Waits for an event of this name about a database that fits: its detail.
    pub fn wait_for(
        &self,
        name: &str,
        database: &str,
        patience: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut found = None;
        let waited = wait_looking_every(PAUSE, &format!("{name} of {database}"), patience, || {
            let seen = self.seen()?;
            let of = |event: &&Value| event["detail-type"] == name && event["detail"]["database"] == database;
            found = seen.iter().filter(of).map(|event| event["detail"].clone()).find(|detail| fits(detail));
            Ok(found.is_some())
        });
        waited.with_context(|| format!("seen were: {:#?}", self.about(database)))?;
        found.context("the event")
    }

    /// All events about a database so far.
    pub fn about(&self, database: &str) -> Result<Vec<Value>> {
        Ok(self.seen()?.into_iter().filter(|event| event["detail"]["database"] == database).collect())
    }

    fn seen(&self) -> Result<Vec<Value>> {
        let mut seen = self.seen.lock().map_err(|_| anyhow::anyhow!("another look panicked"))?;
        loop {
            let asked = json!({ "QueueUrl": self.url, "MaxNumberOfMessages": 10 });
            let received = self.aws.json("sqs", "ReceiveMessage", &asked)?;
            let messages = received["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(seen.clone());
            }
            for message in messages {
                seen.push(serde_json::from_str(message["Body"].as_str().context("a body")?)?);
                let handle = json!({ "QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"] });
                self.aws.json("sqs", "DeleteMessage", &handle)?;
            }
        }
    }
}

impl Deployed {
    /// The command line, on the deployed store and with the deployed configuration.
    pub fn lifeboat(&self, account: &Account, arguments: &[&str]) -> Lifeboat {
        let file = self.configuration().display().to_string();
        let call =
            Lifeboat::new(["--config", &file]).args(arguments.iter().copied()).env("LIFEBOAT_STORE", &self.store);
        account.environment().into_iter().fold(call, |call, (name, value)| call.env(&name, value))
    }

    /// The file that was deployed.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("lifeboat.toml")
    }

    /// A template as it was synthesised.
    pub fn template(&self, stack: &str) -> Result<Value> {
        let file = templates(self.folder.path()).join(format!("{stack}.template.json"));
        let text = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))
    }
}

/// The `bootstrap` of each package starts what cargo has built: nothing large is copied.
fn wrap_programs(folder: &Path) -> Result<()> {
    for name in PROGRAMS {
        let Ok(program) = built(name) else { continue };
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let bootstrap = folder.join("bootstrap");
        fs::write(&bootstrap, format!("#!/bin/sh\nexec '{}'\n", program.display()))?;
        fs::set_permissions(&bootstrap, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn templates(folder: &Path) -> PathBuf {
    folder.join("cdk.out")
}

/// The CDK's command line with nothing of ours in its environment.
fn cdk(folder: &Path) -> Result<Command> {
    let program = repository().join("infra/node_modules/.bin/cdk");
    ensure!(program.exists(), "{} is missing: run `make setup`", program.display());
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    command.env("TMPDIR", folder).env("CDK_DISABLE_CLI_TELEMETRY", "true").env("CI", "true");
    command.args(["--no-notices", "--output"]).arg(templates(folder));
    Ok(command)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
