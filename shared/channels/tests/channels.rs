//! Channels against real servers on this machine: what arrives, what is tried again, and what is never said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::{sync::OnceLock, time::Duration};

use jiff::Timestamp;
use lifeboat_channels::{Patience, Poster, Slack, SmtpEmail, Webhook};
use lifeboat_core::{
    ErrorKind,
    events::Severity,
    messages::{Change, Entry, Kind, Message, Signature, of_entries},
    ports::Channel,
};
use lifeboat_testkit::servers::Sinks;
use secrecy::SecretString;
use serde_json::Value;

/// Quick, so that nobody waits.
const QUICK: Patience = Patience {
    attempts: 3,
    pause: Duration::from_millis(5),
    longest_pause: Duration::from_millis(20),
    attempt: Duration::from_secs(5),
};

fn sinks() -> &'static Sinks {
    static SINKS: OnceLock<Sinks> = OnceLock::new();
    SINKS.get_or_init(|| Sinks::start().unwrap())
}

fn ask(method: &str, path: &str) -> Value {
    let answer = sinks().ask(method, path).unwrap();
    assert_eq!(answer.status, 200, "{path}");
    serde_json::from_slice(&answer.body).unwrap()
}

fn posts(path: &str) -> Vec<Value> {
    ask("GET", &format!("/posts?path={path}")).as_array().unwrap().clone()
}

fn body(post: &Value) -> Value {
    serde_json::from_str(post["body"].as_str().unwrap()).unwrap()
}

fn url(path: &str) -> SecretString {
    SecretString::from(format!("{}{path}", sinks().endpoint))
}

fn message(databases: usize) -> Message {
    let at: Timestamp = "2026-11-20T02:00:00Z".parse().unwrap();
    let entry = |n: usize| Entry {
        database: format!("shop-{n}").parse().unwrap(),
        kind: Kind::Backup,
        change: Change::Opened,
        severity: Severity::Critical,
        title: "backup failed".to_owned(),
        what: "Verbindung verweigert – ünïcode".to_owned(),
        meaning: "There is no new backup.".to_owned(),
        since: at,
        at,
        ended_at: None,
        times: 1,
        protection: None,
        remedy: None,
        commands: vec![format!("lifeboat dump shop-{n}")],
        escalated: false,
    };
    let ids: Vec<String> = (0..databases).map(|n| n.to_string()).collect();
    of_entries((0..databases).map(entry).collect(), &ids, &Signature::default(), at).unwrap()
}

#[tokio::test]
async fn slack_gets_blocks_once() {
    let slack = Slack::new("team", url("/slack/once"), Poster::new(QUICK).unwrap());
    slack.send(&message(1)).await.unwrap();
    let posts = posts("/slack/once");
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0]["headers"]["content-type"], "application/json");
    let body = body(&posts[0]);
    assert_eq!(body["text"], "[lifeboat] CRITICAL shop-0: backup failed");
    assert!(body["blocks"].to_string().contains("ünïcode"));
}

#[tokio::test]
async fn trouble_of_the_receiver_is_waited_out_and_its_refusal_is_not() {
    let slack = |path: &str| Slack::new("team", url(path), Poster::new(QUICK).unwrap());
    for status in [500, 503, 429, 0] {
        let path = format!("/slack/busy-{status}");
        ask("POST", &format!("/fail?times=2&status={status}&retry_after=1&path={path}"));
        slack(&path).send(&message(1)).await.unwrap();
        assert_eq!(posts(&path).len(), 3, "{status}");
    }
    ask("POST", "/fail?times=9&status=404&path=/slack/gone");
    let error = slack("/slack/gone").send(&message(1)).await.unwrap_err();
    assert_eq!((error.kind(), posts("/slack/gone").len()), (ErrorKind::Store, 1));
    assert!(error.to_string().contains("404") && error.hint().contains("webhook"), "{error}");
    ask("POST", "/fail?times=9&status=500&path=/slack/down");
    let error = slack("/slack/down").send(&message(1)).await.unwrap_err();
    assert_eq!(posts("/slack/down").len(), 3);
    assert!(error.to_string().contains("500"), "{error}");
}

#[tokio::test]
async fn no_error_tells_the_secret_address() {
    let refused = "http://127.0.0.1:9/services/T0/B0/hunter2";
    for secret in [refused, "http://hooks.example/hunter2", "hunter2", "ftp://127.0.0.1/hunter2"] {
        let slack = Slack::new("team", SecretString::from(secret), Poster::new(QUICK).unwrap());
        let error = slack.send(&message(1)).await.unwrap_err();
        let told = format!("{error} {error:?} {} {slack:?}", error.hint());
        assert!(!told.contains("hunter2"), "{told}");
    }
    let email = |url: &str| {
        SmtpEmail::new("mail", &SecretString::from(url), "a@acme.example", &["b@acme.example".to_owned()], QUICK)
    };
    for url in
        ["smtp://ann:hunter2@", "http://ann:hunter2@mail", "smtp://ann:hunter2@mail?tls=opportunistic", "hunter2"]
    {
        let error = email(url).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        let told = format!("{error} {error:?} {}", error.hint());
        assert!(!told.contains("hunter2"), "{told}");
    }
    let channel = email("smtp://ann:hunter2@127.0.0.1:9").unwrap();
    let error = channel.send(&message(1)).await.unwrap_err();
    let told = format!("{error} {error:?} {} {}", error.hint(), channel.leads_to());
    assert!(!told.contains("hunter2") && told.contains("127.0.0.1:9"), "{told}");
}

#[tokio::test]
async fn a_pager_gets_one_event_per_incident_with_its_key() {
    let key = SecretString::from("r0uting");
    let pager = Webhook::new("pager", Some(url("/pager")), Some(key), Poster::new(QUICK).unwrap());
    pager.send(&message(3)).await.unwrap();
    let events: Vec<Value> = posts("/pager").iter().map(body).collect();
    let keys: Vec<&str> = events.iter().filter_map(|e| e["dedup_key"].as_str()).collect();
    assert_eq!(keys, ["shop-0/backup", "shop-1/backup", "shop-2/backup"]);
    for event in &events {
        assert_eq!(event["routing_key"], "r0uting");
        assert_eq!((&event["event_action"], &event["payload"]["severity"]), (&"trigger".into(), &"critical".into()));
    }
}

fn email(to: &str) -> SmtpEmail {
    let url = SecretString::from(format!("smtp://lifeboat:hunter2@{}", sinks().smtp));
    SmtpEmail::new("mail", &url, "Lifeboat <lifeboat@acme.example>", &[to.to_owned()], QUICK).unwrap()
}

fn mail(to: &str) -> Vec<Value> {
    ask("GET", &format!("/messages?to={to}")).as_array().unwrap().clone()
}

#[tokio::test]
async fn mail_comes_as_text_and_html_with_a_subject_and_an_id_of_its_own() {
    let message = message(1);
    email("once@acme.example").send(&message).await.unwrap();
    let mail = mail("once@acme.example");
    assert_eq!(mail.len(), 1);
    assert_eq!(mail[0]["subject"], message.subject.as_str());
    let text = mail[0]["text"].as_str().unwrap();
    assert!(text.contains("Verbindung verweigert – ünïcode") && text.contains("lifeboat dump shop-0"), "{text}");
    assert!(mail[0]["html"].as_str().unwrap().contains("<!doctype html>"));
    let headers = mail[0]["headers"].to_string();
    assert!(headers.contains(&format!("<{}@acme.example>", message.id)), "{headers}");
    assert!(headers.contains("auto-generated") && headers.contains("high"), "{headers}");
}

#[tokio::test]
async fn mail_that_is_refused_for_now_is_tried_again_and_for_good_is_not() {
    ask("POST", "/fail-mail?times=2&code=451&to=later@acme.example");
    email("later@acme.example").send(&message(1)).await.unwrap();
    assert_eq!(mail("later@acme.example").len(), 1);
    ask("POST", "/fail-mail?times=9&code=550&to=never@acme.example");
    let error = email("never@acme.example").send(&message(1)).await.unwrap_err();
    assert!(error.to_string().contains("550"), "{error}");
    // The sink has refusals left: it was asked once.
    ask("POST", "/fail-mail?times=0&code=550&to=never@acme.example");
    assert_eq!(mail("never@acme.example").len(), 0);
}
