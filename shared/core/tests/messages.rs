//! What people read, form by form; snapshots of each lie in `snapshots/`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod sample_messages;

use insta::assert_snapshot;
use lifeboat_core::{
    events::Severity,
    messages::{Audience, Message, of_foreign, to_html, to_pagerduty, to_slack, to_sms, to_text},
};
use sample_messages::{all, at, digest, escalated, mixed, one, outage, resolved, test};
use serde_json::Value;

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn one_failure_as_text() {
    assert_snapshot!(to_text(&one()));
}

#[test]
fn one_failure_as_json_for_programs() {
    let document = serde_json::to_value(one()).unwrap();
    assert_snapshot!(pretty(&document));
    assert_eq!(serde_json::from_value::<Message>(document).unwrap(), one());
}

#[test]
fn one_failure_for_slack() {
    assert_snapshot!(pretty(&to_slack(&one())));
}

#[test]
fn one_failure_for_a_pager() {
    assert_snapshot!(pretty(&Value::from(to_pagerduty(&one()))));
}

#[test]
fn one_failure_as_html() {
    assert_snapshot!(to_html(&one()).unwrap());
}

#[test]
fn an_outage_of_a_hundred_databases_as_text() {
    assert_snapshot!(to_text(&outage(100)));
}

#[test]
fn several_things_at_once_as_text() {
    assert_snapshot!(to_text(&mixed()));
}

#[test]
fn what_lasts_and_is_told_to_further_people_as_text() {
    assert_snapshot!(to_text(&escalated()));
}

#[test]
fn what_is_over_as_text_and_for_a_pager() {
    assert_snapshot!(format!("{}\n{}", to_text(&resolved()), pretty(&Value::from(to_pagerduty(&resolved())))));
}

#[test]
fn the_digest_as_text() {
    assert_snapshot!(to_text(&digest()));
}

#[test]
fn a_test_says_that_it_is_one_in_every_form() {
    let message = test();
    let forms = [to_text(&message), to_sms(&message), to_slack(&message).to_string(), to_html(&message).unwrap()];
    for form in forms.iter().chain([&Value::from(to_pagerduty(&message)).to_string()]) {
        assert!(form.to_lowercase().contains("test"), "{form}");
    }
}

#[test]
fn an_alarm_of_cloudwatch_on_the_same_topic_is_passed_on() {
    let alarm = |state: &str| {
        serde_json::json!({
            "AlarmName": "lifeboat-orders-backup-age", "AlarmDescription": "No good backup for 30 h.",
            "NewStateValue": state, "NewStateReason": "no datapoints were received for 3 periods",
            "StateChangeTime": "2026-11-20T02:00:00.000+0000"
        })
        .to_string()
    };
    let message = of_foreign(Some("ALARM"), &alarm("ALARM"), "1", at(0));
    assert_snapshot!(to_text(&message));
    assert_eq!(message.severity, Severity::Critical);
    let over = of_foreign(Some("OK"), &alarm("OK"), "2", at(10));
    let (began, ended) = (&to_pagerduty(&message)[0], &to_pagerduty(&over)[0]);
    assert_eq!((&began["event_action"], &ended["event_action"]), (&"trigger".into(), &"resolve".into()));
    assert_eq!(began["dedup_key"], ended["dedup_key"]);
    // Other words of others are passed on as they are.
    let words = of_foreign(None, "Your subscription\nwill end.", "3", at(0));
    assert_eq!(words.subject, "[lifeboat] WARNING Your subscription");
}

#[test]
fn every_form_keeps_to_the_limits_of_where_it_goes() {
    // A document in one line, without a subject, of somebody who uses the same topic.
    let line = format!("{{\"words\":\"{}\"}}", "<&ü>".repeat(5000));
    for message in all().into_iter().chain([of_foreign(None, &line, "1", at(0))]) {
        assert!(message.subject.len() < 100 && message.subject.is_ascii(), "{}", message.subject);
        assert!(!message.subject.contains(|c: char| c.is_control()));
        let sms = to_sms(&message);
        assert!(sms.len() <= 140 && sms.is_ascii(), "{sms}");
        let slack = to_slack(&message);
        let blocks = slack["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50, "{} blocks", blocks.len());
        for block in blocks {
            let text = block["text"]["text"].as_str().unwrap_or_default();
            let most = if block["type"] == "header" { 150 } else { 3000 };
            assert!(text.chars().count() <= most, "{} characters: {text}", text.chars().count());
            assert!(block["type"] == "context" || !text.is_empty());
        }
        for event in to_pagerduty(&message) {
            assert!(event["payload"]["summary"].as_str().unwrap().chars().count() <= 1024);
            assert!(event["dedup_key"].as_str().unwrap().chars().count() <= 255);
            assert!(["critical", "warning", "info", "error"].contains(&event["payload"]["severity"].as_str().unwrap()));
        }
    }
}

#[test]
fn every_database_of_an_outage_is_named_in_text_mail_and_slack() {
    let message = outage(100);
    let (text, html, slack) = (to_text(&message), to_html(&message).unwrap(), to_slack(&message).to_string());
    for entry in &message.entries {
        for form in [&text, &html, &slack] {
            assert!(form.contains(entry.database.as_str()), "{} is missing", entry.database);
        }
    }
}

#[test]
fn what_a_server_says_never_becomes_markup() {
    let mut message = one();
    message.entries[0].what = "<script>alert('x')</script> & <!channel> *bold*".to_owned();
    let html = to_html(&message).unwrap();
    assert!(!html.contains("<script>") && html.contains("&#60;script&#62;"), "{html}");
    let slack = to_slack(&message).to_string();
    assert!(!slack.contains("<!channel>") && slack.contains("&lt;!channel&gt;"), "{slack}");
}

#[test]
fn each_audience_gets_what_is_meant_for_it_and_nothing_else() {
    let databases = |audience: &Audience, message: &Message| {
        let theirs = audience.of(message)?;
        Some(theirs.entries.iter().map(|e| format!("{} {}", e.database, e.kind)).collect::<Vec<_>>().join(", "))
    };
    let message = mixed();
    let everything = Audience::default();
    assert_eq!(everything.of(&message), Some(message.clone()));
    let critical = Audience { severity: Severity::Critical, ..Audience::default() };
    assert_eq!(databases(&critical, &message).as_deref(), Some("orders corrupt, users drill, carts backup"));
    let orders = Audience { databases: vec!["billing".parse().unwrap()], ..Audience::default() };
    assert_eq!(databases(&orders, &message).as_deref(), Some("billing retention"));
    let theirs = orders.of(&message).unwrap();
    assert_eq!(
        (theirs.severity, theirs.subject.as_str()),
        (Severity::Warning, "[lifeboat] WARNING billing: retention failed")
    );
    let escalation = Audience { escalation: true, ..Audience::default() };
    assert_eq!(escalation.of(&message), None);
    assert_eq!(databases(&escalation, &escalated()).as_deref(), Some("billing retention"));
    // The digest goes to those who hear everything, a test to all.
    assert!(
        everything.of(&digest()).is_some() && critical.of(&digest()).is_none() && escalation.of(&digest()).is_none()
    );
    assert!(critical.of(&test()).is_some() && escalation.of(&test()).is_some());
}
