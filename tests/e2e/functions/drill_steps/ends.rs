//! Endings that nobody planned: the instance is gone, or health gets it when its time is over.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lifeboat_tests::{StoreUnderTest, program::wait_until, rds};
use serde_json::json;

use super::machine::{Machine, told, told_of};
use crate::shared::fifteen;

/// Where the machine notes what failed first, and what failed when the instance was removed.
const FIRST: (&str, &str) = ("failed_in", "error");
const REMOVAL: (&str, &str) = ("removal_failed_in", "removal_error");

fn gone(prefix: &str) -> Result<()> {
    wait_until(&format!("{prefix} is gone"), Duration::from_mins(1), || Ok(rds::instances(prefix)?.is_empty()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_execution_loses_its_instance_and_says_in_which_phase_it_was() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fifteen()?.create_shop("drill_aborted", "0.001")?;
    let machine = Machine::start(&store, "aborted", "drill_aborted", "ttl = \"2h\"")?;
    machine.dump("aborted")?;
    let state = machine.select("aborted", "latest")?;
    let waiting = machine.step("provision", &state)?.map_err(anyhow::Error::msg)?;
    machine.step("await", &waiting)?.map_err(anyhow::Error::msg)?;
    ensure!(rds::instances("lifeboat-drill-aborted")?.len() == 1);
    let ending = machine.ended("aborted", "ABORTED")?;
    ensure!(ending["phase"] == "provision" && ending["told"] == false, "{ending:#}");
    let why = ending["reasons"][0].as_str().context("a reason")?;
    ensure!(why.contains("was aborted in phase provision") && why.contains("stopped by a test"), "{why}");
    gone("lifeboat-drill-aborted")?;
    ensure!(machine.ended("aborted", "ABORTED")?["told"] == true, "told once");
    let [event] = &told(&store)?[..] else { bail!("{:#?}", told(&store)?) };
    ensure!(event["type"] == "DrillFailed" && event["phase"] == "provision", "{event:#}");
    ensure!(event["drill_id"] == state["drill_id"] && event["reasons"][0] == why, "{event:#}");
    // A step of it that is still on its way does nothing any more.
    let late = machine.step("provision", &state)?.err().context("an error")?;
    ensure!(late.contains("has ended") && rds::instances("lifeboat-drill-aborted")?.is_empty(), "{late}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_never_comes_ends_the_drill_and_goes() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fifteen()?.create_shop("drill_never", "0.001")?;
    let machine = Machine::start(&store, "never", "drill_never", "available_within = \"3s\"")?;
    machine.dump("never")?;
    rds::course(&json!({ "instances": "lifeboat-drill-never", "hold": ["creating"] }))?;
    let executed = machine.execute("never", "latest")?;
    ensure!(executed.state["failed_in"] == "await" && executed.state["verdict"] == "failed", "{:#}", executed.state);
    ensure!(executed.state["error"]["Error"] == "deadline", "{:#}", executed.state["error"]);
    let [event] = &told(&store)?[..] else { bail!("{:#?}", told(&store)?) };
    ensure!(event["type"] == "DrillFailed" && event["phase"] == "provision", "{event:#}");
    ensure!(event["reasons"].to_string().contains("was not available within 3s: it is creating"), "{event:#}");
    gone("lifeboat-drill-never")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_rds_refuses_ends_the_drill_with_its_reason_and_no_instance_stays() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fifteen()?.create_shop("drill_refused", "0.001")?;
    for (action, slug, (failed_in, error), step) in [
        ("CreateDBInstance", "refused-a", FIRST, "provision"),
        ("DescribeDBInstances", "refused-b", FIRST, "await"),
        ("DeleteDBInstance", "refused-c", REMOVAL, "tear-down"),
    ] {
        let machine = Machine::start(&store, slug, "drill_refused", "ttl = \"2h\"")?;
        machine.dump(slug)?;
        let prefix = format!("lifeboat-drill-{slug}");
        // The SDK tries four times.
        rds::fail(
            &json!({ "action": action, "instance": prefix, "times": 4, "status": 500, "message": "on a bad day" }),
        )?;
        let executed = machine.execute(slug, "latest")?;
        ensure!(executed.state[failed_in] == step, "{action}: {:#}", executed.state);
        ensure!(executed.state[error]["Cause"].to_string().contains("on a bad day"), "{:#}", executed.state[error]);
        let event = told_of(&store, &executed.state)?;
        ensure!(event["type"] == "DrillFailed" && event["reasons"].to_string().contains("on a bad day"), "{event:#}");
        if step == "tear-down" {
            ensure!(rds::instances(&prefix)?.len() == 1, "it could not be removed");
            machine.ended(slug, "FAILED")?;
        }
        gone(&prefix)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_removes_an_instance_whose_time_is_over_and_no_other() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fifteen()?.create_shop("drill_left", "0.001")?;
    let machine = Machine::start(&store, "left", "drill_left", "ttl = \"2h\"")?;
    machine.dump("left")?;
    let state = machine.select("left", "latest")?;
    let provisioned = machine.step("provision", &state)?.map_err(anyhow::Error::msg)?;
    let id = provisioned["instance_id"].as_str().context("the instance")?;
    machine.health("left")?;
    let shown = rds::instances("lifeboat-drill-left")?;
    ensure!(shown.len() == 1 && shown[0]["status"] != "deleting", "its time is not over: {shown:#?}");
    // Long ago, as far as its tag says.
    let arn = format!("arn:aws:rds:us-east-1:000000000000:db:{id}");
    rds::administer(
        "AddTagsToResource",
        &[
            ("ResourceName", &arn),
            ("Tags.Tag.1.Key", "lifeboat:expires-at"),
            ("Tags.Tag.1.Value", "2026-01-01T00:00:00Z"),
        ],
    )?;
    machine.health("left")?;
    gone("lifeboat-drill-left")
}
