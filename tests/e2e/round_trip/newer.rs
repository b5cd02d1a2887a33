//! A backup of an older major version, restored into a newer server: as the newer server's stock `pg_restore` does it.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::StoreUnderTest;

use super::{
    backup::Backup,
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "every major version into every newer one: run by `make soak`"]
async fn backups_restore_into_every_newer_major_version() -> Result<()> {
    for (from, to) in [(15, 16), (15, 17), (16, 17), (16, 18), (17, 18)] {
        moves_to_a_newer_major_version(from, to).await.with_context(|| format!("from {from} to {to}"))?;
    }
    Ok(())
}
