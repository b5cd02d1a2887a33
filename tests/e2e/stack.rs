//! The stack itself: functions on LocalStack's Lambda, its bus, queues and topic, and the sinks.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lifeboat_testkit::http::request;
use lifeboat_tests::{
    Stack, StoreUnderTest,
    program::wait_until,
    sinks::{fail_mail_to, fail_posts_to, mail_to, posts_to, sinks},
};
use serde_json::json;

use crate::shared::fifteen;

#[test]
fn a_function_on_lambda_answers_fails_and_logs_and_its_events_are_seen() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::minio()?, fifteen()?);
    cluster.create_shop("stack_dump", "0.01")?;
    let stack = Stack::create(&store, cluster, "stack_dump", &[])?;
    stack.deploy(&["dump"])?;

    let answer = stack.invoke("dump", &json!({ "database": "orders" }))?.answer()?;
    ensure!(answer["status"] == "done", "{answer:#}");
    let listed = store.lifeboat(["list", "orders"]).json()?;
    ensure!(listed["backups"][0]["backup_id"] == answer["backup_id"], "{listed:#}");
    let error = stack.invoke("dump", &json!({ "database": "billing" }))?.error()?;
    ensure!(error["errorType"] == "config", "{error:#}");

    let run = answer["run_id"].as_str().context("the run's id")?;
    // LocalStack writes them from a thread of its own.
    wait_until("the log names the run", Duration::from_mins(1), || {
        Ok(stack.logs("dump").is_ok_and(|log| log.contains(run) && log.contains("REPORT RequestId")))
    })?;

    stack.put_event("BackupFailed", &json!({ "database": "orders" }))?;
    let mut seen = Vec::new();
    wait_until("the event is seen", Duration::from_mins(1), || {
        seen.extend(stack.take_events()?);
        Ok(seen.iter().any(|event| event["detail-type"] == "BackupFailed" && event["detail"]["database"] == "orders"))
    })?;
    stack.aws.query("sns", "Publish", &[("TopicArn", &stack.topic_arn()), ("Message", "over")])?;
    wait_until("the alert is seen", Duration::from_mins(1), || {
        Ok(stack.take_alerts()?.iter().any(|alert| alert["Message"] == "over"))
    })
}

#[test]
fn an_asynchronous_invocation_that_fails_ends_in_the_dead_letter_queue() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    let stack = Stack::create(&store, fifteen()?, "stack_nothing", &[])?;
    stack.deploy(&["dump"])?;
    stack.aws.invoke_asynchronously(&stack.function("dump"), &json!({ "database": "billing" }))?;
    wait_until("it is given up", Duration::from_mins(1), || {
        Ok(stack.take_dead_letters()?.iter().any(|letter| letter["database"] == "billing"))
    })
}

#[test]
fn the_webhook_sink_records_posts_and_fails_as_often_as_it_is_told() -> Result<()> {
    let address = sinks()?.endpoint.trim_start_matches("http://").parse()?;
    let post =
        || request(address, "POST", "/slack/stack", &[("X-Test", "1")], br#"{"text":"hi"}"#, Duration::from_secs(5));
    fail_posts_to("/slack/stack", 2, 503)?;
    let answers = [post()?.status, post()?.status, post()?.status];
    ensure!(answers == [503, 503, 200], "{answers:?}");
    let posts = posts_to("/slack/stack")?;
    ensure!(posts.len() == 3 && posts[2]["status"] == 200 && posts[2]["headers"]["x-test"] == "1", "{posts:#?}");
    ensure!(posts[2]["body"] == r#"{"text":"hi"}"#, "{posts:#?}");
    Ok(())
}

#[test]
fn the_mail_sink_stores_messages_and_refuses_as_often_as_it_is_told() -> Result<()> {
    let send = || {
        let mut stream = TcpStream::connect(sinks()?.smtp)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let mut last = String::new();
        let message = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n.";
        for line in
            ["", "HELO here", "MAIL FROM:<lifeboat@example.org>", "RCPT TO:<stack@example.org>", "DATA", message]
        {
            if !line.is_empty() {
                write!(stream, "{line}\r\n")?;
            }
            last.clear();
            answers.read_line(&mut last)?;
        }
        anyhow::Ok(last)
    };
    fail_mail_to("stack@example.org", 1, 451)?;
    let (refused, stored) = (send()?, send()?);
    ensure!(refused.starts_with("451") && stored.starts_with("250"), "{refused}{stored}");
    let mail = mail_to("stack@example.org")?;
    ensure!(mail.len() == 1 && mail[0]["subject"] == "Grüße" && mail[0]["text"] == "hello\r\n", "{mail:#?}");
    Ok(())
}
