//! Several databases in one configuration: one failing does not stop the others, and commands know whom they are about.

use std::fs;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Ended, StoreUnderTest};
use serde_json::{Value, json};

use crate::shared::{fifteen, no_session_stays_on, with_tools};

const DATABASES: [&str; 2] = ["fleet_billing", "fleet_orders"];

#[test]
fn a_dump_of_all_goes_on_after_a_failure_and_says_which_failed() -> Result<()> {
    let (cluster, store, folder) = (fifteen()?, StoreUnderTest::folder()?, tempfile::tempdir()?);
    for database in DATABASES {
        cluster.create_database(database)?;
        cluster.sql(database, "CREATE TABLE notes AS SELECT generate_series(1, 5) AS id")?;
    }
    let file = folder.path().join("lifeboat.toml");
    let section = |slug: &str| format!("[databases.{slug}]\nurl = {{ env = \"{}_URL\" }}\n", slug.to_uppercase());
    let sections = ["billing", "lost", "orders"].map(section).concat();
    fs::write(&file, sections)?;
    let call = |arguments: &[&str]| {
        with_tools(store.lifeboat(arguments), &cluster.bin)
            .env("LIFEBOAT_CONFIG", &file)
            .env("BILLING_URL", cluster.url("fleet_billing"))
            .env("LOST_URL", cluster.url("fleet_lost"))
            .env("ORDERS_URL", cluster.url("fleet_orders"))
    };

    // Dumped in the order of their names: the failing one is in the middle.
    let part = document(&call(&["dump", "--all", "--output", "json"]).run()?.expect(11)?)?;
    ensure!(part["done"] == 2 && part["failed"] == 1, "{part:#}");
    let databases = part["databases"].as_array().context("databases")?;
    let names: Vec<&Value> = databases.iter().map(|d| &d["database"]).collect();
    ensure!(names == ["billing", "lost", "orders"], "{part:#}");
    ensure!(databases[1]["error"]["kind"] == "database" && databases[1]["error"]["hint"] != json!(null), "{part:#}");
    ensure!(databases[2]["backup"]["rows"] == 5 && databases[2]["backup"]["verified"] != json!(null), "{part:#}");
    let run_ids: Vec<&Value> = databases.iter().map(|d| &d["backup"]["run_id"]).collect();
    ensure!(run_ids[0] != run_ids[2], "one run id for two runs: {part:#}");

    let text = call(&["dump", "--all"]).run()?.expect(11)?;
    ensure!(text.stdout.contains("failed: connect to database 'fleet_lost'"), "{text:?}");
    ensure!(text.stderr.contains("lost: connect to") && text.stderr.contains("\n  hint: "), "{text:?}");

    // Readers show all; whoever changes something has to be told what.
    let listed = call(&["list"]).json()?;
    ensure!(listed["backups"].as_array().map(Vec::len) == Some(4), "{listed:#}");
    let of_one = call(&["list", "orders"]).json()?;
    ensure!(of_one["backups"].as_array().is_some_and(|b| b.iter().all(|b| b["database"] == "orders")), "{of_one:#}");
    for arguments in [["dump"], ["preflight"], ["drill"]] {
        let which = call(&arguments).run()?.expect(2)?;
        ensure!(which.stderr.contains("hint: name one of: billing, lost, orders"), "{which:?}");
    }
    let shown = call(&["show", "orders/latest"]).json()?;
    ensure!(shown["manifest"]["source"]["database_name"] == "fleet_orders", "{shown:#}");
    let status = call(&["status"]).json()?;
    let standings: Vec<&Value> =
        status["databases"].as_array().context("all")?.iter().map(|d| &d["standing"]).collect();
    ensure!(standings == ["fresh", "no_backup", "fresh"], "{status:#}");

    cluster.create_database("fleet_lost")?;
    let whole = document(&call(&["dump", "--all", "--output", "json"]).run()?.expect(0)?)?;
    ensure!(whole["done"] == 3 && whole["failed"] == 0, "{whole:#}");
    no_session_stays_on(&["fleet_billing", "fleet_lost", "fleet_orders"])
}

fn document(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).with_context(|| format!("not one JSON document: {ended:?}"))
}
