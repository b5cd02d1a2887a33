//! The topic that alerts go to: one that is gone, misnamed or out of reach is found before an alert is lost.

use std::fs;

use anyhow::{Result, ensure};
use lifeboat_tests::{Ended, Lifeboat, aws::Aws, stores::localstack};
use serde_json::Value;

use super::watched::Watched;

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:health-topic";

fn on(call: Lifeboat, endpoint: &str) -> Lifeboat {
    let call = call.env("AWS_ENDPOINT_URL", endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
    call.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test")
}

/// The finding about the topic, if there is one.
fn finding(ended: &Ended) -> Result<Option<Value>> {
    let document: Value = serde_json::from_str(&ended.stdout)?;
    let mut findings = document["databases"][0]["findings"].as_array().into_iter().flatten();
    Ok(findings.find(|finding| finding["code"] == "topic_unreachable").cloned())
}

#[test]
fn a_topic_that_cannot_be_used_is_told_with_what_to_do_until_it_can() -> Result<()> {
    let (server, watched) = (localstack()?, Watched::new("health_topic", &format!("[alerts]\ntopic = \"{TOPIC}\"\n"))?);
    let here = |arguments: &[&str]| Ok::<_, anyhow::Error>(on(watched.call(arguments)?, &server.endpoint));
    let health = || Ok::<_, anyhow::Error>(here(&["health", "--output", "json"])?.env("AWS_REGION", "us-east-1"));
    here(&["dump", "orders"])?.env("AWS_REGION", "us-east-1").run()?.expect(0)?;

    for (call, message, remedy) in [
        // There is no such topic.
        (health()?, TOPIC, "set alerts.topic"),
        // It cannot even be opened.
        (here(&["health", "--output", "json"])?, "no AWS region is set", "AWS_REGION"),
    ] {
        let ended = call.run()?.expect(6)?;
        let Some(found) = finding(&ended)? else { anyhow::bail!("not found: {ended:?}") };
        ensure!(found["severity"] == "critical", "{found:#}");
        ensure!(
            found["message"].as_str().is_some_and(|m| m.contains("reach nobody") && m.contains(message)),
            "{found:#}"
        );
        ensure!(found["remedy"].as_str().is_some_and(|r| r.contains(remedy)), "{found:#}");
        let page = fs::read_to_string(watched.page()?)?;
        ensure!(page.contains("alerts reach nobody through the topic"), "the status page says nothing");
    }
    // Nobody answers: alerts may still arrive, from where they are sent.
    let away = on(watched.call(&["health", "--output", "json"])?, "http://127.0.0.1:1").env("AWS_REGION", "us-east-1");
    let away = away.run()?.expect(0)?;
    ensure!(finding(&away)?.is_some_and(|found| found["severity"] == "warning"), "{away:?}");

    Aws::new(server).query("sns", "CreateTopic", &[("Name", "health-topic")])?;
    let well = health()?.run()?.expect(0)?;
    ensure!(finding(&well)?.is_none(), "{well:?}");
    Ok(())
}
