//! Restore tests of AWS Backup: its event starts a drill of the instance that it made, and it is told how that ended.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    cdk::PAUSE,
    cluster::repository,
    program::wait_looking_every,
    rds::{MASTER, MASTER_PASSWORD},
};
use serde_json::{Value, json};

use super::site::{PATIENCE, Site, site};

/// AWS Backup's event, with another instance, job and source.
fn ended(site: &Site, instance: &str, job: &str, source: &str) -> Result<()> {
    let sample = std::fs::read(repository().join("events/aws-backup/restore-job-completed.json"))?;
    let mut event: Value = serde_json::from_slice(&sample)?;
    let arn = |id: &str| format!("arn:aws:rds:us-east-1:000000000000:db:{id}");
    let detail = &mut event["detail"];
    detail["createdResourceArn"] = json!(arn(instance));
    detail["restoreJobId"] = json!(job);
    detail["sourceResourceArn"] = json!(arn(source));
    let plan = detail["restoreTestingPlanArn"].as_str().context("the plan")?;
    let plan = plan.replace("eu-central-1", "us-east-1").replace("123456789012", "000000000000");
    detail["restoreTestingPlanArn"] = json!(plan);
    let entry = json!({
        "Source": event["source"], "DetailType": event["detail-type"], "Detail": event["detail"].to_string(),
        "Resources": event["resources"],
    });
    let put = site.account.aws.json("events", "PutEvents", &json!({ "Entries": [entry] }))?;
    ensure!(put["FailedEntryCount"] == 0, "{put:#}");
    Ok(())
}

/// The executions that were started for a restore job, by their ARNs.
fn executions(site: &Site, job: &str) -> Result<Vec<String>> {
    let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:lifeboat-drill";
    let listed = site.account.aws.json("states", "ListExecutions", &json!({ "stateMachineArn": machine }))?;
    let mut found = Vec::new();
    for execution in listed["executions"].as_array().into_iter().flatten() {
        let arn = execution["executionArn"].as_str().context("an execution")?;
        let described = site.account.aws.json("states", "DescribeExecution", &json!({ "executionArn": arn }))?;
        if described["input"].as_str().is_some_and(|input| input.contains(&format!("\"{job}\""))) {
            found.push(arn.to_owned());
        }
    }
    Ok(found)
}

/// What AWS Backup is told in the end.
fn told(site: &Site, job: &str) -> Result<(String, String)> {
    let mut told = None;
    wait_looking_every(PAUSE, &format!("AWS Backup is told of {job}"), PATIENCE, || {
        told = site.account.rds().validation(job)?;
        Ok(told.is_some())
    })
    .with_context(|| format!("told were {:#?}", site.events.about("adopted")))?;
    told.context("what it was told")
}

#[test]
#[ignore = "soak: minutes of drills; run by `make soak`, its steps by functions::drill_steps in every run"]
fn the_end_of_a_restore_test_starts_its_drill_and_aws_backup_is_told_how_that_ended() -> Result<()> {
    let site = site()?;
    let rds = site.account.rds();
    let port = rds.create_source("adopted-source", 15, "adopted")?;
    rds.fill_with_shop(port, "adopted")?;
    let url = format!("postgres://{MASTER}:{MASTER_PASSWORD}@127.0.0.1:{port}/adopted");
    site.account.put_secret("adopted/backup", &url)?;
    let backup = site.back_up("adopted")?;
    let snapshot = [("DBInstanceIdentifier", "adopted-source"), ("DBSnapshotIdentifier", "adopted-one")];
    rds.administer("CreateDBSnapshot", &snapshot)?;

    // Another's instance, restored by the same plan, is none of ours.
    rds.restore_test("adopted-one", "awsbackup-restore-test-other", "job-other")?;
    ended(site, "awsbackup-restore-test-other", "job-other", "somebody-elses")?;

    // Event → rule → state machine → password, catalog, checks → report → AWS Backup.
    rds.restore_test("adopted-one", "awsbackup-restore-test-one", "job-one")?;
    ended(site, "awsbackup-restore-test-one", "job-one", "adopted-source")?;
    let (status, message) = told(site, "job-one")?;
    ensure!(status == "SUCCESSFUL" && message.contains("rows were not compared"), "{status}: {message}");
    let passed = site.events.wait_for("DrillPassed", "adopted", PATIENCE, |_| true)?;
    ensure!(passed["backup_id"] == backup.as_str(), "its catalog was compared: {passed:#}");
    let [execution] = &executions(site, "job-one")?[..] else { anyhow::bail!("one execution") };
    ensure!(site.account.end_of(execution, PATIENCE)? == "SUCCEEDED");
    ensure!(site.instances("adopted")?.is_empty(), "none was made");
    ensure!(rds.instances("awsbackup-restore-test-one")?.len() == 1, "it is AWS Backup's");

    // Stopped while the instance is waited for: the rule on the execution's end tells it.
    rds.course(&json!({ "instances": "awsbackup-restore-test-two", "hold": ["creating"] }))?;
    rds.restore_test("adopted-one", "awsbackup-restore-test-two", "job-two")?;
    ended(site, "awsbackup-restore-test-two", "job-two", "adopted-source")?;
    let mut stopped = Vec::new();
    wait_looking_every(PAUSE, "the drill waits for the instance", PATIENCE, || {
        stopped = executions(site, "job-two")?;
        let waits = stopped.iter().map(|arn| site.account.states_of(arn)).collect::<Result<Vec<_>>>()?;
        Ok(waits.iter().flatten().any(|state| state == "Await"))
    })?;
    let stop = json!({ "executionArn": stopped[0], "error": "Person", "cause": "not now" });
    site.account.aws.json("states", "StopExecution", &stop)?;
    let (status, message) = told(site, "job-two")?;
    ensure!(status == "FAILED" && message.contains("was aborted in phase provision"), "{status}: {message}");
    ensure!(rds.instances("awsbackup-restore-test-two")?.len() == 1, "it is AWS Backup's");
    ensure!(executions(site, "job-other")?.is_empty() && rds.validation("job-other")?.is_none());
    let listed = site.deployed.lifeboat(&site.account, &["list", "adopted"]).json()?;
    ensure!(listed["backups"][0]["rung"] != "restored", "nothing was proven of the backup: {listed:#}");
    wait_looking_every(PAUSE, "no drill of ours is left", Duration::from_mins(1), || {
        Ok(site.instances("adopted")?.is_empty())
    })
}
