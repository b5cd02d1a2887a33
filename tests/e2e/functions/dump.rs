//! The function `dump`: one backup per scheduled time, however often its event is delivered.

use anyhow::{Result, anyhow, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::{Value, json};

use super::emulator::Functions;
use crate::{
    shared::{Holding, a_dump_is_at_work, fifteen, no_session_stays_on},
    stores::access::opened,
};

fn ids(store: &StoreUnderTest) -> Result<Vec<Value>> {
    let listed = store.lifeboat(["list", "orders"]).json()?;
    ensure!(listed["unfinished"] == json!([]), "{listed:#}");
    let backups = listed["backups"].as_array().cloned().unwrap_or_default();
    for backup in &backups {
        ensure!(backup["good"] == true, "{backup:#}");
    }
    Ok(backups.iter().map(|b| b["backup_id"].clone()).collect())
}

#[test]
fn an_event_that_is_delivered_four_times_makes_one_backup() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("function_dump", "0.01")?;
    let mut functions = Functions::start(&store, "function_dump")?;
    functions.serve("dump", 3, &[])?;

    let answers = functions.invoke_at_once("dump", "nightly.json", 3)?;
    let done: Vec<&Value> = answers.iter().filter(|a| a["status"] == "done").collect();
    ensure!(done.len() == 1, "{answers:#?}");
    ensure!(
        answers.iter().all(|a| ["done", "already_running", "already_done"].iter().any(|s| a["status"] == *s)),
        "{answers:#?}"
    );

    // What the answer is documented to hold.
    let answer = done[0];
    ensure!(answer["database"] == "orders" && answer["location"].as_str().is_some_and(|l| l.starts_with(&store.url)));
    ensure!(answer["rows"].as_u64() > Some(1000) && answer["verified"]["objects"] == answer["objects"], "{answer:#}");
    ensure!(ids(&store)? == [answer["backup_id"].clone()]);

    // Later: the answer that was given is given again.
    let again = functions.invoke("dump", "nightly.json")?.answer()?;
    ensure!(again["status"] == "already_done", "{again:#}");
    ensure!(again["earlier"]["backup_id"] == answer["backup_id"], "{again:#}");
    ensure!(ids(&store)?.len() == 1);

    // Without a scheduled time it happens every time it is asked for.
    let now = functions.invoke("dump", "now.json")?.answer()?;
    ensure!(now["status"] == "done" && now["backup_id"] != answer["backup_id"], "{now:#}");
    ensure!(ids(&store)?.len() == 2);
    no_session_stays_on(&["function_dump"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cut_off_before_its_answer_is_taken_over_without_a_second_backup() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("function_cut_off", "0.01")?;
    let mut functions = Functions::start(&store, "function_cut_off")?;
    functions.serve("dump", 1, &[])?;
    let first = functions.invoke("dump", "nightly.json")?.answer()?;
    // What the store holds after a run that came as far as its manifest, and was found to be dead.
    let inside = opened(&store).await?;
    let claims = inside.list(".control/runs/dump/orders/").await?;
    ensure!(claims.len() == 2, "a claim and an answer: {claims:?}");
    for claim in claims {
        inside.delete(&claim.key).await?;
    }
    let second = functions.invoke("dump", "nightly.json")?.answer()?;
    ensure!(second["status"] == "done" && second["backup_id"] == first["backup_id"], "{second:#}");
    ensure!(second["run_id"] == first["run_id"] && second["verified"].is_object(), "{second:#}");
    ensure!(ids(&store)? == [first["backup_id"].clone()]);
    let key = format!("orders/{}/manifest.json", first["backup_id"].as_str().unwrap_or_default());
    let manifest: Value = serde_json::from_slice(&inside.read(&key, 1 << 20).await?.0)?;
    ensure!(manifest["scheduled_at"] == "2026-11-20T02:00:00Z", "{manifest:#}");
    Ok(())
}

#[test]
fn a_request_that_makes_no_sense_is_lambdas_error_with_our_kind() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_database("function_refused")?;
    let mut functions = Functions::start(&store, "function_refused")?;
    functions.serve("dump", 1, &[])?;
    let unknown = functions.invoke_made_up("dump", r#"{"databse":"orders"}"#)?.error("usage")?;
    ensure!(unknown.contains("unknown field `databse`") && unknown.contains("events/dump/"), "{unknown}");
    let missing = functions.invoke_made_up("dump", "{}")?.error("usage")?;
    ensure!(missing.contains("missing field `database`"), "{missing}");
    let outside = functions.invoke_made_up("dump", r#"{"database":"../etc"}"#)?.error("usage")?;
    ensure!(outside.contains("../etc"), "{outside}");
    let stranger = functions.invoke_made_up("dump", r#"{"database":"billing"}"#)?.error("config")?;
    ensure!(stranger.contains("'billing' is not configured") && stranger.contains("known: orders"), "{stranger}");
    ensure!(ids(&store)?.is_empty());
    Ok(())
}

#[test]
fn a_run_that_fails_is_tried_again_by_the_next_delivery() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::minio()?, fifteen()?);
    let mut functions = Functions::start(&store, "function_later")?;
    functions.serve("dump", 1, &[])?;
    let failed = functions.invoke("dump", "nightly.json")?.error("database")?;
    ensure!(failed.contains("\"function_later\" does not exist") && failed.contains("hint: "), "{failed}");
    ensure!(!failed.contains("s'cr") && !functions.log("dump-0.log").contains("s'cr"), "the password is told");
    cluster.create_database("function_later")?;
    let done = functions.invoke("dump", "nightly.json")?.answer()?;
    ensure!(done["status"] == "done", "{done:#}");
    ensure!(ids(&store)? == [done["backup_id"].clone()]);
    no_session_stays_on(&["function_later"])
}

#[test]
fn a_dump_while_another_runs_answers_that_it_runs_and_tells_of_no_failure() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::minio()?, fifteen()?);
    cluster.create_shop("function_twice", "0.01")?;
    let mut functions = Functions::start(&store, "function_twice")?;
    functions.serve("dump", 2, &[])?;
    // A migration keeps the first one trying.
    let migration = Holding::start("function_twice", "LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE")?;
    let functions = &functions;
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| functions.invoke("dump", "now.json")?.answer());
        let begun = a_dump_is_at_work(&store);
        let second = begun.and_then(|()| functions.invoke("dump", "now.json")?.answer());
        drop(migration);
        let first = first.join().map_err(|_| anyhow!("the first dump panicked"))?;
        anyhow::Ok((first?, second?))
    })?;
    ensure!(second == json!({ "status": "already_running" }), "{second:#}");
    ensure!(first["status"] == "done" && ids(&store)? == [first["backup_id"].clone()], "{first:#}");
    no_session_stays_on(&["function_twice"])
}

#[test]
fn a_run_that_its_time_limit_ends_leaves_nothing_half_done() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::minio()?, fifteen()?);
    cluster.create_shop("function_late", "0.01")?;
    let mut functions = Functions::start(&store, "function_late")?;
    // The emulator names no deadline to come; this stands for it.
    functions.serve("dump", 1, &[("LIFEBOAT_TIME_LIMIT", "1s"), ("LIFEBOAT_DEADLINE_MARGIN", "60s")])?;
    let migration = Holding::start("function_late", "LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE")?;
    let late = functions.invoke("dump", "now.json").and_then(|i| i.error("deadline"));
    drop(migration);
    ensure!(late?.contains("before the end"));
    ensure!(ids(&store)?.is_empty());
    no_session_stays_on(&["function_late"])
}
