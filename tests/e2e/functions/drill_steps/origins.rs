//! Drills of what is no backup: a snapshot and a point in time of the source's own instance of RDS.

use std::fs;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    StoreUnderTest,
    rds::{self, MASTER, MASTER_PASSWORD, administer, create_source, psql_as_master},
};
use serde_json::{Value, json};

use super::machine::{Machine, told_of};
use crate::shared::fifteen;

/// An instance of RDS with a shop in it, and the machine that drills what is made of it.
pub(super) struct Source {
    pub(super) machine: Machine,
    pub(super) slug: String,
    name: String,
    database: String,
    port: u16,
}

impl Source {
    /// With a backup, whose catalog is compared.
    pub(super) fn start(store: &StoreUnderTest, slug: &str) -> Result<Self> {
        Self::start_with(store, slug, "2m")
    }

    /// The same, whose drills wait so long for an instance.
    pub(super) fn start_with(store: &StoreUnderTest, slug: &str, available_within: &str) -> Result<Self> {
        let (name, database) = (format!("{slug}-source"), format!("drill_{slug}"));
        let port = create_source(&name, 15, &database)?;
        rds::Api(rds::rds()?).fill_with_shop(port, &database)?;
        let url = format!("postgres://{MASTER}:{MASTER_PASSWORD}@127.0.0.1:{port}/{database}");
        let keys = format!("source_instance = \"{name}\", ttl = \"2h\", available_within = \"{available_within}\"");
        let machine = Machine::start_on(store, slug, &database, &url, &keys)?;
        machine.dump(slug)?;
        Ok(Self { machine, slug: slug.to_owned(), name, database, port })
    }

    pub(super) fn sql(&self, sql: &str) -> Result<String> {
        psql_as_master(self.port, &self.database, &["-c", sql])
    }

    pub(super) fn snapshot(&self, id: &str) -> Result<String> {
        administer("CreateDBSnapshot", &[("DBInstanceIdentifier", &self.name), ("DBSnapshotIdentifier", id)])
    }

    pub(super) fn remove(&self) -> Result<()> {
        administer("DeleteDBInstance", &[("DBInstanceIdentifier", &self.name), ("SkipFinalSnapshot", "true")]).map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_a_point_in_time_are_drilled_and_the_report_says_that_rows_were_not_compared() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let source = Source::start(&store, "origins")?;
    source.snapshot("origins-one")?;
    source.sql("DROP TRIGGER touch ON shop.customers")?;
    let machine = &source.machine;

    for (origin, verdict, words) in [
        (json!({ "snapshot": "latest" }), "passed", "snapshot"),
        // The trigger that was dropped since is missing there.
        (json!({ "point_in_time": "latest" }), "failed", "touch"),
    ] {
        let state = machine.select_origin("origins", &origin)?;
        let ended = machine.execute_from("provision", state, None)?.state;
        let drill = ended["drill_id"].as_str().context("the drill")?;
        let report = store.path().context("a folder")?.join(format!("origins/drills/{drill}/report.json"));
        let report: Value = serde_json::from_str(&fs::read_to_string(report)?)?;
        ensure!(report["verdict"] == verdict, "{origin}: {:#}", report["reasons"]);
        let said = report["closure"]["deviations"].to_string();
        ensure!(said.contains("rows were NOT compared"), "{said}");
        ensure!(said.contains("is NOT encrypted, because what it was made of is not"), "{said}");
        ensure!(report.to_string().contains(words) && report["origin"]["kind"].is_string(), "{:#}", report["origin"]);
        ensure!(report["proof"]["negative_controls"][0]["rejected"] == true, "{:#}", report["proof"]);
        ensure!(report["data"]["tables"] == json!([]), "no comparison is pretended");
        ensure!(rds::instances("lifeboat-drill-origins")?.is_empty(), "the instance is gone");
    }
    let listed = crate::shared::with_tools(store.lifeboat(["list", "origins"]), &fifteen()?.bin).json()?;
    ensure!(listed["backups"][0]["rung"] != "restored", "nothing was proven of the backup: {listed:#}");
    source.remove()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_rds_refuses_of_a_snapshot_or_point_in_time_is_told_and_leaves_no_instance() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let source = Source::start(&store, "unmade")?;
    source.snapshot("unmade-one")?;
    source.snapshot("unmade-two")?;
    let instances = "lifeboat-drill-unmade";
    for (action, of, origin, failed_in) in [
        ("DescribeDBSnapshots", "unmade-source", json!({ "snapshot": "latest" }), "provision"),
        ("RestoreDBInstanceFromDBSnapshot", instances, json!({ "snapshot": "unmade-one" }), "provision"),
        ("RestoreDBInstanceToPointInTime", instances, json!({ "point_in_time": "latest" }), "provision"),
        // The password is asked for when the instance is there.
        ("ModifyDBInstance", instances, json!({ "snapshot": "unmade-two" }), "await"),
    ] {
        let message = format!("{action} is refused");
        rds::fail(&json!({
            "action": action, "instance": of, "status": 403, "code": "AccessDenied", "message": message,
        }))?;
        let state = source.machine.select_origin("unmade", &origin)?;
        let executed = source.machine.execute_from("provision", state, None)?;
        let state = &executed.state;
        ensure!(state["failed_in"] == failed_in && state["verdict"] == "failed", "{action}: {state:#}");
        ensure!(state["removal_failed_in"].is_null() && state["gone"] == true, "{action}: {state:#}");
        let event = told_of(&store, state)?;
        ensure!(event["type"] == "DrillFailed" && event["phase"] == "provision", "{action}: {event:#}");
        ensure!(event["reasons"][0].to_string().contains(&message), "{action}: {event:#}");
        ensure!(!event["reasons"].to_string().contains("rows"), "none were to be compared: {event:#}");
        ensure!(rds::instances(instances)?.is_empty(), "{action}: the instance is gone");
        if action == "ModifyDBInstance" {
            ensure!(executed.steps.contains(&"gone".to_owned()), "there was one: {:?}", executed.steps);
        }
    }
    source.remove()
}
