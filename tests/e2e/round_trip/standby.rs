//! A backup of a hot standby, restored: what the primary holds.

use anyhow::{Context, Result, ensure};
use lifeboat_testkit::standby::{OF_A_PRIMARY, Standby};
use lifeboat_tests::{Cluster, StoreUnderTest};

use super::{backup::Backup, contents::Contents};

const BESIDE_THE_SHOP: &str = "
SELECT lo_from_bytea(4711, convert_to(repeat('a large object ', 100000), 'UTF8'));
CREATE UNLOGGED TABLE public.unlogged AS SELECT 1 AS a;
CREATE SEQUENCE public.counted; SELECT nextval('public.counted') FROM generate_series(1, 1000)";

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_standby_brings_back_what_its_primary_holds_but_for_unlogged_rows() -> Result<()> {
    let (primary, target) = (Cluster::start_with(15, &OF_A_PRIMARY).await?, Cluster::start(15).await?);
    primary.create_shop("shop", "0.05")?;
    primary.sql("shop", BESIDE_THE_SHOP)?;
    let standby = Standby::of(primary.tool("pg_basebackup", ""), &primary.bin).context("start a standby")?;
    let url = primary.url("shop").replace(&format!(":{}/", primary.port()), &format!(":{}/", standby.port()));
    let backup = Backup::of_url(&url, &primary.bin, StoreUnderTest::folder()?, &["--jobs", "3"])?;
    let omitted = backup.answer["omitted"].to_string();
    ensure!(omitted.contains("unlogged"), "the backup does not say what it lacks: {omitted}");
    target.create_database_with("restored", "TEMPLATE template0")?;
    let outcome = backup.restore(&target, "restored", &["--jobs", "3"]).json()?;
    ensure!(outcome["compared"].as_array().is_some_and(|all| all.len() > 5), "too little was compared: {outcome}");
    primary.sql("shop", "TRUNCATE public.unlogged")?;
    Contents::of(&target, "restored")?.expect_same("of the standby", &Contents::of(&primary, "shop")?)
}
