//! The function `drill`: the verdict and where the report lies, once per scheduled time.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::json;

use super::emulator::Functions;
use crate::{
    shared::{fifteen, no_session_stays_on},
    stores::access::opened,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_answers_with_its_verdict_and_the_keys_of_its_report() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("function_drill", "0.01")?;
    let mut functions = Functions::start(&store, "function_drill")?;
    functions.serve("dump", 1, &[])?;
    functions.serve("drill", 1, &[])?;

    let early = functions.invoke("drill", "monthly.json")?.error("not_found")?;
    ensure!(early.contains("no backup of orders"), "{early}");
    let backup = functions.invoke("dump", "nightly.json")?.answer()?;

    let answer = functions.invoke("drill", "monthly.json")?.answer()?;
    ensure!(answer["status"] == "done" && answer["verdict"] == "passed", "{answer:#}");
    ensure!(answer["reasons"] == json!([]) && answer["backup_id"] == backup["backup_id"], "{answer:#}");
    let key = answer["report"]["json"].as_str().context("the report's key")?;
    ensure!(key.starts_with("orders/drills/"), "{key}");
    let inside = opened(&store).await?;
    let (report, _) = inside.read(key, 4 << 20).await?;
    let report: serde_json::Value = serde_json::from_slice(&report)?;
    ensure!(report["verdict"] == "passed" && report["drill_id"] == answer["drill_id"], "{report:#}");
    for form in ["html", "markdown"] {
        let key = answer["report"][form].as_str().context("a report's key")?;
        ensure!(!inside.read(key, 4 << 20).await?.0.is_empty(), "{key} is empty");
    }

    let again = functions.invoke("drill", "monthly.json")?.answer()?;
    ensure!(again["status"] == "already_done" && again["earlier"]["drill_id"] == answer["drill_id"], "{again:#}");
    let listed = store.lifeboat(["list", "orders"]).json()?;
    ensure!(listed["backups"][0]["rung"] == "restored", "{listed:#}");
    no_session_stays_on(&["function_drill"])
}
