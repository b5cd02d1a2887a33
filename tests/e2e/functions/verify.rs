//! The function `verify`: by request, and by the event that a backup exists.

use std::fs;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{StoreUnderTest, cluster::repository};
use serde_json::{Value, json};

use super::emulator::Functions;
use crate::{
    shared::{call, fifteen, no_session_stays_on},
    stores::access::opened,
};

/// The envelope of the repository, for a backup that exists.
fn completed(backup_id: &str) -> Result<Value> {
    let sample = fs::read(repository().join("events/verify/backup-completed.json"))?;
    let mut envelope: Value = serde_json::from_slice(&sample)?;
    envelope["detail"]["backup_id"] = json!(backup_id);
    Ok(envelope)
}

fn dumped(store: &StoreUnderTest, database: &str) -> Result<String> {
    let dumped = call(store, database, &["dump", "orders", "--no-verify"])?.json()?;
    Ok(dumped["backup_id"].as_str().context("the backup's id")?.to_owned())
}

fn rungs(store: &StoreUnderTest) -> Result<Vec<String>> {
    let listed = store.lifeboat(["list", "orders"]).json()?;
    let standing =
        |b: &Value| if b["corrupt"] == true { "corrupt" } else { b["rung"].as_str().unwrap_or("") }.to_owned();
    Ok(listed["backups"].as_array().context("backups")?.iter().map(standing).collect())
}

#[test]
fn a_backup_is_read_once_however_often_its_event_is_delivered_and_again_when_it_is_asked_for() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("function_verify", "0.01")?;
    let backup = dumped(&store, "function_verify")?;
    ensure!(rungs(&store)? == ["uploaded"]);
    let mut functions = Functions::start(&store, "function_verify")?;
    functions.serve("verify", 1, &[])?;

    let event = completed(&backup)?;
    let first = functions.invoke_made_up("verify", &event.to_string())?.answer()?;
    let read = &first["backups"][0];
    ensure!(first["status"] == "done" && read["backup_id"] == backup && read["whole"] == true, "{first:#}");
    ensure!(read["rows"].as_u64() > Some(1000) && read["objects"].as_u64() > Some(5), "{first:#}");
    ensure!(rungs(&store)? == ["verified"]);
    let again = functions.invoke_made_up("verify", &event.to_string())?.answer()?;
    ensure!(again["status"] == "already_done" && again["earlier"]["run_id"] == first["run_id"], "{again:#}");

    // Whoever asks gets it read; by name, and as the newest there is, although that is not verified.
    let newer = dumped(&store, "function_verify")?;
    let asked = functions.invoke("verify", "latest.json")?.answer()?;
    ensure!(asked["backups"][0]["backup_id"] == newer && asked["status"] == "done", "{asked:#}");
    let named = json!({ "database": "orders", "backup": backup });
    let named = functions.invoke_made_up("verify", &named.to_string())?.answer()?;
    ensure!(named["backups"][0]["backup_id"] == backup, "{named:#}");

    // Both were verified a moment ago: the weekly rule finds nothing to do, and would begin with one that was not.
    let oldest = dumped(&store, "function_verify")?;
    let older = functions.invoke("verify", "older.json")?.answer()?;
    ensure!(older["backups"].as_array().is_some_and(|b| b.len() == 1), "{older:#}");
    ensure!(older["backups"][0]["backup_id"] == oldest && older["left"] == 0 && older["frozen"] == 0, "{older:#}");
    let twice = functions.invoke("verify", "older.json")?.answer()?;
    ensure!(twice["status"] == "already_done", "{twice:#}");

    let mut made_by_the_command_line = completed(&backup)?;
    made_by_the_command_line["detail"]["verified"] = json!(true);
    let skipped = functions.invoke_made_up("verify", &made_by_the_command_line.to_string())?.answer()?;
    ensure!(skipped["skipped"].is_string() && skipped["backups"] == json!([]), "{skipped:#}");
    no_session_stays_on(&["function_verify"])
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_an_error_of_kind_corrupt_and_the_backup_is_not_good_any_more() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("function_damaged", "0.01")?;
    let backup = dumped(&store, "function_damaged")?;
    let inside = opened(&store).await?;
    let objects = inside.list(&format!("orders/{backup}/archive/")).await?;
    let victim = objects.iter().max_by_key(|o| o.size).context("an object")?.key.clone();
    let (bytes, _) = inside.read(&victim, 1 << 30).await?;
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    inside.delete(&victim).await?;
    inside.put_new(&victim, bytes.into(), &"damage".parse()?).await?;

    let mut functions = Functions::start(&store, "function_damaged")?;
    functions.serve("verify", 1, &[])?;
    let event = completed(&backup)?.to_string();
    let error = functions.invoke_made_up("verify", &event)?.error("corrupt")?;
    let name = victim.rsplit('/').next().unwrap_or_default();
    ensure!(error.contains(&backup) && error.contains(name), "{error}");
    ensure!(rungs(&store)? == ["corrupt"]);
    let again = functions.invoke_made_up("verify", &event)?.answer()?;
    ensure!(again["earlier"]["backups"][0]["whole"] == false, "{again:#}");

    let none = functions.invoke_made_up("verify", r#"{"database":"orders","backup":"20200101T000000Z-aaaa"}"#)?;
    ensure!(none.error("not_found")?.contains("20200101T000000Z-aaaa"));
    let wrong = functions.invoke_made_up("verify", r#"{"database":"orders","backup":"newest"}"#)?;
    ensure!(wrong.error("usage")?.contains("older"));
    let other = completed(&backup)?.to_string().replace("BackupCompleted", "BackupVerified");
    functions.invoke_made_up("verify", &other)?.error("usage")?;
    Ok(())
}
