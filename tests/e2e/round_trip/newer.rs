//! A backup of an older major version, restored into a newer server: as the newer server's stock `pg_restore` does it.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Cluster, StoreUnderTest,
    cluster::{programs, run},
};

use super::{
    backup::Backup,
    contents::Contents,
    trip::{Servers, Trip},
};

const DATABASE: &str = "older";

/// What Debian's servers have and the wheel's lack: contrib modules, ICU, libxml, lz4.
const DROP_WHAT_THE_NEWER_LACKS: &str = "
SET client_min_messages = error;
DO $$
DECLARE
  name text;
BEGIN
  FOR name IN SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' LOOP
    EXECUTE format('DROP EXTENSION %I CASCADE', name);
  END LOOP;
END
$$;
DROP COLLATION IF EXISTS kinds.case_blind CASCADE;
DROP TABLE IF EXISTS kinds.icu_text, kinds.lz4;
DELETE FROM kinds.xmls WHERE x IS NOT NULL";

async fn moves_to_a_newer_major_version(from: u32, to: u32) -> Result<()> {
    let servers = Servers::start_two(from, to).await?;
    servers.source.create_every_kind(DATABASE)?;
    servers.source.sql(DATABASE, DROP_WHAT_THE_NEWER_LACKS)?;
    servers.bring_roles()?;
    let trip = Trip::begin(&servers, DATABASE, "TEMPLATE template0")?;
    let backup = trip.back_up(StoreUnderTest::folder()?, "zstd:1")?;
    servers.target.create_database_with("newer", "TEMPLATE template0")?;
    let outcome = backup.restore(&servers.target, "newer", &[]).json()?;
    trip.expect_the_same_in(&format!("lifeboat restore from {from} to {to}"), "newer")?;
    // What is said is about versions and statistics; nothing was left out.
    for (step, message) in outcome["messages"].as_array().context("messages")?.iter().map(|m| (&m[0], &m[1])) {
        let harmless = ["version_difference", "statistics"].map(|kind| message["classification"] == kind);
        ensure!(harmless.contains(&true), "{step}: {message:#}");
    }
    // The other direction cannot be.
    let backup = Backup::of(&servers.target, "newer", StoreUnderTest::folder()?, &[])?;
    servers.source.create_database("backwards")?;
    let refused = backup.restore(&servers.source, "backwards", &[]).run()?.expect(9)?;
    ensure!(refused.stderr.contains("older"), "{}", refused.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_15_restores_into_18() -> Result<()> {
    moves_to_a_newer_major_version(15, 18).await
}

/// The way of somebody who moves to a newer server: its client tools come first.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_15_by_the_client_tools_of_18_restores_into_18_by_lifeboat_and_by_stock_tools() -> Result<()> {
    let (source, target) = (Cluster::start(15).await?, Cluster::start(18).await?);
    source.create_shop("shop", "0.02")?;
    // The wheel's pg_restore 18 is built without zstd.
    let (store, options) = (StoreUnderTest::folder()?, ["--jobs", "2", "--compress", "gzip:1"]);
    let backup = Backup::of_url(&source.url("shop"), &programs(18)?, store, &options)?;
    let facts = &backup.manifest()?["source"];
    ensure!(facts["client_version"].as_str().is_some_and(|v| v.starts_with("18")), "{facts:#}");
    for name in ["stock", "lifeboat", "fetched"] {
        target.create_database_with(name, "TEMPLATE template0")?;
    }
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("stock.dump");
    let mut pg_dump = target.tool("pg_dump", "shop");
    run(pg_dump.env("PGPORT", source.port().to_string()).args(["-Fc", "-f"]).arg(&archive))?;
    run(target.tool("pg_restore", "stock").args(["-d", "stock"]).arg(&archive))?;
    let yardstick = Contents::of(&target, "stock")?;
    ensure!(yardstick.count("rows of ") > 5, "the shop is nearly empty");
    backup.restore(&target, "lifeboat", &["--jobs", "2"]).json()?;
    Contents::of(&target, "lifeboat")?.expect_same("lifeboat restore", &yardstick)?;
    backup.fetch_and_pg_restore(&target, "fetched", "-j2", &[])?;
    Contents::of(&target, "fetched")?.expect_same("lifeboat fetch and pg_restore", &yardstick)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_15_must_be_able_to_read_is_written_so_that_its_pg_restore_does() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_shop("shop", "0.02")?;
    let backup = Backup::readable_by(15, &cluster, "shop", StoreUnderTest::folder()?)?;
    let manifest = backup.manifest()?;
    ensure!(manifest["compression"] == "gzip:1", "{}", manifest["compression"]);
    let tables = manifest["tables"].as_array().context("tables")?;
    let chunks = tables.iter().filter_map(|table| table["chunks"].as_array()).flatten();
    let keys: Vec<&str> = chunks.filter_map(|chunk| chunk["key"].as_str()).collect();
    ensure!(keys.len() > 5 && keys.iter().all(|key| key.contains(".gz")), "{keys:?}");
    cluster.create_database_with("fetched", "TEMPLATE template0")?;
    backup.fetch_and_pg_restore(&cluster, "fetched", "-j2", &[])?;
    Contents::of(&cluster, "fetched")?.expect_same("lifeboat fetch", &Contents::of(&cluster, "shop")?)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "every major version into every newer one: run by `make soak`"]
async fn backups_restore_into_every_newer_major_version() -> Result<()> {
    for (from, to) in [(15, 16), (15, 17), (16, 17), (16, 18), (17, 18)] {
        moves_to_a_newer_major_version(from, to).await.with_context(|| format!("from {from} to {to}"))?;
    }
    Ok(())
}
