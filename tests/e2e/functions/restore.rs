//! The function `restore` with each of its sample requests, and what the configuration does not allow it.

use std::{sync::Arc, time::SystemTime};

use anyhow::{Context, Result, bail, ensure};
use lifeboat_runtime::{
    environment::Environment,
    functions,
    lambda::{self, Host, Invocation},
};
use lifeboat_tests::StoreUnderTest;
use serde_json::json;

use super::emulator::Functions;
use crate::shared::{Holding, fifteen, no_session_stays_on, with_tools};

const CONFIGURATION: &str = "
[databases.orders]
url = { env = \"ORDERS_URL\" }

[restore.targets.production]
url = { env = \"ORDERS_URL\" }
databases = [\"orders\"]
overwrite = true

[restore.targets.copy]
url = { env = \"COPY_URL\" }
";

#[test]
fn each_sample_request_is_answered_and_only_what_the_target_allows_is_done() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::minio()?, fifteen()?);
    cluster.create_shop("function_restore", "0.01")?;
    cluster.create_database_with("function_restore_copy", "TEMPLATE template0")?;
    let mut functions = Functions::start(&store, "function_restore")?;
    functions.write("lifeboat.toml", CONFIGURATION)?;
    let copy = cluster.url("function_restore_copy");
    functions.serve("dump", 1, &[])?;
    functions.serve("restore", 1, &[("COPY_URL", &copy)])?;
    let early = functions.invoke("restore", "dry-run.json")?.error("not_found")?;
    ensure!(early.contains("no backup of orders"), "{early}");
    let backup = functions.invoke("dump", "nightly.json")?.answer()?;
    cluster.sql("function_restore", "DELETE FROM shop.order_items")?;

    let dry = functions.invoke("restore", "dry-run.json")?.answer()?;
    ensure!(dry["status"] == "done" && dry["dry_run"] == true && dry["backup_id"] == backup["backup_id"], "{dry:#}");
    ensure!(
        dry["plan"]["kept_as"] == "function_restore_lifeboat_old" && dry["plan"]["predicted"].is_object(),
        "{dry:#}"
    );

    let rescued = functions.invoke("restore", "into-schema.json")?.answer()?;
    let tables = &rescued["restored"]["tables"];
    ensure!(
        tables[0]["live"] == "shop.orders" && tables[1]["missing_in_live"]["rows"].as_u64() > Some(0),
        "{rescued:#}"
    );

    let swapped = functions.invoke("restore", "swap.json")?.answer()?;
    ensure!(swapped["restored"]["exchange"]["downtime_seconds"].as_f64().is_some(), "{swapped:#}");
    let items = "SELECT count(*) > 0 FROM shop.order_items";
    ensure!(cluster.sql("function_restore", items)?.trim() == "t", "the items are back");

    let part = functions.invoke("restore", "tables.json")?.answer()?;
    ensure!(part["restored"]["rows"].as_u64() > Some(0), "{part:#}");
    // Now something is there, and this target may not be overwritten.
    let refused = functions.invoke("restore", "whole.json")?.error("refused")?;
    ensure!(refused.contains("is not empty"), "{refused}");
    let swap = r#"{"database":"orders","target":"copy","swap":true}"#;
    let refused = functions.invoke_made_up("restore", swap)?.error("refused")?;
    ensure!(refused.contains("overwrite"), "{refused}");
    let unknown = r#"{"database":"orders","target":"postgres://db/orders"}"#;
    let error = functions.invoke_made_up("restore", unknown)?.error("config")?;
    ensure!(error.contains("is not configured"), "{error}");
    // What nobody has begun to restore cannot be resumed; into an empty database a resumed restore begins.
    let refused = functions.invoke("restore", "resume.json")?.error("refused")?;
    ensure!(refused.contains("holds no restore that could be resumed"), "{refused}");
    cluster.sql("postgres", "DROP DATABASE function_restore_copy")?;
    cluster.create_database_with("function_restore_copy", "TEMPLATE template0")?;
    let whole = functions.invoke("restore", "whole.json")?.answer()?;
    ensure!(whole["restored"]["compared"].as_array().is_some_and(|c| !c.is_empty()), "{whole:#}");
    // Where it may, what is there is replaced, after a backup of it.
    let whole = r#"{"database":"orders","target":"production"}"#;
    let replaced = functions.invoke_made_up("restore", whole)?.answer()?;
    ensure!(replaced["restored"]["safety_backup"].as_str().is_some_and(|b| b.starts_with("safety-")), "{replaced:#}");
    Ok(())
}

#[test]
fn a_restore_that_its_time_limit_ends_leaves_no_session_and_is_resumed() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::minio()?, fifteen()?);
    cluster.create_shop("function_restore_late", "0.01")?;
    cluster.create_database_with("function_restore_late_copy", "TEMPLATE template0")?;
    let mut functions = Functions::start(&store, "function_restore_late")?;
    functions.write("lifeboat.toml", CONFIGURATION)?;
    functions.serve("dump", 1, &[])?;
    functions.invoke("dump", "nightly.json")?.answer()?;
    let copy = cluster.url("function_restore_late_copy");
    // The emulator names no deadline to come; this stands for it. Half of it is for cleaning up.
    let late = [("COPY_URL", copy.as_str()), ("LIFEBOAT_TIME_LIMIT", "40s"), ("LIFEBOAT_DEADLINE_MARGIN", "60s")];
    functions.serve("restore", 1, &late)?;
    // A name that somebody else is about to take keeps it waiting.
    let taking = Holding::start("function_restore_late_copy", "CREATE SCHEMA shop")?;
    let ended = functions.invoke("restore", "whole.json").and_then(|i| i.error("deadline"));
    drop(taking);
    ensure!(ended?.contains("before the end"));
    no_session_stays_on(&["function_restore_late_copy"])?;
    let resume = store.lifeboat(["restore", "orders/latest", "--to", "env:COPY_URL", "--resume"]);
    let resumed = with_tools(resume, &cluster.bin).env("COPY_URL", copy).json()?;
    ensure!(resumed["resumed"].is_object(), "{resumed:#}");
    ensure!(resumed["compared"].as_array().is_some_and(|c| !c.is_empty()), "{resumed:#}");
    no_session_stays_on(&["function_restore_late_copy"])
}

/// What is sent to be carried out later arrives at least once, each time under the same id.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_delivered_twice_is_carried_out_once() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::folder()?, fifteen()?);
    cluster.create_shop("function_restored_once", "0.01")?;
    let file = store.beside().context("a folder")?.join("lifeboat.toml");
    std::fs::write(&file, CONFIGURATION)?;
    let url = cluster.url("function_restored_once");
    let tools = cluster.bin.display().to_string();
    let variables = [
        ("LIFEBOAT_CONFIG", file.to_str().context("the file's name")?),
        ("LIFEBOAT_STORE", &store.url),
        ("LIFEBOAT_CLIENT_TOOLS", &tools),
        ("ORDERS_URL", &url),
    ];
    let dump = store.lifeboat(["dump", "orders"]);
    variables.iter().fold(dump, |dump, (name, value)| dump.env(name, *value)).run()?.expect(0)?;

    let (environment, kept) = (Environment::of(variables), Arc::default());
    let deliver = async |id: &str| {
        let payload = json!({ "database": "orders", "target": "production", "tables": ["shop.orders"],
            "into_schema": "rescue" });
        let host = Host::Lambda;
        let invocation = Invocation { deadline: SystemTime::UNIX_EPOCH, request_id: id.to_owned(), payload, host };
        lambda::invoke("restore", &environment, &kept, invocation, &functions::restore).await
    };
    let first = deliver("8f0a-1").await?;
    ensure!(first["status"] == "done", "{first:#}");
    let again = deliver("8f0a-1").await?;
    ensure!(again["status"] == "already_done" && again["earlier"]["run_id"] == first["run_id"], "{again:#}");
    // A request of its own is carried out, and finds what the first one made.
    let Err(other) = deliver("8f0a-2").await else { bail!("the schema was made twice") };
    ensure!(other.to_string().contains("rescue"), "{other}");
    Ok(())
}
