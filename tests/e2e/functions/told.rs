//! What functions tell: on LocalStack's bus, through rule and queue; and what becomes of it when a service is stopped.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use lifeboat_core::{cancel::Cancel, ports::Unwatched};
use lifeboat_runtime::{Setup, environment::Environment, secrets::Kept, send_undelivered};
use lifeboat_testkit::MemoryBus;
use lifeboat_tests::{
    StoreUnderTest,
    aws::{ACCOUNT, Aws, REGION},
    program::wait_until,
    proxy::{Mode, Proxy},
    stack::on_localstack,
    stores::localstack,
};
use serde_json::{Value, json};

use super::emulator::Functions;
use crate::shared::{fifteen, no_session_stays_on};

/// A bus of this test's own, and a queue behind a rule for everything on it.
struct Bus {
    aws: Aws,
    name: String,
    queue: String,
}

impl Bus {
    fn create(name: &str) -> Result<Self> {
        let aws = Aws::new(localstack()?);
        aws.json("events", "CreateEventBus", &json!({ "Name": name }))?;
        let made = aws.json("sqs", "CreateQueue", &json!({ "QueueName": name }))?;
        let pattern = json!({ "source": ["lifeboat"] }).to_string();
        let rule = json!({ "Name": "all", "EventBusName": name, "EventPattern": pattern });
        aws.json("events", "PutRule", &rule)?;
        let target = json!({ "Id": "queue", "Arn": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}") });
        aws.json("events", "PutTargets", &json!({ "Rule": "all", "EventBusName": name, "Targets": [target] }))?;
        let queue = made["QueueUrl"].as_str().context("the queue's URL")?.to_owned();
        Ok(Self { aws, name: name.to_owned(), queue })
    }

    /// Waits for the next event: its whole envelope.
    fn next(&self, name: &str) -> Result<Value> {
        let mut found = Value::Null;
        wait_until(&format!("{name} is told"), Duration::from_mins(1), || {
            let asked = json!({ "QueueUrl": self.queue, "MaxNumberOfMessages": 1, "WaitTimeSeconds": 1 });
            let received = self.aws.json("sqs", "ReceiveMessage", &asked)?;
            let Some(message) = received["Messages"].get(0) else { return Ok(false) };
            let handle = json!({ "QueueUrl": self.queue, "ReceiptHandle": message["ReceiptHandle"] });
            self.aws.json("sqs", "DeleteMessage", &handle)?;
            found = serde_json::from_str(message["Body"].as_str().unwrap_or_default())?;
            Ok(true)
        })?;
        ensure!(found["detail-type"] == name && found["source"] == "lifeboat", "{found:#}");
        Ok(found)
    }

    /// What a function needs to know of it, at this endpoint.
    fn environment(&self, endpoint: &str) -> Vec<(String, String)> {
        let mut environment = on_localstack(endpoint);
        environment.push(("LIFEBOAT_EVENT_BUS".to_owned(), self.name.clone()));
        environment
    }
}

pub(super) fn serve(functions: &mut Functions, function: &str, environment: &[(String, String)]) -> Result<()> {
    let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    functions.serve(function, 1, &environment)
}

/// A function's log: lines of JSON, those of metrics among them.
fn lines(functions: &Functions, log: &str) -> Vec<Value> {
    functions.log(log).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_backup_is_told_on_the_bus_and_its_event_makes_it_verified() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("function_told", "0.01")?;
    let bus = Bus::create("told")?;
    let mut functions = Functions::start(&store, "function_told")?;
    let environment = bus.environment(&localstack()?.endpoint);
    serve(&mut functions, "dump", &environment)?;
    serve(&mut functions, "verify", &environment)?;

    let dumped = functions.invoke("dump", "now.json")?.answer()?;
    ensure!(dumped["verified"].is_null(), "the role of dump need not read what it wrote: {dumped:#}");
    let completed = bus.next("BackupCompleted")?;
    let detail = &completed["detail"];
    for field in ["backup_id", "run_id", "rows", "stored_bytes", "database"] {
        ensure!(detail[field] == dumped[field], "{field}: {detail:#} and {dumped:#}");
    }
    ensure!(detail["verified"] == false && detail["format_version"] == 1, "{detail:#}");

    // The very envelope that EventBridge made.
    let verified = functions.invoke_made_up("verify", &completed.to_string())?.answer()?;
    ensure!(verified["backups"][0]["whole"] == true, "{verified:#}");
    ensure!(bus.next("BackupVerified")?["detail"]["backup_id"] == dumped["backup_id"]);
    let listed = store.lifeboat(["list", "orders"]).json()?;
    ensure!(listed["backups"][0]["rung"] == "verified", "{listed:#}");

    // Every line of the log says which run of which database it belongs to; one of them holds the run's metrics, and one the
    // invocation's.
    let lines = lines(&functions, "dump-0.log");
    let (metrics, log): (Vec<&Value>, Vec<&Value>) = lines.iter().partition(|line| line.get("_aws").is_some());
    ensure!(metrics.len() == 2 && metrics[0]["Rows"].as_f64() == dumped["rows"].as_f64(), "{metrics:#?}");
    ensure!(metrics[0]["database"] == "orders" && metrics[1].get("database").is_none(), "{metrics:#?}");
    for line in metrics {
        ensure!(line["Success"] == 1.0 && line["operation"] == "dump", "{line:#}");
        ensure!(line["run_id"] == dumped["run_id"] && line["Duration"].as_f64() > Some(0.0), "{line:#}");
    }
    ensure!(log.len() > 3, "{}", functions.log("dump-0.log"));
    for line in log {
        for field in ["operation", "run_id", "database", "request_id", "level", "message", "timestamp"] {
            ensure!(line[field].is_string(), "{field} is missing: {line:#}");
        }
        ensure!(line["run_id"] == dumped["run_id"], "{line:#}");
    }
    no_session_stays_on(&["function_told"])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_while_the_bus_is_stopped_is_kept_and_told_later() -> Result<()> {
    // A folder: this process, which stands for health here, has no credentials of AWS.
    let store = StoreUnderTest::folder()?;
    fifteen()?.create_shop("function_untold", "0.01")?;
    let bus = Bus::create("untold")?;
    let proxy = Proxy::start(localstack()?.address.port(), Mode::Cut)?;
    let mut functions = Functions::start(&store, "function_untold")?;
    let mut environment = bus.environment(&format!("http://127.0.0.1:{}", proxy.port()));
    environment.extend(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name.to_owned(), "test".to_owned())));
    serve(&mut functions, "dump", &environment)?;

    // The backup is what counts: it is made, and the answer says so.
    let dumped = functions.invoke("dump", "nightly.json")?.answer()?;
    ensure!(dumped["status"] == "done", "{dumped:#}");
    let log = functions.log("dump-0.log");
    ensure!(log.contains("publish to the bus 'untold'") && log.contains("health sends them again"), "{log}");

    let told = MemoryBus::default();
    let setup = setup(&store, &told)?;
    let context = setup.context(Arc::new(Unwatched), Cancel::never());
    told.stop(true);
    ensure!(send_undelivered(&setup, &context).await.is_err());
    told.stop(false);
    ensure!(send_undelivered(&setup, &context).await? == 1);
    ensure!(send_undelivered(&setup, &context).await? == 0);
    ensure!(told.names() == ["BackupCompleted"]);
    ensure!(told.events()[0].run_id.as_str() == dumped["run_id"].as_str().unwrap_or_default());

    // The bus is there again, and nothing has to be started anew.
    proxy.set(Mode::Pass);
    functions.invoke("dump", "now.json")?.answer()?;
    bus.next("BackupCompleted")?;
    Ok(())
}

fn setup(store: &StoreUnderTest, bus: &MemoryBus) -> Result<Setup> {
    let environment = Environment::of([("LIFEBOAT_STORE", &store.url), ("LIFEBOAT_EVENT_BUS", "lifeboat")]);
    Ok(Setup::of_function(environment, "health", Arc::new(Kept::with_bus(Arc::new(bus.clone()))))?)
}

#[test]
fn a_store_that_is_stopped_is_a_clear_error_and_is_told() -> Result<()> {
    let mut store = StoreUnderTest::minio()?;
    fifteen()?.create_database("function_storeless")?;
    let bus = Bus::create("storeless")?;
    let proxy = Proxy::start(lifeboat_tests::stores::minio()?.address.port(), Mode::Cut)?;
    store.reach_through(&format!("http://127.0.0.1:{}", proxy.port()));
    let mut functions = Functions::start(&store, "function_storeless")?;
    serve(&mut functions, "dump", &bus.environment(&localstack()?.endpoint))?;
    let failed = functions.invoke("dump", "nightly.json")?.error("store")?;
    let told = bus.next("BackupFailed")?;
    ensure!(told["detail"]["kind"] == "store" && told["detail"]["database"] == "orders", "{told:#}");
    ensure!(failed.contains("hint: "), "{failed}");
    proxy.set(Mode::Pass);
    let done = functions.invoke("dump", "nightly.json")?.answer()?;
    ensure!(done["status"] == "done", "{done:#}");
    bus.next("BackupCompleted")?;
    Ok(())
}

#[test]
fn a_password_of_secrets_manager_may_be_rotated_between_runs_and_the_service_may_be_stopped() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::minio()?, fifteen()?);
    cluster.create_database("function_secret")?;
    cluster.sql("postgres", "CREATE ROLE rotated LOGIN SUPERUSER PASSWORD 'first hunter2'")?;
    let aws = Aws::new(localstack()?);
    let secret = |password: &str| {
        json!({ "engine": "postgres", "host": "127.0.0.1", "port": cluster.port(), "dbname": "function_secret",
            "username": "rotated", "password": password })
        .to_string()
    };
    // Every version of a secret has a name of its own, which programs make up.
    let version = |number: u32| format!("00000000-0000-4000-8000-{number:012}");
    let named = json!({ "Name": "orders/backup", "SecretString": secret("first hunter2"),
        "ClientRequestToken": version(1) });
    aws.json("secretsmanager", "CreateSecret", &named)?;
    let proxy = Proxy::start(localstack()?.address.port(), Mode::Pass)?;
    let mut functions = Functions::start(&store, "function_secret")?;
    functions.write("lifeboat.toml", "[databases.orders]\nurl = { secret = \"orders/backup\" }\n")?;
    let environment = on_localstack(&format!("http://127.0.0.1:{}", proxy.port()));
    serve(&mut functions, "dump", &environment)?;
    functions.invoke("dump", "now.json")?.answer()?;

    // Rotated: the process knows the first one.
    cluster.sql("postgres", "ALTER ROLE rotated PASSWORD 'second hunter2'")?;
    let value = json!({ "SecretId": "orders/backup", "SecretString": secret("second hunter2"),
        "ClientRequestToken": version(2) });
    aws.json("secretsmanager", "PutSecretValue", &value)?;
    let rotated = functions.invoke("dump", "now.json")?.answer()?;
    ensure!(rotated["status"] == "done", "{rotated:#}");
    ensure!(functions.log("dump-0.log").contains("the secret is fetched again"), "{}", functions.log("dump-0.log"));

    // Stopped: what the process knows is good enough, until it is not.
    proxy.set(Mode::Cut);
    functions.invoke("dump", "now.json")?.answer()?;
    serve(&mut functions, "verify", &environment)?;
    let verified = functions.invoke("verify", "latest.json")?.answer()?;
    ensure!(verified["status"] == "done", "verify needs no database: {verified:#}");
    cluster.sql("postgres", "ALTER ROLE rotated PASSWORD 'third hunter2'")?;
    let failed = functions.invoke("dump", "now.json")?.error("store")?;
    ensure!(failed.contains("orders/backup"), "{failed}");
    for log in ["dump-0.log", "verify-0.log"] {
        ensure!(!functions.log(log).contains("hunter2"), "a password is told");
    }
    no_session_stays_on(&["function_secret"])
}
