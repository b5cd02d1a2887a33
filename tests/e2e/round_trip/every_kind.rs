//! One object of every kind, there and back: by the program, by `fetch` and stock `pg_restore`, and by the kit.

use anyhow::{Result, ensure};
use lifeboat_tests::{Cluster, StoreUnderTest, cluster::run};

use super::{backup::Backup, contents::Contents};

/// Needs quotes everywhere.
const EVERY_KIND: &str = "every kind's \"$(touch lb_pwned)\"";

/// Holds an extension with configuration tables that refer to each other. Apart from the rest, because there stock
/// `pg_restore -j` loads referring rows before those that they refer to, and fails now and then.
const EXTENSION: &str = "extension";

/// Two servers of one major version, and what the stock tools bring from one to the other.
struct Trip {
    source: Cluster,
    target: Cluster,
    database: &'static str,
    /// Parallel jobs of stock `pg_restore`.
    jobs: &'static str,
    yardstick: Contents,
    trips: std::cell::Cell<u32>,
}

impl Trip {
    /// Makes the database and its yardstick: stock `pg_dump -Fc` of the same client, and stock `pg_restore`.
    fn begin(source: Cluster, target: Cluster, database: &'static str) -> Result<Self> {
        let extension = database == EXTENSION;
        if extension {
            source.create_database(database)?;
            source.add_extension(database)?;
        } else {
            source.create_every_kind(database)?;
            // The role that restores is there already: that error is expected.
            let globals = run(source.tool("pg_dumpall", "postgres").arg("--globals-only"))?;
            let folder = tempfile::tempdir()?;
            std::fs::write(folder.path().join("globals.sql"), globals)?;
            run(target.tool("psql", "postgres").args(["-X", "-q", "-f"]).arg(folder.path().join("globals.sql")))?;
        }
        let folder = tempfile::tempdir()?;
        let archive = folder.path().join("stock.dump");
        run(source.tool("pg_dump", database).args(["-Fc", "-Z1", "-f"]).arg(&archive))?;
        target.create_database_with("yardstick", "TEMPLATE template0")?;
        run(target.tool("pg_restore", "yardstick").args(["-d", "yardstick"]).arg(&archive))?;
        let yardstick = Contents::of(&target, "yardstick")?;
        let jobs = if extension { "-j1" } else { "-j2" };
        Ok(Self { source, target, database, jobs, yardstick, trips: 0.into() })
    }

    /// The servers, for the next database.
    fn end(self) -> Result<(Cluster, Cluster)> {
        // A subscription in it keeps it from being dropped.
        self.target
            .sql("postgres", &format!("ALTER DATABASE yardstick RENAME TO yardstick_{}", self.database.len()))?;
        Ok((self.source, self.target))
    }

    /// A new database on the target.
    fn fresh(&self) -> Result<String> {
        self.trips.set(self.trips.get() + 1);
        let name = format!("back_{}_{}", self.database.len(), self.trips.get());
        self.target.create_database_with(&name, "TEMPLATE template0")?;
        Ok(name)
    }

    fn expect_the_same_in(&self, way: &str, database: &str) -> Result<()> {
        Contents::of(&self.target, database)?.expect_same(way, &self.yardstick)
    }

    fn by_restore(&self, backup: &Backup) -> Result<()> {
        let database = self.fresh()?;
        let outcome = backup.restore(&self.target, &database, &["--jobs", "3"]).json()?;
        let compared = outcome["compared"].as_array().map_or(0, Vec::len);
        ensure!(compared > 0, "nothing was compared: {outcome}");
        self.expect_the_same_in("lifeboat restore", &database)
    }

    fn by_fetch(&self, backup: &Backup, options: &[&str]) -> Result<()> {
        let database = self.fresh()?;
        backup.fetch_and_pg_restore(&self.target, &database, self.jobs, options)?;
        self.expect_the_same_in("lifeboat fetch and pg_restore", &database)
    }

    fn by_the_kit(&self, backup: &Backup) -> Result<()> {
        backup.follow_the_kit(&self.target)?;
        self.expect_the_same_in("RESTORE.md", self.database)?;
        // A subscription in it keeps it from being dropped.
        let name = self.database.replace('"', "\"\"");
        self.trips.set(self.trips.get() + 1);
        let after = format!("kit_{}_{}", self.database.len(), self.trips.get());
        self.target.sql("postgres", &format!("ALTER DATABASE \"{name}\" RENAME TO {after}")).map(drop)
    }

    /// A backup that is read by all three ways.
    fn by_all_ways(&self, store: StoreUnderTest, codec: &str, fetch: &[&str]) -> Result<Backup> {
        let backup = Backup::of(&self.source, self.database, store, &["--jobs", "3", "--compress", codec])?;
        self.by_restore(&backup)?;
        self.by_fetch(&backup, fetch)?;
        self.by_the_kit(&backup)?;
        Ok(backup)
    }
}

/// `lifeboat fetch` decodes zstd for 15 by itself; the wheel's 16 and 18 are built without zstd.
fn fetch_zstd(major: u32) -> &'static [&'static str] {
    if major == 15 { &[] } else { &["--plain"] }
}

async fn every_kind_survives(major: u32) -> Result<()> {
    let (source, target) = (Cluster::start_with_extension(major).await?, Cluster::start_with_extension(major).await?);
    let trip = Trip::begin(source, target, EVERY_KIND)?;
    ensure!(trip.yardstick.count("rows of ") > 130, "the fixture has {} tables", trip.yardstick.count("rows of "));
    ensure!(trip.yardstick.count("large object ") > 3, "the fixture has large objects");

    let backup = trip.by_all_ways(StoreUnderTest::folder()?, "zstd:1", fetch_zstd(major))?;
    ensure!(backup.chunks_beyond_the_first()? >= 2, "no table was split");
    trip.by_all_ways(StoreUnderTest::minio()?, "gzip:1", &[])?;

    let (source, target) = trip.end()?;
    let trip = Trip::begin(source, target, EXTENSION)?;
    let settings = trip.yardstick.lines("rows of lb_ext.lb_setting")?;
    ensure!(settings.len() == 4, "2 rows come with the extension, 2 from the backup: {settings:?}");
    trip.by_all_ways(StoreUnderTest::folder()?, "gzip:1", &[]).map(drop)
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
#[ignore = "soak: every major version, store and codec"]
async fn every_kind_survives_whatever_the_major_version_store_and_codec() -> Result<()> {
    for major in [15, 16, 17, 18] {
        let (mut source, mut target) =
            (Cluster::start_with_extension(major).await?, Cluster::start_with_extension(major).await?);
        for database in [EVERY_KIND, EXTENSION] {
            let trip = Trip::begin(source, target, database)?;
            for codec in ["zstd:1", "zstd:9", "gzip:6", "none"] {
                let fetch = if codec.starts_with("zstd") { fetch_zstd(major) } else { &[] };
                for store in [StoreUnderTest::folder()?, StoreUnderTest::minio()?, StoreUnderTest::localstack()?] {
                    trip.by_all_ways(store, codec, fetch)?;
                }
            }
            (source, target) = trip.end()?;
        }
    }
    Ok(())
}
