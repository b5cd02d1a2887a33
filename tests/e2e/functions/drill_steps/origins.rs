//! Drills of what is no backup: a snapshot and a point in time of the source's own instance of RDS.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    StoreUnderTest,
    cluster::{programs, repository, run},
    rds::{self, MASTER, MASTER_PASSWORD, administer, create_source},
};
use serde_json::{Value, json};

use super::machine::Machine;
use crate::shared::fifteen;

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_a_point_in_time_are_drilled_and_the_report_says_that_rows_were_not_compared() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let port = create_source("origins-source", 15, "drill_origins")?.to_string();
    let url = format!("postgres://{MASTER}:{MASTER_PASSWORD}@127.0.0.1:{port}/drill_origins");
    let keys = "source_instance = \"origins-source\", ttl = \"2h\"";
    let machine = Machine::start_on(&store, "origins", "drill_origins", &url, keys)?;
    let psql = |arguments: &[&str]| {
        let mut psql = Command::new(programs(15)?.join("psql"));
        psql.env("PGPASSWORD", MASTER_PASSWORD).args([
            "-h",
            "127.0.0.1",
            "-U",
            MASTER,
            "-d",
            "drill_origins",
            "-p",
            &port,
        ]);
        run(psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).args(arguments))
    };
    let mut shop: Vec<String> = vec!["-c".to_owned(), "SET shop.scale = 0.001".to_owned()];
    for part in ["shop-schema.sql", "shop-data.sql", "shop-post.sql"] {
        shop.extend(["-f".to_owned(), repository().join("cli/src/demo").join(part).display().to_string()]);
    }
    psql(&shop.iter().map(String::as_str).collect::<Vec<_>>())?;
    psql(&["-c", &format!("GRANT pg_read_all_data TO {MASTER}")])?;
    // The backup whose catalog is compared.
    machine.dump("origins")?;
    administer(
        "CreateDBSnapshot",
        &[("DBInstanceIdentifier", "origins-source"), ("DBSnapshotIdentifier", "origins-one")],
    )?;
    psql(&["-c", "DROP TRIGGER touch ON shop.customers"])?;

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
        ensure!(report.to_string().contains(words) && report["origin"]["kind"].is_string(), "{:#}", report["origin"]);
        ensure!(report["proof"]["negative_controls"][0]["rejected"] == true, "{:#}", report["proof"]);
        ensure!(report["data"]["tables"] == json!([]), "no comparison is pretended");
        ensure!(rds::instances("lifeboat-drill-origins")?.is_empty(), "the instance is gone");
    }
    let listed = crate::shared::with_tools(store.lifeboat(["list", "origins"]), &fifteen()?.bin).json()?;
    ensure!(listed["backups"][0]["rung"] != "restored", "nothing was proven of the backup: {listed:#}");
    administer("DeleteDBInstance", &[("DBInstanceIdentifier", "origins-source"), ("SkipFinalSnapshot", "true")])?;
    Ok(())
}
