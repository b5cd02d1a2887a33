//! The demo: on its own shop, and on a user's database through a role that can change nothing.

use std::fs;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Lifeboat, StoreUnderTest,
    cluster::{PASSWORD, repository},
};
use serde_json::Value;

use crate::shared::{fifteen, no_session_stays_on, tools_of_fifteen, with_tools};

/// Runs it as a program does, and looks whether it cleaned up behind itself.
fn demonstrated(call: Lifeboat) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    // The servers' own account has to get there too.
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let (temporary, reports) = (folder.path().join("t"), folder.path().join("reports"));
    fs::create_dir(&temporary)?;
    let call = with_tools(call, &tools_of_fifteen()?).env("TMPDIR", &temporary).args(["--dir"]).args([&reports]);
    let told = call.json()?;
    ensure!(told["drill"]["verdict"] == "passed", "{told:#}");
    let html = fs::read_to_string(told["report"].as_str().context("the report's path")?)?;
    ensure!(html.contains("Passed") && !html.contains(PASSWORD), "{html}");
    let left: Vec<_> = fs::read_dir(&temporary)?.filter_map(|e| Some(e.ok()?.file_name())).collect();
    ensure!(left.is_empty(), "left in the folder for temporary files: {left:?}");
    Ok(told)
}

#[test]
fn the_demo_needs_nothing_and_leaves_its_report() -> Result<()> {
    let told = demonstrated(Lifeboat::new(["demo", "--scale", "0.01"]))?;
    let steps = told["steps"].as_array().context("steps")?;
    ensure!(steps.len() >= 5, "{told:#}");
    Ok(())
}

#[test]
fn the_demo_of_a_users_database_changes_nothing_in_it() -> Result<()> {
    let (cluster, store) = (fifteen()?, StoreUnderTest::folder()?);
    cluster.create_shop("demonstrated", "0.01")?;
    // The role that docs/CONFIG.md recommends, and what it must not do it cannot do.
    cluster.sql(
        "demonstrated",
        "CREATE ROLE demonstrator LOGIN BYPASSRLS PASSWORD 'only-reads';
         GRANT pg_read_all_data TO demonstrator;
         GRANT CONNECT ON DATABASE demonstrated TO demonstrator;
         ALTER ROLE demonstrator SET default_transaction_read_only = on",
    )?;
    let url = format!("postgres://demonstrator:only-reads@127.0.0.1:{}/demonstrated", cluster.port());
    let call = Lifeboat::new(["demo", "--database-url", "env:MY_URL", "--store", &store.url]);
    demonstrated(call.env("MY_URL", url))?;
    let listed = store.lifeboat(["list"]).json()?;
    ensure!(listed["backups"][0]["rung"] == "restored", "{listed:#}");
    no_session_stays_on(&["demonstrated"])
}

#[test]
fn codes_of_the_shop_are_all_different_however_large_it_is() -> Result<()> {
    let cluster = fifteen()?;
    cluster.create_database("large_shop")?;
    let demo = repository().join("cli/src/demo");
    cluster.sql_file("large_shop", &demo.join("shop-schema.sql"))?;
    let data = fs::read_to_string(demo.join("shop-data.sql"))?;
    let (_, rest) = data.split_once("INSERT INTO shop.coupons").context("the shop has coupons")?;
    let (coupons, _) = rest.split_once(";\n").context("the statement ends")?;
    cluster.sql("large_shop", &format!("SET shop.scale = 100; INSERT INTO shop.coupons {coupons}"))?;
    ensure!(cluster.sql("large_shop", "SELECT count(*) FROM shop.coupons")?.trim() == "50000");
    let numbers = "SELECT string_agg(shop.padded(n, 6), ' ' ORDER BY n) FROM unnest('{7,100000,1000000}'::bigint[]) n";
    ensure!(cluster.sql("large_shop", numbers)?.trim() == "000007 100000 1000000");
    Ok(())
}
