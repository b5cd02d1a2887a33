//! Large databases: memory stays bounded, and what comes out is what went in. The ten gigabytes are for `make soak`.

use anyhow::{Result, ensure};
use lifeboat_tests::{Cluster, StoreUnderTest};

/// The most memory that the client may take, MiB, with 4 workers on tables of ordinary rows.
const MOST_MEMORY: f64 = 100.0;

/// Dumps a shop with 4 workers, verifies, restores and compares it, and looks at the memory of each.
async fn shop_of(scale: &str, store: StoreUnderTest) -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_shop("shop", scale)?;
    cluster.create_database_with("restored", "TEMPLATE template0")?;
    let url = cluster.url("shop");
    let dump = store.lifeboat(["dump", "--no-verify", "--jobs", "4", "--compress", "zstd:1"]).database(&url);
    let restore = store
        .lifeboat(["restore", "latest", "--to", "env:TARGET_URL", "--jobs", "4"])
        .env("TARGET_URL", cluster.url("restored"));
    for (what, call) in [("dump", dump), ("verify", store.lifeboat(["verify", "--jobs", "4"])), ("restore", restore)] {
        let (code, peak) = call.run_measured()?;
        ensure!(code == 0, "{what} ended with {code}");
        ensure!(peak <= MOST_MEMORY, "{what} took {peak:.0} MiB of memory, more than {MOST_MEMORY}");
    }
    for table in ["shop.orders", "shop.order_items", "shop.events"] {
        let sql = format!("SELECT count(*), sum(hashtext(t::text)) FROM {table} t");
        assert_eq!(cluster.sql("restored", &sql)?, cluster.sql("shop", &sql)?, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn memory_stays_bounded_with_four_workers() -> Result<()> {
    shop_of("0.3", StoreUnderTest::minio()?).await
}

/// The most memory that the client may take, MiB, whatever the length of a row.
const MOST_BY_LONG_ROWS: f64 = 100.0;

/// Dumps, verifies, restores and drills a table with a row of so many bytes among others, and one whose long value comes
/// before the columns that are hashed first; looks at the memory of each.
async fn long_row_of(bytes: u32, long_in_root: u32) -> Result<()> {
    let (cluster, store) = (Cluster::start(15).await?, StoreUnderTest::folder()?);
    cluster.create_database("wide")?;
    let text = "a row that is long ";
    let (times, times_in_root) = (bytes / 19, long_in_root / 19);
    cluster.sql(
        "wide",
        &format!(
            "CREATE TABLE wide (id integer, t text);
             INSERT INTO wide VALUES (1, 'before'), (2, repeat('{text}', {times})), (3, 'after');
             CREATE TYPE kind AS ENUM ('a', 'b');
             CREATE TABLE rooted (t text, k kind, a text) PARTITION BY HASH (k);
             CREATE TABLE rooted_0 PARTITION OF rooted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
             INSERT INTO rooted VALUES ('before', 'a', 'x'), (repeat('{text}', {times_in_root}), 'b', 'y');
             CREATE TABLE a AS SELECT n, repeat('x', n % 100) FROM generate_series(1, 200000) n;
             CREATE TABLE b AS SELECT * FROM a; CREATE TABLE c AS SELECT * FROM a"
        ),
    )?;
    cluster.create_database_with("restored", "TEMPLATE template0")?;
    let dump = store.lifeboat(["dump", "--no-verify", "--jobs", "4", "--compress", "zstd:1"]);
    let restore = store.lifeboat(["restore", "latest", "--to", "env:TARGET_URL", "--jobs", "4"]);
    let drill = store.lifeboat(["drill", "wide", "--scratch", "env:SCRATCH_URL", "--jobs", "4"]);
    for (what, call) in [
        ("dump", dump.database(&cluster.url("wide"))),
        // Read again, the rows and their checksum are those that the dump saw go by.
        ("verify", store.lifeboat(["verify", "--jobs", "4"])),
        ("restore", restore.env("TARGET_URL", cluster.url("restored"))),
        ("drill", drill.env("SCRATCH_URL", cluster.url("postgres"))),
    ] {
        let (code, peak) = call.run_measured()?;
        ensure!(code == 0, "{what} ended with {code}");
        ensure!(peak <= MOST_BY_LONG_ROWS, "{what} took {peak:.0} MiB of memory, more than {MOST_BY_LONG_ROWS}");
    }
    let shown = store.lifeboat(["show", "latest"]).json()?.to_string();
    ensure!(shown.contains(r#""loads_into":"public.rooted""#), "a table is loaded through its root: {shown}");
    for sql in ["SELECT sum(length(t)), md5(max(t)) FROM wide", "SELECT sum(length(t)), md5(max(t)) FROM rooted"] {
        assert_eq!(cluster.sql("restored", sql)?, cluster.sql("wide", sql)?, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn rows_of_200_megabytes_pass_through_in_pieces() -> Result<()> {
    long_row_of(200_000_000, 80_000_000).await
}

#[tokio::test]
#[ignore = "half a gigabyte in one row, of which the server makes several copies: run by `make soak`"]
async fn rows_of_500_megabytes_pass_through_in_pieces() -> Result<()> {
    long_row_of(500_000_000, 500_000_000).await
}

#[tokio::test]
#[ignore = "10 GB: run by `make soak`"]
async fn ten_gigabytes_come_back_equal_in_bounded_memory() -> Result<()> {
    shop_of("50", StoreUnderTest::minio()?).await
}
