//! Databases that are not UTF-8, there and back: bytes of no encoding, and umlauts in LATIN1, in data and in names.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{StoreUnderTest, cluster::repository};

use super::{
    backup::Backup,
    contents::Contents,
    drilled::expect_drill_to_pass,
    trip::{Servers, Trip},
};

const SQL_ASCII: &str = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
const LATIN1: &str = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";

/// A table large enough to be read in ranges, and one that loads through its root: with more than one column, of which
/// a name sorts otherwise as bytes than as it is shown.
const MORE_ODD_NAMES: &str = r"
DO $$
DECLARE
  latin1 text := convert_from('\xe4f6fc', 'SQL_ASCII');
BEGIN
  EXECUTE format('INSERT INTO raw.%I (%I) SELECT n || repeat(%L, 30) FROM generate_series(1, 30000) n', 'table ' || latin1, 'column ' || latin1, latin1);
  EXECUTE format('CREATE TABLE raw.%I (%I raw.labels, b integer) PARTITION BY HASH (%I)', 'root ' || latin1, latin1, latin1);
  FOR remainder IN 0..1 LOOP
    EXECUTE format('CREATE TABLE raw.%I PARTITION OF raw.%I FOR VALUES WITH (MODULUS 2, REMAINDER %s)', latin1 || remainder, 'root ' || latin1, remainder);
  END LOOP;
  EXECUTE format('INSERT INTO raw.%I SELECT l, n FROM raw.labelled, generate_series(1, 3) n', 'root ' || latin1);
  EXECUTE format('CREATE SEQUENCE raw.%I START 41', 'sequence ' || latin1);
END
$$";

/// As the program shows it and takes it.
const ODD_TABLE: &str = r#"raw."table \xe4\xf6\xfc""#;

fn fill(servers: &Servers, database: &str, fixture: &str, options: &str) -> Result<()> {
    servers.source.create_database_with(database, options)?;
    servers.source.sql_file(database, &repository().join("tests/fixtures").join(fixture)).map(drop)
}

/// All three ways.
fn survives(servers: &Servers, database: &str, options: &str) -> Result<Backup> {
    let trip = Trip::begin(servers, database, options)?;
    ensure!(trip.yardstick.count("rows of ") > 1, "the fixture has tables");
    let backup = trip.by_all_ways(StoreUnderTest::folder()?, "zstd:1")?;
    expect_drill_to_pass(&backup, &servers.source)?;
    trip.by_all_ways(StoreUnderTest::minio()?, "gzip:1")?;
    Ok(backup)
}

/// A table whose name is no text can be asked for by the name that is shown.
fn one_table(servers: &Servers, backup: &Backup) -> Result<()> {
    servers.target.create_database_with("one_table", SQL_ASCII)?;
    backup.restore(&servers.target, "one_table", &["--table", ODD_TABLE]).json()?;
    let found = Contents::of(&servers.target, "one_table")?;
    ensure!(found.count("rows of ") == 1, "one table was asked for");
    let shown = "rows of raw.\"table \u{fffd}\u{fffd}\u{fffd}\"";
    ensure!(found.lines(shown)?.len() == 30_003, "{} rows", found.lines(shown)?.len());
    Ok(())
}

async fn other_encodings_survive(major: u32) -> Result<()> {
    let servers = Servers::start(major).await?;
    fill(&servers, "umlauts", "latin1.sql", LATIN1)?;
    survives(&servers, "umlauts", LATIN1).context("LATIN1")?;
    fill(&servers, "bytes", "sql-ascii.sql", SQL_ASCII)?;
    servers.source.sql("bytes", MORE_ODD_NAMES)?;
    let backup = survives(&servers, "bytes", SQL_ASCII).context("SQL_ASCII")?;
    ensure!(backup.chunks_beyond_the_first()? > 0, "no table was read in ranges");
    one_table(&servers, &backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_are_not_utf8_survive_all_ways_on_15() -> Result<()> {
    other_encodings_survive(15).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "every run does it on 15: run by `make soak`"]
async fn databases_that_are_not_utf8_survive_all_ways_on_18() -> Result<()> {
    other_encodings_survive(18).await
}
