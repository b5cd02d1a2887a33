//! A drill that passes, from a backup in S3 to its report, and the same from the command line.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{StoreUnderTest, rds, stack::on_localstack, stores::localstack};
use serde_json::Value;

use super::machine::Machine;
use crate::{
    shared::{fifteen, with_tools},
    stores::access::opened,
};

/// The role of an application owns the database, and what lies in `public`, as most have it; another may create in `public`
/// and owns some of it.
const APPLICATION: &str = "
CREATE ROLE drill_steps_app;
CREATE ROLE drill_steps_reports;
ALTER DATABASE drill_steps OWNER TO drill_steps_app;
GRANT CREATE ON SCHEMA public TO drill_steps_reports;
CREATE SCHEMA shelves AUTHORIZATION drill_steps_app;
GRANT CREATE, USAGE ON SCHEMA shelves TO drill_steps_reports;
SET ROLE drill_steps_app;
CREATE TABLE public.notes (id int PRIMARY KEY, note text);
INSERT INTO public.notes VALUES (1, 'of the application');
SET ROLE drill_steps_reports;
CREATE TABLE public.totals AS SELECT 1 AS total;
CREATE TABLE shelves.totals AS SELECT 2 AS total;";

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_by_steps_restores_into_an_instance_of_its_own_and_leaves_a_report_and_no_instance() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("drill_steps", "0.01")?;
    fifteen()?.sql("drill_steps", APPLICATION)?;
    let machine = Machine::start(&store, "stepped", "drill_steps", "ttl = \"2h\"")?;
    let backup = machine.dump("stepped")?;
    let state = machine.select("stepped", "rotate")?;
    ensure!(state["thawed"] == true && state["backup_id"] == backup["backup_id"], "{state:#}");
    ensure!(machine.select("stepped", "rotate")? == state, "the same execution has the same drill");

    let executed = machine.execute_from("provision", state, None)?;
    ensure!(
        executed.steps
            == [
                "provision",
                "await",
                "restore",
                "compare",
                "checks",
                "negative-control",
                "tear-down",
                "gone",
                "report"
            ],
        "{:?}",
        executed.steps
    );
    let drill = executed.state["drill_id"].as_str().context("the drill")?;
    let inside = opened(&store).await?;
    let (report, _) = inside.read(&format!("stepped/drills/{drill}/report.json"), 4 << 20).await?;
    let report: Value = serde_json::from_slice(&report)?;
    ensure!(executed.state["verdict"] == "passed" && report["verdict"] == "passed", "{:#}", report["reasons"]);
    ensure!(report["environment"]["target_class"]["value"] == "db.t4g.medium", "{:#}", report["environment"]);
    let network = report["environment"]["target_network"]["value"].as_str().context("the network")?;
    ensure!(network.contains("not public"), "{network}");
    let cost = &report["closure"]["cost"]["value"];
    ensure!(cost["amount"].as_f64().is_some_and(|usd| usd > 0.0), "{cost:#}");
    ensure!(report["closure"]["torn_down"] == true && report["proof"]["checks"][0]["passed"] == true, "{report:#}");
    ensure!(report["rto"]["actual_seconds"]["value"].as_f64().is_some_and(|s| s > 0.0), "{:#}", report["rto"]);
    ensure!(report["identity"]["trigger"] == "schedule", "{:#}", report["identity"]);
    let deviations = report["closure"]["deviations"].to_string();
    ensure!(!deviations.contains("encrypted"), "{deviations}");

    let calls = rds::calls("lifeboat-drill-stepped")?;
    let created = calls.iter().find(|call| call["action"] == "CreateDBInstance").context("a creation")?;
    let asked = &created["parameters"];
    for (name, value) in [
        ("EngineVersion", "15"),
        ("PubliclyAccessible", "false"),
        ("StorageEncrypted", "true"),
        ("DeletionProtection", "false"),
        ("BackupRetentionPeriod", "0"),
        ("ManageMasterUserPassword", "true"),
    ] {
        ensure!(asked[name] == value, "{name}: {asked:#}");
    }
    ensure!(rds::instances("lifeboat-drill-stepped")?.is_empty(), "the instance is gone");
    let listed = with_tools(store.lifeboat(["list", "stepped"]), &fifteen()?.bin).json()?;
    ensure!(listed["backups"][0]["rung"] == "restored", "{listed:#}");
    Ok(())
}

#[test]
fn the_command_line_drills_on_rds_in_one_go() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("drill_rented", "0.01")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lifeboat.toml");
    std::fs::write(
        &file,
        "[databases.rented]\nurl = { env = \"LIFEBOAT_DATABASE_URL\" }\n\n[databases.rented.drill]\n\
         scratch = { rds = { class = \"db.t4g.small\", look_every = \"1s\" } }\n",
    )?;
    let endpoint = &localstack()?.endpoint;
    let (name, rds_endpoint) = rds::on_rds()?;
    let call = |arguments: &[&str]| -> Result<Value> {
        let mut call = store.lifeboat(arguments).database(&fifteen()?.url("drill_rented"));
        for (name, value) in on_localstack(endpoint) {
            call = call.env(&name, value);
        }
        let call = call.env(&name, &rds_endpoint).env("LIFEBOAT_CONFIG", &file);
        with_tools(call, &fifteen()?.bin).json()
    };
    call(&["dump", "rented"])?;
    let answer = call(&["drill", "rented", "--scratch", "rds"])?;
    ensure!(answer["verdict"] == "passed", "{answer:#}");
    ensure!(rds::instances("lifeboat-drill-rented")?.is_empty(), "the instance is gone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_whose_restore_and_comparison_are_tasks_passes_with_every_row_compared() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("drill_tasks", "0.01")?;
    let machine = Machine::start(&store, "tasked", "drill_tasks", "ttl = \"26h\"")?;
    machine.run_on("fargate")?;
    let backup = machine.dump("tasked")?;
    let state = machine.select("tasked", "latest")?;
    ensure!(state["runner"] == "fargate", "{state:#}");
    let executed = machine.execute_from("provision", state, None)?;
    let drill = executed.state["drill_id"].as_str().context("the drill")?;
    let (report, _) = opened(&store).await?.read(&format!("tasked/drills/{drill}/report.json"), 4 << 20).await?;
    let report: Value = serde_json::from_slice(&report)?;
    ensure!(report["verdict"] == "passed", "{:#}", report["reasons"]);
    ensure!(report["backup"]["rows"] == backup["rows"], "{:#}", report["backup"]);
    for phase in ["restore", "compare"] {
        let told = report["phases"].as_array().into_iter().flatten().find(|told| told["phase"] == phase);
        ensure!(told.is_some_and(|told| told["outcome"] == "done"), "{phase}: {:#}", report["phases"]);
    }
    ensure!(rds::instances("lifeboat-drill-tasked")?.is_empty());
    Ok(())
}
