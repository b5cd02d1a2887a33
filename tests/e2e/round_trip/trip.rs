//! One database there and back: two servers, the yardstick of the stock tools, and the three ways beside it.

use std::{cell::Cell, fs};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, StoreUnderTest, cluster::run};

use super::{backup::Backup, contents::Contents, lock::Kind};

/// A server to dump from and a fresh one to restore into.
pub(super) struct Servers {
    pub(super) source: Cluster,
    pub(super) target: Cluster,
    names: Cell<u32>,
}

impl Servers {
    /// Two servers of one major version, both with the extension on offer.
    pub(super) async fn start(major: u32) -> Result<Self> {
        Self::start_two(major, major).await
    }

    /// The same of two major versions.
    pub(super) async fn start_two(from: u32, to: u32) -> Result<Self> {
        let (source, target) = (Cluster::start_with_extension(from).await?, Cluster::start_with_extension(to).await?);
        Ok(Self { source, target, names: Cell::new(0) })
    }

    /// A name that no database has yet.
    fn name(&self) -> String {
        self.names.set(self.names.get() + 1);
        format!("trip_{}", self.names.get())
    }

    /// Brings the roles over, as a stranger would.
    pub(super) fn bring_roles(&self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("globals.sql");
        fs::write(&file, run(self.source.tool("pg_dumpall", "postgres").arg("--globals-only"))?)?;
        // The role that restores is there already: that one error is expected.
        run(self.target.tool("psql", "postgres").args(["-X", "-q", "-f"]).arg(file)).map(drop)
    }
}

/// A database of the source, and what stock tools of the same version make of it on the target.
pub(super) struct Trip<'a> {
    servers: &'a Servers,
    database: &'a str,
    /// As `CREATE DATABASE` wants them.
    options: &'a str,
    /// Parallel jobs of stock `pg_restore` after `lifeboat fetch`.
    jobs: &'static str,
    pub(super) yardstick: Contents,
}

impl<'a> Trip<'a> {
    /// Makes the yardstick: stock `pg_dump -Fc` and stock `pg_restore` in one job.
    pub(super) fn begin(servers: &'a Servers, database: &'a str, options: &'a str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let archive = folder.path().join("stock.dump");
        run(servers.source.tool("pg_dump", database).args(["-Fc", "-Z1", "-f"]).arg(&archive))?;
        let name = servers.name();
        servers.target.create_database_with(&name, options)?;
        run(servers.target.tool("pg_restore", &name).args(["-d", &name]).arg(&archive))
            .context("make the yardstick")?;
        let yardstick = Contents::of(&servers.target, &name)?;
        Ok(Self { servers, database, options, jobs: "-j2", yardstick })
    }

    /// For what stock `pg_restore -j` cannot do: load tables of extensions in the order that their foreign keys want.
    pub(super) fn in_one_job(self) -> Self {
        Self { jobs: "-j1", ..self }
    }

    /// A backup that is read by all three ways.
    pub(super) fn by_all_ways(&self, store: StoreUnderTest, codec: &str) -> Result<Backup> {
        self.back_by_all_ways(self.back_up(store, codec)?, codec)
    }

    /// The same of one that is encrypted.
    pub(super) fn encrypted_by_all_ways(&self, kind: Kind, store: StoreUnderTest, codec: &str) -> Result<Backup> {
        let options = ["--jobs", "3", "--compress", codec];
        let backup = Backup::encrypted(&self.servers.source, self.database, store, &options, kind)?;
        self.back_by_all_ways(backup, codec)
    }

    fn back_by_all_ways(&self, backup: Backup, codec: &str) -> Result<Backup> {
        self.by_restore(&backup)?;
        self.by_fetch(&backup, codec)?;
        self.by_the_kit(&backup)?;
        Ok(backup)
    }

    pub(super) fn back_up(&self, store: StoreUnderTest, codec: &str) -> Result<Backup> {
        Backup::of(&self.servers.source, self.database, store, &["--jobs", "3", "--compress", codec])
    }

    /// By `lifeboat restore`. Gives the restored database's name.
    pub(super) fn by_restore(&self, backup: &Backup) -> Result<String> {
        let name = self.fresh()?;
        let outcome = backup.restore(&self.servers.target, &name, &["--jobs", "4"]).json()?;
        let compared = outcome["compared"].as_array().map_or(0, Vec::len);
        ensure!(compared > 0 || self.yardstick.count("rows of ") == 0, "nothing was compared: {outcome}");
        self.expect_the_same_in("lifeboat restore", &name)?;
        Ok(name)
    }

    /// By `lifeboat restore --clean` over what an earlier way brought.
    pub(super) fn by_restore_over(&self, backup: &Backup, name: &str) -> Result<()> {
        let options = ["--jobs", "2", "--clean", "--force", "--no-safety-backup", "--yes"];
        backup.restore(&self.servers.target, name, &options).json()?;
        self.expect_the_same_in("lifeboat restore --clean", name)
    }

    fn by_fetch(&self, backup: &Backup, codec: &str) -> Result<()> {
        let name = self.fresh()?;
        // For 15 it decodes zstd by itself; the wheel's 16 and 18 are built without zstd.
        let plain: &[&str] =
            if codec.starts_with("zstd") && self.servers.source.major != 15 { &["--plain"] } else { &[] };
        backup.fetch_and_pg_restore(&self.servers.target, &name, self.jobs, plain)?;
        self.expect_the_same_in("lifeboat fetch and pg_restore", &name)
    }

    /// By the `sh` blocks of RESTORE.md.
    pub(super) fn by_the_kit(&self, backup: &Backup) -> Result<()> {
        backup.follow_the_kit(&self.servers.target)?;
        self.expect_the_same_in("RESTORE.md", self.database)?;
        // Out of the next one's way. It cannot be dropped while there is a subscription in it.
        let (name, after) = (self.database.replace('"', "\"\""), self.servers.name());
        self.servers.target.sql("postgres", &format!("ALTER DATABASE \"{name}\" RENAME TO {after}")).map(drop)
    }

    fn fresh(&self) -> Result<String> {
        let name = self.servers.name();
        self.servers.target.create_database_with(&name, self.options)?;
        Ok(name)
    }

    /// Fails unless a database of the target holds what the yardstick holds.
    pub(super) fn expect_the_same_in(&self, way: &str, database: &str) -> Result<()> {
        let what = format!("{} by {way}", self.database);
        Contents::of(&self.servers.target, database)?.expect_same(&what, &self.yardstick)
    }
}
