//! The function `health`: whatever it finds is an answer, its figures are in the log, and the page is written.

use std::fs;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::{Value, json};

use super::emulator::Functions;
use crate::{
    shared::{fifteen, no_session_stays_on},
    stores::access::opened,
};

/// The figures that a function wrote for CloudWatch.
fn figures(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["_aws"].is_object())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_with_what_it_found_writes_the_page_and_its_figures() -> Result<()> {
    let store = StoreUnderTest::minio()?;
    fifteen()?.create_shop("function_health", "0.01")?;
    let mut functions = Functions::start(&store, "function_health")?;
    functions.serve("health", 1, &[])?;
    functions.serve("dump", 1, &[])?;

    let early = functions.invoke("health", "orders.json")?.answer()?;
    ensure!(early["status"] == "done" && early["page"] == "status/index.html", "{early:#}");
    ensure!(early["databases"][0]["worst"] == "critical", "{early:#}");
    ensure!(early["databases"][0]["findings"][0]["code"] == "no_backup", "{early:#}");

    functions.invoke("dump", "nightly.json")?.answer()?;
    // Asked twice, or for all: the same answer, and no harm done.
    for event in ["orders.json", "orders.json", "all.json"] {
        let well = functions.invoke("health", event)?.answer()?;
        ensure!(well["databases"][0]["database"] == "orders" && well["databases"][0]["worst"].is_null(), "{well:#}");
        ensure!(well["databases"][0]["backup_age_seconds"].as_u64() < Some(3600), "{well:#}");
    }
    let inside = opened(&store).await?;
    let (page, _) = inside.read(".control/status/index.html", 4 << 20).await?;
    ensure!(String::from_utf8(page.to_vec())?.contains("The database is well"));

    let (lines, invocations): (Vec<Value>, Vec<Value>) =
        figures(&functions.log("health-0.log")).into_iter().partition(|line| line["database"].is_string());
    ensure!(invocations.len() == 4, "one for each invocation: {invocations:#?}");
    ensure!(invocations.iter().all(|line| line["Success"] == 1.0 && line["operation"] == "health"), "{invocations:#?}");
    let (first, last) = (lines.first().context("figures")?, lines.last().context("figures")?);
    ensure!(first["CriticalFindings"] == 1.0 && first.get("BackupAge").is_none(), "{first:#}");
    ensure!(last["Findings"] == 0.0 && last["BackupAge"].as_f64().is_some_and(|age| age < 3600.0), "{last:#}");
    ensure!(last["GoodBackups"] == 1.0 && last["StoredTotal"].as_f64() > Some(1000.0), "{last:#}");
    ensure!(!functions.log("health-0.log").contains("s'cr"), "the password is told");

    ensure!(lines.iter().chain(&invocations).all(|line| line["deployment"] == "lifeboat"), "{lines:#?}");

    let stranger = functions.invoke_made_up("health", r#"{"database":"billing"}"#)?.error("config")?;
    ensure!(stranger.contains("known: orders"), "{stranger}");
    no_session_stays_on(&["function_health"])
}

#[test]
fn the_age_of_drills_is_a_figure_once_one_has_restored_everything_and_failing_ones_let_it_grow() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fifteen()?.create_shop("function_drill_age", "0.01")?;
    let mut functions = Functions::start(&store, "function_drill_age")?;
    for function in ["dump", "drill", "health"] {
        functions.serve(function, 1, &[])?;
    }
    let seen = |functions: &Functions| -> Result<Option<f64>> {
        functions.invoke("health", "orders.json")?.answer()?;
        let figures = figures(&functions.log("health-0.log"));
        let last = figures.iter().rfind(|line| line["database"] == "orders").context("figures")?;
        ensure!(last["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0] == json!(["deployment", "database"]), "{last:#}");
        Ok(last["DrillAge"].as_f64())
    };

    let backup = functions.invoke("dump", "nightly.json")?.answer()?;
    ensure!(seen(&functions)?.is_none(), "nothing was drilled yet");
    let passed = functions.invoke("drill", "monthly.json")?.answer()?;
    ensure!(passed["verdict"] == "passed", "{passed:#}");
    let young = seen(&functions)?.context("the age of the drill that passed")?;
    ensure!((0.0..600.0).contains(&young), "{young}");

    // A drill that fails, of a backup that is damaged.
    let name = backup["backup_id"].as_str().context("the backup")?;
    let archive = store.path().context("a folder")?.join("orders").join(name).join("archive");
    for file in fs::read_dir(&archive)?.collect::<Result<Vec<_>, _>>()? {
        if file.file_name().to_string_lossy().contains(".dat.") {
            fs::write(file.path(), b"not what it was")?;
        }
    }
    let failed = functions.invoke_made_up("drill", r#"{"database":"orders","select":"latest"}"#)?.answer()?;
    ensure!(failed["verdict"] == "failed", "{failed:#}");
    let older = seen(&functions)?.context("the age of the drill that passed")?;
    ensure!(older > young, "{older} after {young}");
    no_session_stays_on(&["function_drill_age"])
}
