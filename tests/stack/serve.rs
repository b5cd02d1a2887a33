//! The process that holds every server of the stack, from `make up` to `make down`.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, anyhow};
use lifeboat_tests::{
    Cluster, StoreUnderTest,
    aws::Aws,
    deployment::{Deployment, FUNCTIONS},
    program::{built, wait_until},
    sinks::sinks,
    stack::{environment, on_localstack},
    stores::{localstack, minio},
};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::{folder::Folder, words};

/// The oldest version that Lifeboat supports.
const POSTGRESQL: u32 = 15;
/// Fifty thousand rows: a second to load, a second to dump.
const SCALE: &str = "0.05";
const BUCKET: &str = "lifeboat";

const CONFIGURATION: &str = r#"# Made by `make up`, gone with `make down`.
[databases.orders]
url = { env = "ORDERS_URL" }
schedule = "cron(0 2 * * ? *)"
rpo = "26h"
rto = "30m"

[databases.orders.drill]
scratch = { server = { env = "SCRATCH_URL" } }
checks = [{ name = "there are orders", sql = "SELECT count(*) > 0 FROM shop.orders" }]

[restore.targets.production]
url = { env = "ORDERS_URL" }
overwrite = true

[restore.targets.copy]
url = { env = "COPY_URL" }
overwrite = true
"#;

/// Further, where the function `alert` has been built: until then these keys are unknown.
const ALERTS: &str = r#"
[alerts]
topic = "TOPIC"
contacts = ["whoever runs this stack"]

[alerts.channels.slack]
slack = { env = "ALERTS_SLACK_URL" }

[alerts.channels.pager]
webhook = { url = { env = "ALERTS_WEBHOOK_URL" }, routing_key = { env = "ALERTS_ROUTING_KEY" } }

[alerts.channels.mail]
email = { from = "lifeboat@example.org", to = ["ops@example.org"], smtp = { env = "ALERTS_SMTP_URL" } }
"#;

#[tokio::main]
pub(crate) async fn run(folder: &Folder) -> Result<()> {
    // Somebody who only looks holds the lock for a moment; another stack holds it on.
    let mut lock = None;
    let taken = wait_until("the lock is free", Duration::from_secs(2), || {
        lock = folder.lock()?;
        Ok(lock.is_some())
    });
    if taken.is_err() {
        return Ok(());
    }
    folder.write_server(std::process::id())?;
    // Asked for early: a `make down` while servers are starting is heard too.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        started = start(folder) => {
            let (cluster, state) = started?;
            folder.write_state(&state)?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // The others end when this process does.
            cluster.server.stop().await.map_err(|e| anyhow!("{e}"))?;
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Starts all servers at the same time, then deploys to them.
async fn start(folder: &Folder) -> Result<(Cluster, Value)> {
    let servers = [
        thread::spawn(|| minio().map(drop)),
        thread::spawn(|| localstack().map(drop)),
        thread::spawn(|| sinks().map(drop)),
    ];
    let cluster = Cluster::start_for_people(POSTGRESQL, "lifeboat").await?;
    cluster.create_shop("orders", SCALE)?;
    cluster.create_database("orders_copy")?;
    for server in servers {
        server.join().map_err(|_| anyhow!("starting a server panicked"))??;
    }
    let (store, sinks, localstack) = (StoreUnderTest::minio_bucket(BUCKET)?, sinks()?, localstack()?);

    let mut all = environment(folder.path(), &cluster, "orders", &store)?;
    all.extend(on_localstack(&localstack.endpoint));
    all.extend(
        [
            ("SCRATCH_URL", cluster.url("postgres")),
            ("COPY_URL", cluster.url("orders_copy")),
            ("ALERTS_SLACK_URL", format!("{}/slack", sinks.endpoint)),
            ("ALERTS_WEBHOOK_URL", format!("{}/pager", sinks.endpoint)),
            ("ALERTS_ROUTING_KEY", "lifeboat".to_owned()),
            ("ALERTS_SMTP_URL", format!("smtp://{}", sinks.smtp)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let code = folder.path().join("functions");
    let deployment = Deployment::create(Aws::new(localstack), "lifeboat", &code, &all)
        .with_context(|| format!("LocalStack said: {}", localstack.log()))?;
    let alerts = if built("alert").is_ok() { ALERTS.replace("TOPIC", &deployment.topic_arn()) } else { String::new() };
    fs::write(folder.path().join("lifeboat.toml"), format!("{CONFIGURATION}{alerts}"))?;
    let missing = deployment.deploy(&FUNCTIONS)?;

    all = deployment.environment().to_vec();
    all.push(("SINKS".to_owned(), sinks.endpoint.clone()));
    all.push(("ALERTS_TOPIC".to_owned(), deployment.topic_arn()));
    // Older AWS command lines read only this one.
    all.push(("AWS_DEFAULT_REGION".to_owned(), lifeboat_tests::aws::REGION.to_owned()));
    fs::write(folder.exports(), words::exports(&all))?;
    let state = json!({
        "postgresql": cluster.url("orders"),
        "minio": minio()?.endpoint,
        "bucket": BUCKET,
        "localstack": localstack.endpoint,
        "sinks": sinks.endpoint,
        "smtp": sinks.smtp,
        "functions": FUNCTIONS.iter().filter(|function| !missing.iter().any(|m| m == *function)).collect::<Vec<_>>(),
        "missing": missing,
        "bus": deployment.bus(),
        "topic": deployment.topic_arn(),
        "queue": deployment.queue_arn("alert"),
        "addresses": [
            format!("127.0.0.1:{}", cluster.port()),
            minio()?.address.to_string(),
            localstack.address.to_string(),
            sinks.smtp.to_string(),
        ],
        "environment": all.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    });
    Ok((cluster, state))
}
