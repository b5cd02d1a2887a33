//! What cannot be worked off or delivered: the dead-letter queue has it, and everybody can see it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Stack, StoreUnderTest,
    aws::{ACCOUNT, REGION},
    cluster::repository,
    program::wait_until,
    sinks::fail_posts_to,
};
use serde_json::{Value, json};

use super::{Ends, detail, refused, stack};

const PATIENCE: Duration = Duration::from_mins(2);

/// Lets the queue deliver again after a second what was not worked off: nobody waits three times half a minute.
fn deliver_again_at_once(stack: &Stack) -> Result<()> {
    let name = stack.queue_arn("alert");
    let name = name.rsplit(':').next().context("a name")?;
    let url = format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}");
    let input = json!({ "QueueUrl": url, "Attributes": { "VisibilityTimeout": "2" } });
    stack.aws.json("sqs", "SetQueueAttributes", &input).map(drop)
}

/// Health's finding of alerts that did not arrive, as the function answers it.
fn finding(stack: &Stack) -> Result<Option<Value>> {
    let answer = stack.invoke("health", &json!({ "database": "orders" }))?.answer()?;
    let findings = answer["databases"][0]["findings"].as_array().or_else(|| answer["findings"].as_array());
    let findings = findings.with_context(|| format!("findings in {answer:#}"))?;
    Ok(findings.iter().find(|finding| finding["code"] == "alerts_undelivered").cloned())
}

fn page(store: &StoreUnderTest) -> Result<String> {
    Ok(store.lifeboat(["status", "--format", "html"]).run()?.expect(0)?.stdout)
}

#[test]
fn an_event_that_is_none_of_ours_ends_in_the_dead_letter_queue_and_is_seen() -> Result<()> {
    let (store, ends) = (StoreUnderTest::minio()?, Ends::of("dead-letters"));
    let stack = stack(&store, &ends)?;
    deliver_again_at_once(&stack)?;
    stack.deploy(&["alert", "notify", "health"])?;
    // Somebody else writes as Lifeboat; what Lifeboat itself says in the same moment is told.
    stack.put_event("BackupFailed", &json!({ "database": "orders", "made": "up" }))?;
    stack.put_event("BackupFailed", &detail("billing", "2026-11-20T02:00:04Z", "BackupFailed", &refused()))?;

    let mut given_up = Vec::new();
    wait_until("the queue gives it up", PATIENCE, || {
        given_up.extend(stack.take_dead_letters()?);
        Ok(!given_up.is_empty())
    })?;
    ensure!(given_up.len() == 1 && given_up[0]["detail"]["made"] == "up", "{given_up:#?}");
    wait_until("chat and mail have the other", PATIENCE, || Ok(ends.counts()? == (1, 1)))?;

    let listed = store.lifeboat(["alert", "list"]).json()?;
    let undelivered = listed["undelivered"].as_array().context("undelivered")?;
    ensure!(undelivered.len() == 1, "told once, however often it was tried: {listed:#}");
    let why = undelivered[0]["channels"]["alert"].as_str().context("a reason")?;
    ensure!(why.contains("read an event's detail") && why.contains("dead-letter queue"), "{why}");
    let text = store.lifeboat(["alert", "list"]).run()?.expect(0)?.stdout;
    ensure!(text.contains("Not arrived yet:") && text.contains("none of Lifeboat's"), "{text}");
    let found = finding(&stack)?.context("health says nothing")?;
    ensure!(found["message"].as_str().is_some_and(|m| m.contains("1 alert did not arrive")), "{found:#}");
    let page = page(&store)?;
    ensure!(page.contains("Alerts that did not arrive") && page.contains("dead-letter queue"), "{page}");
    Ok(())
}

#[test]
fn a_message_that_no_try_delivers_ends_in_the_dead_letter_queue_and_arrives_once_the_channel_is_back() -> Result<()> {
    let (store, ends) = (StoreUnderTest::minio()?, Ends::of("given-up"));
    let stack = stack(&store, &ends)?;
    stack.deploy(&["notify", "health"])?;
    fail_posts_to(&ends.slack, 1000, 503)?;
    let event = |name: &str| -> Result<Value> {
        Ok(serde_json::from_slice(&std::fs::read(repository().join("events/notify").join(name))?)?)
    };
    let incident = event("incident.json")?["Records"][0]["Sns"].clone();
    let (subject, message) = (incident["Subject"].as_str().context("a subject")?, &incident["Message"]);
    let message = message.as_str().context("a message")?;
    let parameters =
        [("TopicArn", stack.topic_arn()), ("Subject", subject.to_owned()), ("Message", message.to_owned())];
    let parameters = parameters.each_ref().map(|(name, value)| (*name, value.as_str()));
    stack.aws.query("sns", "Publish", &parameters)?;

    let mut given_up = Vec::new();
    wait_until("Lambda gives it up", PATIENCE, || {
        given_up.extend(stack.take_dead_letters()?);
        Ok(!given_up.is_empty())
    })
    .with_context(|| stack.logs("notify").unwrap_or_default())?;
    ensure!(given_up.len() == 1 && given_up[0]["Records"][0]["Sns"]["Message"] == message, "{given_up:#?}");
    ensure!(ends.counts()? == (0, 1), "mail has it once, chat not at all: {:?}", ends.counts()?);
    let listed = store.lifeboat(["alert", "list"]).json()?;
    let why = listed["undelivered"][0]["channels"]["team"].as_str().context("a reason")?;
    ensure!(why.contains("503"), "{listed:#}");
    let found = finding(&stack)?.context("health says nothing")?;
    ensure!(found["message"].as_str().is_some_and(|m| m.contains("team") && m.contains("503")), "{found:#}");
    ensure!(page(&store)?.contains("Alerts that did not arrive"));

    // The channel is back: the next message takes the older one along, after itself, and mail is not sent again.
    fail_posts_to(&ends.slack, 0, 503)?;
    stack.invoke("notify", &event("alarm.json")?)?.answer()?;
    ensure!(ends.counts()? == (2, 2), "{:?}", ends.counts()?);
    ensure!(ends.chats()?[1]["text"] == subject, "{:#?}", ends.chats()?);
    let listed = store.lifeboat(["alert", "list"]).json()?;
    ensure!(listed["undelivered"] == json!([]), "{listed:#}");
    ensure!(finding(&stack)?.is_none());
    Ok(())
}
