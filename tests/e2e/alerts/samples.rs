//! The functions `alert` and `notify` with every event of the repository, behind Lambda's runtime API, without a topic.

use anyhow::{Result, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::json;

use super::{Ends, functions};

#[test]
fn every_sample_event_is_answered_as_documented() -> Result<()> {
    let (store, ends) = (StoreUnderTest::minio()?, Ends::of("samples"));
    let functions = functions(&store, &ends, "alerts_samples")?;

    // A batch of three: two databases fail, one is well. Its first event again; then one that is none of ours.
    let batch = functions.invoke("alert", "batch.json")?.answer()?;
    ensure!(batch["batchItemFailures"] == json!([]) && batch["opened"] == 2 && batch["told"] == 2, "{batch:#}");
    let again = functions.invoke("alert", "failed.json")?.answer()?;
    ensure!(again["opened"] == 0 && again["told"] == 0, "{again:#}");
    let foreign = functions.invoke("alert", "foreign.json")?.answer()?;
    let left = json!([{ "itemIdentifier": "19dd0b57-b21e-4ac1-bd88-01bbb068cb04" }]);
    ensure!(foreign["batchItemFailures"] == left && foreign["told"] == 0, "{foreign:#}");
    let reminded = functions.invoke("alert", "remind.json")?.answer()?;
    ensure!(reminded["told"] == 0 && reminded["digest_id"].is_null(), "{reminded:#}");
    let digest = functions.invoke("alert", "digest.json")?.answer()?;
    ensure!(digest["digest_id"].is_string(), "{digest:#}");
    let incident = functions.invoke("notify", "incident.json")?.answer()?;
    ensure!(incident["messages"][0]["sent"] == json!(["mail", "team"]), "{incident:#}");
    let alarm = functions.invoke("notify", "alarm.json")?.answer()?;
    ensure!(alarm["messages"][0]["subject"].as_str().is_some_and(|s| s.contains("backup-age")), "{alarm:#}");

    let mail = ends.mail()?;
    let subjects: Vec<&str> = mail.iter().filter_map(|m| m["subject"].as_str()).collect();
    ensure!(subjects.len() == 4 && ends.chats()?.len() == 4, "{subjects:#?}");
    ensure!(subjects[0] == "[lifeboat] CRITICAL 2 databases: backup failed", "{subjects:#?}");
    ensure!(subjects[1].starts_with("[lifeboat] digest: 1 database, 2 open incidents"), "{subjects:#?}");
    let unknown = functions.invoke_made_up("alert", r#"{"digst":true}"#)?.error("usage")?;
    ensure!(unknown.contains("events/alert/"), "{unknown}");
    Ok(())
}
