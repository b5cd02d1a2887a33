//! Drills of instances that restore tests of AWS Backup made: it is told what came of each, and its instances stay its own.

use std::{fs, time::SystemTime};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{StoreUnderTest, rds};
use serde_json::{Value, json};

use super::{machine::told_of, origins::Source};
use crate::shared::{fifteen, with_tools};

fn adopt(instance: &str, restore_job: &str) -> Value {
    json!({ "adopt": { "instance": format!("arn:aws:rds:us-east-1:000000000000:db:{instance}"), "restore_job": restore_job } })
}

/// Drills it to its end, and gives the last state.
fn drilled(source: &Source, origin: &Value) -> Result<Value> {
    let state = source.machine.select_origin(&source.slug, origin)?;
    ensure!(state["adopted"] == true, "{state:#}");
    let reported = source.machine.execute_from("provision", state, None)?.state;
    let execution = reported["execution"].as_str().context("the execution")?;
    source.machine.validate(&reported, execution)?.map_err(anyhow::Error::msg)
}

/// What is asked of RDS about an instance by the function.
fn asked(instance: &str) -> Result<Vec<Value>> {
    let mut calls = rds::calls(instance)?;
    calls.retain(|call| call["caller"] != "administrator" && call["action"] != "DescribeDBInstances");
    Ok(calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_instance_of_a_restore_test_is_drilled_and_aws_backup_is_told_how_it_ended() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let source = Source::start(&store, "adopted")?;
    let then = i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())?;

    // As it should be.
    source.snapshot("adopted-whole")?;
    rds::restore_test("adopted-whole", "awsbackup-restore-test-whole", "job-whole")?;
    let state = drilled(&source, &adopt("awsbackup-restore-test-whole", "job-whole"))?;
    let (status, message) = rds::validation("job-whole")?.context("AWS Backup was told")?;
    ensure!(status == "SUCCESSFUL" && message.contains("rows were not compared"), "{status}: {message}");
    let first = state["backup_id"].as_str().context("the backup")?.to_owned();
    let drill = state["drill_id"].as_str().context("the drill")?;
    ensure!(message.contains(&format!("adopted/drills/{drill}/report.html")), "{message}");
    ensure!(state["verdict"] == "passed" && told_of(&store, &state)?["type"] == "DrillPassed", "{state:#}");

    let file = store.path().context("a folder")?.join(format!("adopted/drills/{drill}/report.json"));
    let report: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    ensure!(report["origin"]["id"] == "job-whole", "{:#}", report["origin"]);
    ensure!(report["identity"]["trigger"] == "restore test of AWS Backup", "{:#}", report["identity"]);
    ensure!(report["rto"]["actual_seconds"]["reason"].is_string(), "{:#}", report["rto"]);
    let proof = report["closure"]["tear_down_proof"].to_string();
    ensure!(proof.contains("is AWS Backup's, which removes it"), "{proof}");
    ensure!(report["proof"]["checks"][0]["passed"] == true, "{:#}", report["proof"]);
    let listed = with_tools(store.lifeboat(["list", "adopted"]), &fifteen()?.bin).json()?;
    ensure!(listed["backups"][0]["rung"] != "restored", "nothing was proven of the backup: {listed:#}");

    // It was given a password, be it asked for twice, and nothing else was done to it.
    let calls = asked("awsbackup-restore-test-whole")?;
    ensure!(!calls.is_empty(), "it has a password of its own");
    for call in &calls {
        ensure!(call["action"] == "ModifyDBInstance" && call["status"] == 200, "{call:#}");
        let parameters = call["parameters"].as_object().context("parameters")?;
        let changes = parameters.keys().map(String::as_str);
        let named = ["Action", "Version", "DBInstanceIdentifier", "ApplyImmediately"];
        let changes: Vec<&str> = changes.filter(|name| !named.contains(name)).collect();
        ensure!(changes == ["ManageMasterUserPassword"], "{changes:?}");
    }
    ensure!(rds::instances("awsbackup-restore-test-whole")?.len() == 1, "it is AWS Backup's");

    // Delivered again, AWS Backup is not told twice: it would refuse.
    let execution = state["execution"].as_str().context("the execution")?;
    source.machine.validate(&state, execution)?.map_err(anyhow::Error::msg)?;

    // Not as it should be: a trigger is missing.
    source.sql("DROP TRIGGER touch ON shop.customers")?;
    source.snapshot("adopted-less")?;
    rds::restore_test("adopted-less", "awsbackup-restore-test-less", "job-less")?;
    let state = drilled(&source, &adopt("awsbackup-restore-test-less", "job-less"))?;
    let (status, message) = rds::validation("job-less")?.context("AWS Backup was told")?;
    ensure!(status == "FAILED" && message.contains("touch"), "{status}: {message}");
    ensure!(told_of(&store, &state)?["type"] == "DrillFailed", "{state:#}");
    ensure!(rds::instances("awsbackup-restore-test-less")?.len() == 1, "it is AWS Backup's");

    // Nor has the newest backup that trigger; but the recovery point is of before, as is the backup nearest to it. AWS Backup's
    // answer is lost, and what it took is no error when it is told again.
    let newest = source.machine.dump("adopted")?;
    rds::restore_test_of("adopted-whole", then, "awsbackup-restore-test-before", "job-before")?;
    rds::fail(&json!({
        "action": "PutRestoreValidationResult", "instance": "job-before", "code": "ServiceUnavailableException", "done": true,
    }))?;
    let state = drilled(&source, &adopt("awsbackup-restore-test-before", "job-before"))?;
    let (status, message) = rds::validation("job-before")?.context("AWS Backup was told")?;
    ensure!(status == "SUCCESSFUL" && message.contains(&format!("that of backup {first}")), "{status}: {message}");
    ensure!(state["backup_id"] == first.as_str() && newest["backup_id"] != first.as_str(), "{state:#} {newest:#}");
    source.remove()
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_backup_is_told_of_drills_that_come_to_no_end_of_their_own() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let source = Source::start_with(&store, "lent", "20s")?;
    let machine = &source.machine;
    source.snapshot("lent-one")?;
    let state_of = |status: &str, job: &str, words: &str| -> Result<()> {
        let (found, message) = rds::validation(job)?.context("AWS Backup was told")?;
        ensure!(found == status && message.contains(words), "{job}: {found}: {message}");
        Ok(())
    };

    // The execution is aborted: who cleans up tells it, once, and removes nothing.
    rds::restore_test("lent-one", "awsbackup-restore-test-ends", "job-aborted")?;
    let origin = adopt("awsbackup-restore-test-ends", "job-aborted");
    let state = machine.select_origin("lent", &origin)?;
    machine.step("provision", &state)?.map_err(anyhow::Error::msg)?;
    let execution = state["execution"].as_str().context("the execution")?;
    let input = json!({ "database": "lent", "origin": origin });
    for _ in 0..2 {
        let ending = machine.ended_as(execution, &input, "ABORTED")?;
        ensure!(ending["removed"] == json!([]) && ending["validation"]["status"] == "FAILED", "{ending:#}");
    }
    state_of("FAILED", "job-aborted", "was aborted in phase provision: stopped by a test")?;
    ensure!(rds::instances("awsbackup-restore-test-ends")?.len() == 1, "it is AWS Backup's");

    // The instance is never available.
    rds::course(&json!({ "instances": "awsbackup-restore-test-never", "hold": ["creating"] }))?;
    rds::restore_test("lent-one", "awsbackup-restore-test-never", "job-late")?;
    drilled(&source, &adopt("awsbackup-restore-test-never", "job-late"))?;
    state_of("TIMED_OUT", "job-late", "was not available within 20s")?;

    // An instance that no restore test made is refused, and nothing is done to it.
    rds::restore_test("lent-one", "awsbackup-restore-test-other", "job-other")?;
    let drilled = drilled(&source, &adopt("lent-source", "job-other"))?;
    ensure!(drilled["failed_in"] == "provision", "{drilled:#}");
    state_of("FAILED", "job-other", "was made by no restore test")?;
    ensure!(asked("lent-source")?.is_empty(), "{:#?}", asked("lent-source")?);

    // Not even a backup was chosen: the state is what the execution was started with.
    rds::restore_test("lent-one", "awsbackup-restore-test-first", "job-first")?;
    let error = json!({ "Error": "not_found", "Cause": "{\"errorMessage\":\"there is no backup\"}" });
    let origin = adopt("awsbackup-restore-test-first", "job-first");
    let raw = json!({ "database": "lent", "origin": origin, "error": error, "failed_in": "select" });
    let reported = machine.step("report", &raw)?.map_err(anyhow::Error::msg)?;
    ensure!(reported["adopted"] == true, "{reported:#}");
    machine.validate(&reported, "arn:first")?.map_err(anyhow::Error::msg)?;
    state_of("FAILED", "job-first", "there is no backup")?;

    // What AWS Backup does not take is an error, for the machine to fail by.
    let reported = json!({ "database": "lent", "origin": adopt("x", "job-nobody-knows"), "verdict": "failed" });
    let error = machine.validate(&reported, "arn:nobody")?.err().context("an error")?;
    ensure!(error.contains("ResourceNotFoundException") || error.contains("does not exist"), "{error}");
    source.remove()
}
