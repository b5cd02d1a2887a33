//! One object of every kind, there and back on every major version, and through a drill.

use anyhow::{Result, ensure};
use lifeboat_tests::{StoreUnderTest, cluster::repository};

use super::{
    backup::Backup,
    contents::Contents,
    drilled::expect_drill_to_pass,
    trip::{Servers, Trip},
};

/// Needs quotes everywhere.
const EVERY_KIND: &str = "every kind's \"$(touch lb_pwned)\"";

/// Holds an extension with configuration tables that refer to each other. Apart from the rest, because there stock
/// `pg_restore -j` loads referring rows before those that they refer to, and fails now and then.
const EXTENSION: &str = "extension";

const EMPTY: &str = "TEMPLATE template0";

pub(super) fn every_kind(servers: &Servers) -> Result<Trip<'_>> {
    servers.source.create_every_kind(EVERY_KIND)?;
    servers.bring_roles()?;
    let trip = Trip::begin(servers, EVERY_KIND, EMPTY)?;
    ensure!(trip.yardstick.count("rows of ") > 120, "the fixture has {} tables", trip.yardstick.count("rows of "));
    ensure!(trip.yardstick.count("large object ") > 3, "the fixture has large objects");
    Ok(trip)
}

fn extension(servers: &Servers) -> Result<Trip<'_>> {
    servers.source.create_database(EXTENSION)?;
    servers.source.add_extension(EXTENSION)?;
    let trip = Trip::begin(servers, EXTENSION, EMPTY)?.in_one_job();
    let settings = trip.yardstick.lines("rows of lb_ext.lb_setting")?;
    ensure!(settings.len() == 4, "2 rows come with the extension, 2 from the backup: {settings:?}");
    Ok(trip)
}

async fn every_kind_survives(major: u32) -> Result<()> {
    let servers = Servers::start(major).await?;
    let trip = every_kind(&servers)?;
    let backup = trip.by_all_ways(StoreUnderTest::folder()?, "zstd:1")?;
    ensure!(backup.chunks_beyond_the_first()? >= 2, "no table was split");
    expect_drill_to_pass(&backup, &servers.source)?;
    let name = trip.by_restore(&backup)?;
    trip.by_restore_over(&backup, &name)?;
    trip.by_all_ways(StoreUnderTest::minio()?, "gzip:1")?;

    let trip = extension(&servers)?;
    let backup = trip.by_all_ways(StoreUnderTest::folder()?, "gzip:1")?;
    expect_drill_to_pass(&backup, &servers.source)?;
    every_difference_is_seen(&servers, &trip, &backup)
}

/// A comparison that cannot fail proves nothing.
fn every_difference_is_seen(servers: &Servers, trip: &Trip<'_>, backup: &Backup) -> Result<()> {
    let name = trip.by_restore(backup)?;
    for change in [
        "UPDATE lb_ext.lb_note SET note = note || ' ' WHERE id = 1",
        "SELECT nextval('lb_ext.lb_note_id_seq')",
        "COMMENT ON TABLE lb_ext.user_choice IS 'new'",
        "SELECT lo_create(0)",
        "ALTER DATABASE CURRENT SET work_mem = '1MB'",
    ] {
        let before = Contents::of(&servers.target, &name)?;
        let change = change.replace("CURRENT", &name);
        servers.target.sql(&name, &change)?;
        let seen = Contents::of(&servers.target, &name)?.expect_same("the change", &before);
        ensure!(seen.is_err(), "not seen: {change}");
    }
    Ok(())
}

/// A sound archive over which the parallel jobs of stock `pg_restore` deadlock, about every other time.
async fn deadlocks_are_survived(major: u32, times: usize) -> Result<()> {
    let servers = Servers::start(major).await?;
    servers.source.create_database("deadlock")?;
    servers.source.sql_file("deadlock", &repository().join("tests/fixtures/restore-deadlock.sql"))?;
    let trip = Trip::begin(&servers, "deadlock", EMPTY)?;
    let backup = trip.back_up(StoreUnderTest::folder()?, "gzip:1")?;
    for _ in 0..times {
        trip.by_restore(&backup)?;
    }
    trip.by_the_kit(&backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_jobs_that_deadlock_lose_nothing_on_18() -> Result<()> {
    deadlocks_are_survived(18, 2).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "many times: run by `make soak`"]
async fn parallel_jobs_that_deadlock_lose_nothing_however_often() -> Result<()> {
    for major in [15, 16, 17, 18] {
        deadlocks_are_survived(major, 20).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_survives_all_ways_on_15() -> Result<()> {
    every_kind_survives(15).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_survives_all_ways_on_18() -> Result<()> {
    every_kind_survives(18).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "every major version, store and codec: run by `make soak`"]
async fn every_kind_survives_whatever_the_major_version_store_and_codec() -> Result<()> {
    for major in [15, 16, 17, 18] {
        let servers = Servers::start(major).await?;
        for trip in [every_kind(&servers)?, extension(&servers)?] {
            for codec in ["zstd:1", "zstd:9", "gzip:6", "none"] {
                for store in [StoreUnderTest::folder()?, StoreUnderTest::minio()?, StoreUnderTest::localstack()?] {
                    let backup = trip.by_all_ways(store, codec)?;
                    expect_drill_to_pass(&backup, &servers.source)?;
                }
            }
        }
    }
    Ok(())
}
