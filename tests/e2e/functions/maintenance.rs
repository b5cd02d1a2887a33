//! The function `maintenance` with each of its sample requests.

use anyhow::{Result, ensure};
use lifeboat_tests::StoreUnderTest;

use super::emulator::Functions;
use crate::shared::fifteen;

#[test]
fn each_sample_request_is_answered_and_a_scheduled_one_works_once() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::minio()?, fifteen()?);
    cluster.create_shop("function_care", "0.05")?;
    cluster.sql("function_care", "UPDATE shop.orders SET coupon = coupon")?;
    let mut functions = Functions::start(&store, "function_care")?;
    functions.serve("maintenance", 1, &[])?;

    let dry = functions.invoke("maintenance", "dry-run.json")?.answer()?;
    ensure!(dry["status"] == "done" && dry["dry_run"] == true && dry["report"].is_null(), "{dry:#}");
    let planned = dry["statements"].as_array().map_or(0, Vec::len);
    ensure!(planned > 0 && dry["done"] == 0, "{dry:#}");

    let weekly = functions.invoke("maintenance", "weekly.json")?.answer()?;
    ensure!(weekly["status"] == "done" && weekly["done"].as_u64() == Some(planned as u64), "{weekly:#}");
    ensure!(weekly["skipped"] == 0 && weekly["report"].as_str().is_some_and(|r| r.starts_with("maintenance/orders/")));
    let again = functions.invoke("maintenance", "weekly.json")?.answer()?;
    ensure!(again["status"] == "already_done" && again["earlier"]["run_id"] == weekly["run_id"], "{again:#}");

    // Named tables are taken whatever they need.
    let indexes = functions.invoke("maintenance", "indexes.json")?.answer()?;
    let statements = indexes["statements"].as_array().cloned().unwrap_or_default();
    ensure!(!statements.is_empty() && statements.iter().all(|s| s["outcome"] == "done"), "{indexes:#}");
    ensure!(
        statements
            .iter()
            .all(|s| s["statement"].as_str().is_some_and(|s| s.starts_with("REINDEX INDEX CONCURRENTLY \"shop\"")))
    );

    let full = r#"{"database":"orders","operations":["full"],"tables":["shop.orders"]}"#;
    let refused = functions.invoke_made_up("maintenance", full)?.error("usage")?;
    ensure!(refused.contains("no event can ask for it"), "{refused}");
    Ok(())
}
