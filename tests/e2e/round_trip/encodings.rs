//! Databases that are not UTF-8, there and back: bytes of no encoding, and umlauts in LATIN1, in data and in names.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{StoreUnderTest, cluster::repository};

use super::{
    drilled::expect_drill_to_pass,
    trip::{Servers, Trip},
};

const SQL_ASCII: &str = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
const LATIN1: &str = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";

/// Drops tables and schemas whose names are no UTF-8.
const DROP_ODD_NAMES: &str = r"
DO $$
DECLARE
  drop_it text;
BEGIN
  FOR drop_it IN
    SELECT format('DROP TABLE %I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relname ~ '[\x80-\xff]'
    UNION ALL SELECT format('DROP SCHEMA %I', nspname) FROM pg_namespace WHERE nspname ~ '[\x80-\xff]'
  LOOP
    EXECUTE drop_it;
  END LOOP;
END
$$";

fn fill(servers: &Servers, database: &str, fixture: &str, options: &str) -> Result<()> {
    servers.source.create_database_with(database, options)?;
    servers.source.sql_file(database, &repository().join("tests/fixtures").join(fixture)).map(drop)
}

/// All three ways.
fn survives(servers: &Servers, database: &str, options: &str) -> Result<()> {
    let trip = Trip::begin(servers, database, options)?;
    ensure!(trip.yardstick.count("rows of ") > 1, "the fixture has tables");
    let backup = trip.by_all_ways(StoreUnderTest::folder()?, "zstd:1")?;
    expect_drill_to_pass(&backup, &servers.source)?;
    trip.by_all_ways(StoreUnderTest::minio()?, "gzip:1").map(drop)
}

/// Data, comments, defaults and labels may be any bytes; names of tables, columns and schemas may not yet. Stock tools
/// keep those, so a backup without them must not come to be.
fn a_name_of_no_encoding_is_refused(servers: &Servers) -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let dump = store.lifeboat(["dump", "kept"]).env("LIFEBOAT_CLIENT_TOOLS", &servers.source.bin);
    let refused = dump.database(&servers.source.url("bytes")).run()?.expect(4)?;
    ensure!(
        refused.stderr.contains("names that are not UTF-8") && refused.stderr.contains("rename them"),
        "{}",
        refused.stderr
    );
    let listed = store.lifeboat(["list"]).json()?;
    ensure!(listed["backups"].as_array().is_some_and(Vec::is_empty), "{listed:#}");
    Ok(())
}

async fn other_encodings_survive(major: u32) -> Result<()> {
    let servers = Servers::start(major).await?;
    fill(&servers, "umlauts", "latin1.sql", LATIN1)?;
    survives(&servers, "umlauts", LATIN1).context("LATIN1")?;
    fill(&servers, "bytes", "sql-ascii.sql", SQL_ASCII)?;
    a_name_of_no_encoding_is_refused(&servers)?;
    servers.source.sql("bytes", DROP_ODD_NAMES)?;
    survives(&servers, "bytes", SQL_ASCII).context("SQL_ASCII")
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_are_not_utf8_survive_all_ways_on_15() -> Result<()> {
    other_encodings_survive(15).await
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_are_not_utf8_survive_all_ways_on_18() -> Result<()> {
    other_encodings_survive(18).await
}
