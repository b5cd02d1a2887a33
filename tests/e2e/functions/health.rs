//! The function `health`: whatever it finds is an answer, its figures are in the log, and the page is written.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::Value;

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

    let stranger = functions.invoke_made_up("health", r#"{"database":"billing"}"#)?.error("config")?;
    ensure!(stranger.contains("known: orders"), "{stranger}");
    no_session_stays_on(&["function_health"])
}
