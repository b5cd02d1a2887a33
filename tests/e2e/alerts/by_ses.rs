//! Mail by SES: from a verified sender, with text, HTML and headers.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use lifeboat_testkit::{http::request, servers::Ses};
use lifeboat_tests::{Lifeboat, StoreUnderTest};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(1);

fn ask(ses: &Ses, method: &str, path: &str, body: &str) -> Result<String> {
    // The server reads the service and the region from here, and checks no signature.
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ses/aws4_request, SignedHeaders=host, Signature=0";
    let headers = [("Authorization", scope), ("Content-Type", "application/json")];
    let answer = request(ses.address, method, path, &headers, body.as_bytes(), PATIENCE)?;
    ensure!(answer.status == 200, "{method} {path}: HTTP {}: {}", answer.status, answer.text());
    Ok(answer.text())
}

/// What SES took: `source`, `subject`, `body` (the HTML), `destinations`.
fn sent(ses: &Ses) -> Result<Vec<Value>> {
    let all: Value = serde_json::from_str(&ask(ses, "GET", "/moto-api/data.json", "")?)?;
    Ok(all["ses"]["Message"].as_array().context("messages")?.clone())
}

/// What SES was asked to send, whether or not it did.
fn asked(ses: &Ses) -> Result<Vec<Value>> {
    let recorded = ask(ses, "GET", "/moto-api/recorder/download-recording", "")?;
    let calls = recorded.lines().map(|line| Ok(serde_json::from_str::<Value>(line)?)).collect::<Result<Vec<_>>>()?;
    let of_mail = calls.iter().filter(|call| call["url"].as_str().is_some_and(|url| url.ends_with("/outbound-emails")));
    of_mail
        .map(|call| {
            let body = call["body"].as_str().context("a body")?;
            let body = if call["body_encoded"] == true { STANDARD.decode(body)? } else { body.as_bytes().to_vec() };
            Ok(serde_json::from_slice(&body)?)
        })
        .collect()
}

#[test]
fn mail_by_ses_goes_out_from_a_verified_sender_and_from_no_other() -> Result<()> {
    let (store, ses, folder) = (StoreUnderTest::folder()?, Ses::start()?, tempfile::tempdir()?);
    let file = folder.path().join("lifeboat.toml");
    let channel = r#"email = { from = "Lifeboat <lifeboat@acme.example>", to = ["ann@acme.example", "bo@acme.example"], ses = true }"#;
    fs::write(&file, format!("[alerts.channels.mail]\n{channel}\n"))?;
    let call = || -> Lifeboat {
        let call = store.lifeboat(["alert", "test", "--output", "json"]).env("LIFEBOAT_CONFIG", &file);
        let call = call.env("AWS_ENDPOINT_URL_SESV2", &ses.endpoint).env("AWS_REGION", "us-east-1");
        call.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test")
    };
    ask(&ses, "POST", "/moto-api/recorder/start-recording", "")?;

    let refused: Value = serde_json::from_str(&call().run()?.expect(6)?.stdout)?;
    let error = &refused["results"][0]["error"];
    ensure!(error["message"].as_str().is_some_and(|m| m.contains("not verified")), "{refused:#}");
    ensure!(error["hint"].as_str().is_some_and(|h| h.contains("verified in SES")), "{refused:#}");
    ensure!(sent(&ses)?.is_empty(), "{:#?}", sent(&ses)?);

    ask(&ses, "POST", "/v2/email/identities", &json!({ "EmailIdentity": "lifeboat@acme.example" }).to_string())?;
    let done: Value = serde_json::from_str(&call().run()?.expect(0)?.stdout)?;
    ensure!(done["results"][0]["to"] == "mail to ann@acme.example, bo@acme.example by SES", "{done:#}");
    let mail = sent(&ses)?;
    ensure!(mail.len() == 1 && mail[0]["source"] == "Lifeboat <lifeboat@acme.example>", "{mail:#?}");
    ensure!(mail[0]["destinations"]["ToAddresses"] == json!(["ann@acme.example", "bo@acme.example"]), "{mail:#?}");
    ensure!(mail[0]["subject"].as_str().is_some_and(|s| s.starts_with("[lifeboat] ")), "{mail:#?}");

    let asked = asked(&ses)?;
    let simple = &asked.last().context("a request")?["Content"]["Simple"];
    for (form, begin) in [("Text", ""), ("Html", "<!doctype html>")] {
        let text = simple["Body"][form]["Data"].as_str().context("a form")?;
        ensure!(
            text.starts_with(begin) && text.contains("the channel 'mail'") || text.contains("&#39;mail&#39;"),
            "{text}"
        );
        ensure!(simple["Body"][form]["Charset"] == "UTF-8");
    }
    let headers: Vec<&str> =
        simple["Headers"].as_array().into_iter().flatten().filter_map(|h| h["Name"].as_str()).collect();
    ensure!(headers == ["Auto-Submitted", "X-Lifeboat-Severity", "X-Lifeboat-Message"], "{simple:#}");
    Ok(())
}
