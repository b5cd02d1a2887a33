//! What is to be expected: nothing before the first drill, and the next restore, the RTO and the bill after it.

use std::fs;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::Value;

use crate::shared::{fifteen, no_session_stays_on, with_tools};

#[test]
fn after_a_drill_the_next_restore_the_rto_and_the_bill_are_told() -> Result<()> {
    let (cluster, store, folder) = (fifteen()?, StoreUnderTest::folder()?, tempfile::tempdir()?);
    cluster.create_database("forecast")?;
    cluster
        .sql("forecast", "CREATE TABLE public.notes AS SELECT n, md5(n::text) FROM generate_series(1, 20000) AS n")?;
    let file = folder.path().join("lifeboat.toml");
    let drill = "[databases.orders.drill]\nschedule = \"cron(0 4 1 * ? *)\"\nselect = \"latest\"\n";
    fs::write(&file, format!("[databases.orders]\nurl = {{ env = \"ORDERS_URL\" }}\nrto = \"30m\"\n{drill}"))?;
    let call = |arguments: &[&str]| {
        with_tools(store.lifeboat(arguments), &cluster.bin)
            .env("LIFEBOAT_CONFIG", &file)
            .env("ORDERS_URL", cluster.url("forecast"))
    };

    call(&["dump", "orders"]).run()?.expect(0)?;
    let before = call(&["status", "orders", "--cost"]).run()?.expect(0)?.stdout;
    ensure!(before.contains("nothing is known: no drill has measured a restore yet"), "{before}");
    ensure!(before.contains("the store is a folder, which has no storage classes"), "{before}");
    ensure!(before.contains("list prices of us-east-1") && before.contains("preset 30-12-12"), "{before}");

    call(&["drill", "orders"]).run()?.expect(0)?;
    let after = call(&["status", "orders", "--cost"]).run()?.expect(0)?.stdout;
    for part in
        ["(at the speed of the only drill); the RTO is 30 min, and would hold today", "comparing every row, about"]
    {
        ensure!(after.contains(part), "{part} is missing: {after}");
    }

    let document = call(&["status", "--cost"]).json()?;
    let forecast = &document["forecasts"][0];
    ensure!(forecast["recovery"]["outlook"] == "holds_today", "{forecast:#}");
    let seconds = |part: &Value| part["seconds"].as_f64().context("seconds");
    let (recovery, restore) = (seconds(&forecast["recovery"]["predicted"])?, seconds(&forecast["restore"])?);
    ensure!(recovery > restore && restore > 0.0, "{forecast:#}");
    // A restore says the same of itself, before anything is done.
    let planning = ["restore", "orders/latest", "--to", "env:ORDERS_URL", "--swap", "--dry-run"];
    let planned = call(&planning).json()?;
    let expected = seconds(&planned["predicted"]["restore"])? + seconds(&planned["predicted"]["compare"])?;
    ensure!((seconds(&planned["predicted"])? - expected).abs() < 1e-9 && expected > 0.0, "{planned:#}");
    let planned = call(&planning).run()?.expect(0)?.stdout;
    ensure!(planned.contains("will take") && planned.contains("(at the speed of the only drill)"), "{planned}");
    let bill = &forecast["cost"]["bill"];
    let sum: f64 = ["storage", "requests", "moves", "early_deletion", "drills"]
        .iter()
        .map(|part| bill[format!("{part}_usd")].as_f64().unwrap_or(f64::NAN))
        .sum();
    ensure!((bill["total_usd"].as_f64().context("a total")? - sum).abs() < 1e-9, "{bill:#}");
    ensure!(forecast["cost"]["alternatives"].as_array().is_some_and(|others| others.len() >= 5), "{forecast:#}");
    ensure!(call(&["status"]).json()?["forecasts"].is_null(), "nobody asked for forecasts");

    let refused = call(&["status", "--cost", "--format", "prometheus"]).run()?.expect(2)?;
    ensure!(refused.stderr.contains("--cost is told as text or JSON only"), "{refused:?}");
    no_session_stays_on(&["forecast"])
}
