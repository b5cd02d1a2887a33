//! The functions `alert` and `notify`, deployed: bus, queue, topic, chat and mail.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{StoreUnderTest, cluster::repository, program::wait_until, sinks::fail_posts_to};
use serde_json::{Value, json};

use super::{Ends, batch, detail, refused, stack};

const PATIENCE: Duration = Duration::from_secs(90);

fn completed() -> Value {
    json!({
        "backup_id": "20261120T031500Z-abcd", "tier": "daily", "snapshot_at": "2026-11-20T03:15:01Z", "tables": 14,
        "rows": 1_250_731, "raw_bytes": 734_003_200, "stored_bytes": 139_460_608, "seconds": 31.5, "omitted": 0, "verified": true
    })
}

#[test]
fn an_event_on_the_bus_reaches_chat_and_mail_once_with_what_to_do() -> Result<()> {
    let (store, ends) = (StoreUnderTest::minio()?, Ends::of("on-the-bus"));
    let stack = stack(&store, &ends)?;
    stack.deploy(&["alert", "notify"])?;

    // Ten failures, some of them delivered twice.
    for minute in 0..10 {
        let failed = detail("orders", &format!("2026-11-20T02:0{minute}:04Z"), "BackupFailed", &refused());
        stack.put_event("BackupFailed", &failed)?;
        if minute % 3 == 0 {
            stack.put_event("BackupFailed", &failed)?;
        }
    }
    wait_until("chat and mail have the alert", PATIENCE, || Ok(ends.counts()? == (1, 1)))?;
    let resolved = detail("orders", "2026-11-20T03:15:40Z", "BackupCompleted", &completed());
    stack.put_event("BackupCompleted", &resolved)?;
    wait_until("chat and mail have the end", PATIENCE, || Ok(ends.mail()?.len() >= 2 && ends.chats()?.len() >= 2))?;

    let (chats, mail) = (ends.chats()?, ends.mail()?);
    ensure!((chats.len(), mail.len()) == (2, 2), "{chats:#?} {mail:#?}");
    for (told, subject) in
        [(0, "[lifeboat] CRITICAL orders: backup failed"), (1, "[lifeboat] RESOLVED orders: backups work again")]
    {
        ensure!(chats[told]["text"] == subject && mail[told]["subject"] == subject, "{chats:#?}");
    }
    let text = mail[0]["text"].as_str().context("a text")?;
    for words in
        ["2026-11-20 02:00 UTC", "connection refused", "no good backup is known", "lifeboat dump orders", "Ann, +49"]
    {
        ensure!(text.contains(words), "'{words}' is missing: {text}");
        let words = words.replace('\'', "&#39;");
        ensure!(mail[0]["html"].as_str().is_some_and(|html| html.contains(&words)), "{words}");
        ensure!(chats[0]["blocks"].to_string().contains(&words), "{words}: {:#}", chats[0]);
    }
    ensure!(mail[1]["text"].as_str().is_some_and(|t| t.contains("20261120T031500Z-abcd") && t.contains("10 times")));

    let published = stack.take_alerts()?;
    ensure!(published.len() == 2, "{published:#?}");
    let attributes = &published[0]["MessageAttributes"];
    ensure!(
        attributes["database"]["Value"] == "orders" && attributes["severity"]["Value"] == "critical",
        "{attributes:#}"
    );
    let document: Value = serde_json::from_str(published[0]["Message"].as_str().context("a message")?)?;
    ensure!(document["entries"][0]["commands"][1] == "lifeboat dump orders", "{document:#}");
    ensure!(stack.take_dead_letters()?.is_empty(), "something was given up");
    Ok(())
}

#[test]
fn a_hundred_databases_failing_together_are_one_message_that_lists_them() -> Result<()> {
    let (store, ends) = (StoreUnderTest::minio()?, Ends::of("a-hundred"));
    let stack = stack(&store, &ends)?;
    stack.deploy(&["alert", "notify"])?;
    let names: Vec<String> = (0..100).map(|n| format!("shop-{n:02}")).collect();
    let failed: Vec<Value> =
        names.iter().map(|name| detail(name, "2026-11-20T02:00:04Z", "BackupFailed", &refused())).collect();
    let answer = stack.invoke("alert", &batch(&failed))?.answer()?;
    ensure!(answer["batchItemFailures"] == json!([]) && answer["told"] == 100, "{answer:#}");
    wait_until("chat and mail have it", PATIENCE, || Ok(ends.counts()? == (1, 1)))?;
    let (chat, mail) = (ends.chats()?.remove(0), ends.mail()?.remove(0));
    ensure!(mail["subject"] == "[lifeboat] CRITICAL 100 databases: backup failed", "{mail:#}");
    for name in &names {
        for (form, text) in [("mail", &mail["text"]), ("HTML", &mail["html"])] {
            ensure!(text.as_str().is_some_and(|text| text.contains(name)), "{name} is missing in {form}");
        }
        ensure!(chat["blocks"].to_string().contains(name), "{name} is missing in the chat");
    }
    // The same batch again: nobody hears of it.
    let again = stack.invoke("alert", &batch(&failed))?.answer()?;
    ensure!(again["told"] == 0 && again["opened"] == 0, "{again:#}");
    ensure!(stack.take_alerts()?.len() == 1);
    Ok(())
}

#[test]
fn while_the_topic_is_away_nothing_is_lost_and_everybody_can_see_it() -> Result<()> {
    let (store, ends) = (StoreUnderTest::minio()?, Ends::of("topic-away"));
    let stack = stack(&store, &ends)?;
    stack.deploy(&["alert"])?;
    let arn = stack.topic_arn();
    stack.aws.query("sns", "DeleteTopic", &[("TopicArn", &arn)])?;

    let events = [
        detail("orders", "2026-11-20T02:00:04Z", "BackupFailed", &refused()),
        detail("billing", "2026-11-20T02:00:05Z", "BackupFailed", &refused()),
    ];
    let error = stack.invoke("alert", &batch(&events))?.error()?;
    ensure!(error["errorType"] == "store", "{error:#}");
    let message = error["errorMessage"].as_str().unwrap_or_default();
    ensure!(message.contains(&arn) && message.contains("hint: "), "{message}");
    let listed = store.lifeboat(["alert", "list"]).json()?;
    ensure!(listed["open"].as_array().is_some_and(|open| open.len() == 2), "{listed:#}");
    ensure!(listed["unsent"].as_array().is_some_and(|unsent| unsent.len() == 2), "{listed:#}");

    // It is there again; nobody sends the events again, and the next look finds what was not told.
    let name = arn.rsplit(':').next().context("the topic's name")?;
    stack.aws.query("sns", "CreateTopic", &[("Name", name)])?;
    stack.deploy(&["notify"])?;
    let answer = stack.invoke("alert", &json!({ "remind": true }))?.answer()?;
    ensure!(answer["told"] == 2, "{answer:#}");
    wait_until("chat and mail have it", PATIENCE, || Ok(ends.counts()? == (1, 1)))?;
    let listed = store.lifeboat(["alert", "list"]).json()?;
    ensure!(
        listed["unsent"] == json!([]) && listed["open"].as_array().is_some_and(|open| open.len() == 2),
        "{listed:#}"
    );
    let again = stack.invoke("alert", &batch(&events))?.answer()?;
    ensure!(again["told"] == 0, "{again:#}");
    Ok(())
}

#[test]
fn a_channel_that_fails_is_tried_again_and_the_other_is_not_told_twice() -> Result<()> {
    let (store, ends) = (StoreUnderTest::minio()?, Ends::of("channel-away"));
    let stack = stack(&store, &ends)?;
    stack.deploy(&["notify"])?;
    let event: Value = serde_json::from_slice(&std::fs::read(repository().join("events/notify/incident.json"))?)?;
    fail_posts_to(&ends.slack, 4, 503)?;
    let error = stack.invoke("notify", &event)?.error()?;
    let message = error["errorMessage"].as_str().unwrap_or_default();
    ensure!(message.contains("team") && message.contains("503") && !message.contains(&ends.slack), "{message}");
    let listed = store.lifeboat(["alert", "list"]).json()?;
    ensure!(listed["undelivered"][0]["channels"]["team"].as_str().is_some_and(|e| e.contains("503")), "{listed:#}");
    let answer = stack.invoke("notify", &event)?.answer()?;
    ensure!(answer["messages"][0]["had"].as_array().is_some_and(|had| had.contains(&json!("mail"))), "{answer:#}");
    let again = stack.invoke("notify", &event)?.answer()?;
    ensure!(again["messages"][0]["sent"] == json!([]), "{again:#}");
    ensure!(ends.counts()? == (1, 1), "{:?}", ends.counts()?);
    let listed = store.lifeboat(["alert", "list"]).json()?;
    ensure!(listed["undelivered"] == json!([]), "{listed:#}");

    // What CloudWatch publishes on the same topic goes the same way.
    let alarm: Value = serde_json::from_slice(&std::fs::read(repository().join("events/notify/alarm.json"))?)?;
    stack.invoke("notify", &alarm)?.answer()?;
    let mail = ends.mail()?;
    ensure!(mail.len() == 2 && mail[1]["subject"].as_str().is_some_and(|s| s.contains("lifeboat-orders-backup-age")));
    Ok(())
}

#[test]
fn a_channel_that_is_away_holds_up_no_new_message_and_gets_all_by_the_hourly_wish() -> Result<()> {
    let (store, ends) = (StoreUnderTest::minio()?, Ends::of("hourly-wish"));
    let stack = stack(&store, &ends)?;
    stack.deploy(&["notify"])?;
    let sample = |name: &str| -> Result<Value> {
        Ok(serde_json::from_slice(&std::fs::read(repository().join("events/notify").join(name))?)?)
    };
    // Four attempts of the incident, and four of the alarm: what waits is not tried before what is new.
    fail_posts_to(&ends.slack, 8, 503)?;
    stack.invoke("notify", &sample("incident.json")?)?.error()?;
    stack.invoke("notify", &sample("alarm.json")?)?.error()?;
    ensure!(ends.counts()? == (0, 2), "{:?}", ends.counts()?);
    let listed = store.lifeboat(["alert", "list"]).json()?;
    ensure!(listed["undelivered"].as_array().is_some_and(|left| left.len() == 2), "{listed:#}");
    let answer = stack.invoke("notify", &sample("deliver.json")?)?.answer()?;
    ensure!(answer["delivered"] == 2 && answer["undelivered"] == 0, "{answer:#}");
    ensure!(ends.counts()? == (2, 2), "{:?}", ends.counts()?);
    let again = stack.invoke("notify", &sample("deliver.json")?)?.answer()?;
    ensure!(again["delivered"] == 0 && ends.counts()? == (2, 2), "{again:#}");
    Ok(())
}
