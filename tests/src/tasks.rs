//! Tasks as ECS starts them: noted down by the ECS of [`rds`], and run here by the image's entry point, with exactly the
//! command and the environment that ECS would give the container.

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lifeboat_testkit::http::request;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Ended,
    aws::REGION,
    cluster::repository,
    program::{built, program},
    rds::rds,
};

/// A cluster and a task definition of one test.
#[derive(Debug, Clone)]
pub struct TaskPlace {
    cluster: String,
    /// What a function is told of it: `LIFEBOAT_TASK`.
    pub told: String,
}

/// A container as a task has it.
#[derive(Debug, Clone)]
pub struct Container {
    /// What its entry point is given.
    pub command: Vec<String>,
    /// Its variables, those of the task over those of its definition.
    pub environment: Vec<(String, String)>,
}

/// Where a program finds ECS.
pub fn on_ecs() -> Result<(String, String)> {
    Ok(("AWS_ENDPOINT_URL_ECS".to_owned(), rds()?.endpoint.clone()))
}

impl TaskPlace {
    /// Registers what a deployment makes for a function: its program as the command, and variables.
    pub fn register(name: &str, program: &str, environment: &[(String, String)]) -> Result<Self> {
        let variables: Vec<Value> =
            environment.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let cluster = ecs("CreateCluster", &json!({ "clusterName": name }))?;
        let registered = ecs(
            "RegisterTaskDefinition",
            &json!({
                "family": name, "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "2048", "memory": "4096",
                "containerDefinitions": [
                    { "name": "lifeboat", "image": "lifeboat:1", "essential": true, "memory": 4096, "command": [program], "environment": variables },
                ],
            }),
        )?;
        let cluster = cluster["cluster"]["clusterArn"].as_str().context("the cluster's ARN")?.to_owned();
        let told = json!({
            "cluster": cluster,
            "task_definition": registered["taskDefinition"]["taskDefinitionArn"],
            "container": "lifeboat",
            "subnets": [first_of("DescribeSubnets", "subnetId")?],
            "security_groups": [first_of("DescribeSecurityGroups", "groupId")?],
        });
        Ok(Self { cluster, told: told.to_string() })
    }

    /// The containers of all tasks that were started there, as they are to be run.
    pub fn started(&self) -> Result<Vec<Container>> {
        let listed = ecs("ListTasks", &json!({ "cluster": self.cluster }))?;
        if listed["taskArns"] == json!([]) {
            return Ok(Vec::new());
        }
        let described = ecs("DescribeTasks", &json!({ "cluster": self.cluster, "tasks": listed["taskArns"] }))?;
        described["tasks"].as_array().context("tasks")?.iter().map(container_of).collect()
    }
}

/// Lets the next tasks of a definition be refused: with an error, or, of status 200, in the answer.
pub fn refuse(definition: &str, times: u32, status: u16, code: &str) -> Result<()> {
    let fault = json!({ "action": "RunTask", "instance": definition, "times": times, "status": status, "code": code });
    crate::rds::fail(&fault)
}

/// Lets a task have ended: with its container's exit code, or, without one, before that was started.
pub fn ended(task: &str, exit_code: Option<i32>) -> Result<()> {
    let why = exit_code.map_or("CannotPullContainerError: not found", |_| "Essential container in task exited");
    let state = json!({ "lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stoppedReason": why });
    crate::rds::task(&json!({ "task": task, "state": state, "exitCode": exit_code }))
}

/// Lets the hour go by after a task's end for which ECS knows its token.
pub fn an_hour_after(task: &str) -> Result<()> {
    crate::rds::task(&json!({ "task": task, "forgotten": true }))
}

fn container_of(task: &Value) -> Result<Container> {
    ensure!(task["launchType"] == "FARGATE", "{task:#}");
    let definition = ecs("DescribeTaskDefinition", &json!({ "taskDefinition": task["taskDefinitionArn"] }))?;
    let defined = &definition["taskDefinition"]["containerDefinitions"][0];
    let over = &task["overrides"]["containerOverrides"][0];
    ensure!(over["name"] == defined["name"], "{task:#}");
    let command = if over["command"].is_array() { &over["command"] } else { &defined["command"] };
    let mut environment = Vec::new();
    for variable in [defined, over].iter().flat_map(|part| part["environment"].as_array().into_iter().flatten()) {
        let text = |key: &str| variable[key].as_str().map(str::to_owned).with_context(|| format!("{variable}"));
        environment.push((text("name")?, text("value")?));
    }
    let command = command.as_array().context("a command")?.iter().filter_map(|word| word.as_str().map(str::to_owned));
    Ok(Container { command: command.collect(), environment })
}

impl Container {
    /// Starts it: the image's entry point over the programs that were built here, and nothing of this machine's environment
    /// but where programs are found.
    pub fn start(&self) -> Result<Started> {
        let programs = tempfile::tempdir()?;
        let link = |folder: &str, name: &str, to: PathBuf| -> Result<()> {
            fs::create_dir_all(programs.path().join(folder))?;
            symlink(to, programs.path().join(folder).join(name)).with_context(|| format!("link {name}"))
        };
        link("bin", "lifeboat", program()?)?;
        for name in ["dump", "verify", "restore", "drill"] {
            link("functions", name, built(name)?)?;
        }
        let work = tempfile::tempdir()?;
        let mut command = Command::new(repository().join("image/entrypoint.sh"));
        command.args(&self.command).current_dir(work.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LIFEBOAT_PROGRAMS", programs.path()).env("TMPDIR", work.path()).env("HOME", work.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Started { child: command.spawn().context("start the entry point")?, _folders: [programs, work] })
    }

    /// Runs it to its end.
    pub fn run(&self) -> Result<Ended> {
        self.start()?.end()
    }

    /// The same, giving its answer; any exit code but 0 fails.
    pub fn answer(&self) -> Result<Value> {
        let ended = self.run()?;
        ensure!(ended.code == 0, "exit code {}: {}{}", ended.code, ended.stdout, ended.stderr);
        let line = ended.stdout.lines().last().context("an answer")?;
        serde_json::from_str(line).with_context(|| format!("the answer: {}", ended.stdout))
    }
}

/// A container that was started.
pub struct Started {
    child: Child,
    _folders: [TempDir; 2],
}

impl Started {
    /// What ECS does to a task that is stopped, before it kills it.
    pub fn stop(&self) -> Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "kill -TERM: {status}");
        Ok(())
    }

    /// Itself, if what was awaited of it came; else kills it, and adds to the error what it said.
    pub fn awaited(mut self, result: Result<()>) -> Result<Self> {
        let Err(error) = result else { return Ok(self) };
        self.child.kill()?;
        let ended = self.end()?;
        Err(error.context(format!("the task ended with {}: {}{}", ended.code, ended.stdout, ended.stderr)))
    }

    /// Waits for its end.
    pub fn end(self) -> Result<Ended> {
        let output = self.child.wait_with_output().context("wait for the container")?;
        Ok(Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

fn ecs(action: &str, input: &Value) -> Result<Value> {
    let target = format!("AmazonEC2ContainerServiceV20141113.{action}");
    let text =
        call("ecs", &[("X-Amz-Target", &target), ("Content-Type", "application/x-amz-json-1.1")], &input.to_string())?;
    serde_json::from_str(&text).with_context(|| format!("ecs {action}: {text}"))
}

/// The first value of an XML element in an answer of EC2.
fn first_of(action: &str, element: &str) -> Result<String> {
    let form = format!("Action={action}&Version=2016-11-15");
    let text = call("ec2", &[("Content-Type", "application/x-www-form-urlencoded")], &form)?;
    let value = text.split_once(&format!("<{element}>")).and_then(|(_, rest)| rest.split_once('<'));
    value.map(|(value, _)| value.to_owned()).with_context(|| format!("{element} in {text}"))
}

fn call(service: &str, headers: &[(&str, &str)], body: &str) -> Result<String> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let all = [&[("Authorization", authorization.as_str())], headers].concat();
    let answer = request(rds()?.address, "POST", "/", &all, body.as_bytes(), Duration::from_mins(1))?;
    ensure!(answer.status < 300, "{service}: HTTP {}: {}", answer.status, answer.text());
    Ok(answer.text())
}
