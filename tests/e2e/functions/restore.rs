//! The function `restore` with each of its sample requests, and what the configuration does not allow it.

use anyhow::{Result, ensure};
use lifeboat_tests::StoreUnderTest;

use super::emulator::Functions;
use crate::shared::fifteen;

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
