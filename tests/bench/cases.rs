//! The cases: what stock tools and Lifeboat are asked to do, interleaved over the rounds.

use std::{
    fs::{self, File},
    process::Stdio,
};

use anyhow::{Context, Result};
use lifeboat_tests::StoreUnderTest;
use serde_json::Value;

use crate::{
    measure::Measured,
    raw,
    setting::{BIG, Bench, LETTERS, LONG, SHOP, size_of},
};

pub(crate) const STOCK: &str = "pg_dump -Fc";
pub(crate) const STOCK_PIPED: &str = "pg_dump -Fc | aws s3 cp -, MinIO, TLS to the server";
pub(crate) const STOCK_RESTORE: &str = "pg_restore -j2, local folder";
pub(crate) const NEWEST: &str = "newest pg_dump -Fd -j2 -Z zstd:3";
pub(crate) const STOCK_TEXT: &str = "pg_dump -Fc, letters";
pub(crate) const RAW_TEXT: &str = "two raw COPY streams, letters";
pub(crate) const DUMP_1_TEXT: &str = "lifeboat dump, folder, zstd:1, 2 jobs, letters";
pub(crate) const NEWEST_TEXT: &str = "newest pg_dump -Fd -j2 -Z zstd:3, letters";
pub(crate) const DUMP_3_TEXT: &str = "lifeboat dump, folder, zstd:3, 2 jobs, letters";
pub(crate) const NEWEST_BIG: &str = "newest pg_dump -Fd -j2 -Z zstd:3, one big table";
pub(crate) const RAW: &str = "two raw COPY streams";
pub(crate) const DUMP_1: &str = "lifeboat dump, folder, zstd:1, 2 jobs";
pub(crate) const DUMP_AGE: &str = "lifeboat dump, folder, zstd:1, 2 jobs, encrypted";
pub(crate) const DUMP_3: &str = "lifeboat dump, folder, zstd:3, 2 jobs";
pub(crate) const DUMP_3_BIG: &str = "lifeboat dump, folder, zstd:3, 2 jobs, one big table";
pub(crate) const DUMP_MINIO: &str = "lifeboat dump, MinIO, zstd:1, 2 jobs, TLS to the server";
pub(crate) const VERIFY: &str = "lifeboat verify, folder, 2 jobs";
pub(crate) const VERIFY_MINIO: &str = "lifeboat verify, MinIO, 2 jobs";
pub(crate) const RESTORE_MINIO: &str = "lifeboat restore, MinIO, 2 jobs";
pub(crate) const RESTORE_LOADED: &str =
    "lifeboat restore, as far as pg_restore goes: without ANALYZE and the comparison of all rows";
pub(crate) const RESTORE_FAST: &str = "lifeboat restore --fast-scratch, MinIO, 2 jobs";
pub(crate) const MEMORY: &str = "lifeboat dump, folder, zstd:1, 4 jobs";
pub(crate) const MEMORY_MINIO: &str = "lifeboat dump, MinIO, zstd:1, 4 jobs";
pub(crate) const MEMORY_LONG: &str = "lifeboat dump, folder, zstd:1, 4 jobs, rows of 500 MB";
pub(crate) const MEMORY_LONG_MINIO: &str = "lifeboat dump, MinIO, zstd:1, 4 jobs, rows of 500 MB";

/// A case's name, and what it does.
type Case = (&'static str, fn(&mut Bench) -> Result<Measured>);

/// In the order in which they are run: what is compared stands together.
pub(crate) const CASES: [Case; 25] = [
    (STOCK_TEXT, |bench| bench.stock(LETTERS)),
    (RAW_TEXT, |bench| bench.raw(LETTERS, 2)),
    (DUMP_1_TEXT, |bench| bench.dump(&StoreUnderTest::folder()?, LETTERS, &["--compress", "zstd:1", "--jobs", "2"])),
    (NEWEST_TEXT, |bench| bench.newest(LETTERS, 2)),
    (DUMP_3_TEXT, |bench| bench.dump(&StoreUnderTest::folder()?, LETTERS, &["--compress", "zstd:3", "--jobs", "2"])),
    (STOCK, |bench| bench.stock(SHOP)),
    (RAW, |bench| bench.raw(SHOP, 2)),
    (DUMP_1, |bench| {
        let store = StoreUnderTest::folder()?;
        let measured = bench.dump(&store, SHOP, &["--compress", "zstd:1", "--jobs", "2"])?;
        bench.kept = Some(store);
        Ok(measured)
    }),
    (DUMP_AGE, |bench| {
        let key = bench.key.clone();
        bench.dump(&StoreUnderTest::folder()?, SHOP, &["--compress", "zstd:1", "--jobs", "2", "--encrypt-to", &key])
    }),
    (VERIFY, |bench| {
        if bench.kept.is_none() {
            let store = StoreUnderTest::folder()?;
            bench.dump(&store, SHOP, &["--compress", "zstd:1", "--jobs", "2"])?;
            bench.kept = Some(store);
        }
        let store = bench.kept.as_ref().context("no backup was kept")?;
        bench.lifeboat(store.lifeboat(["verify", "--jobs", "2"]), &bench.cluster.url(SHOP), || Ok(0))
    }),
    (NEWEST, |bench| bench.newest(SHOP, 2)),
    (DUMP_3, |bench| bench.dump(&StoreUnderTest::folder()?, SHOP, &["--compress", "zstd:3", "--jobs", "2"])),
    (NEWEST_BIG, |bench| bench.newest(BIG, 2)),
    (DUMP_3_BIG, |bench| bench.dump(&StoreUnderTest::folder()?, BIG, &["--compress", "zstd:3", "--jobs", "2"])),
    (STOCK_PIPED, |bench| bench.measure(vec![bench.pg_dump_to_aws(SHOP)], || Ok(0))),
    (DUMP_MINIO, |bench| {
        let call = bench.minio.lifeboat(["dump", "--no-verify", "--compress", "zstd:1", "--jobs", "2"]);
        bench.lifeboat(call, &bench.url_with_tls(SHOP), || Ok(0))
    }),
    (VERIFY_MINIO, |bench| {
        bench.lifeboat(bench.minio.lifeboat(["verify", "--jobs", "2"]), &bench.cluster.url(SHOP), || Ok(0))
    }),
    (STOCK_RESTORE, |bench| {
        let archive = bench.folder.path().join("stock.dir");
        if !archive.exists() {
            let mut command = bench.tool("pg_dump", SHOP);
            command.args(["-Fd", "-j2", "-f"]).arg(&archive);
            bench.measure(vec![command], || Ok(0))?;
        }
        let target = bench.target()?;
        let mut command = bench.tool("pg_restore", &target);
        command.args(["-j2", "-d", &target]).arg(&archive);
        let measured = bench.measure(vec![command], || Ok(0))?;
        bench.drop_database(&target)?;
        Ok(measured)
    }),
    (RESTORE_MINIO, |bench| bench.restore(&[])),
    (RESTORE_LOADED, |bench| {
        let wall = bench.loaded.take().with_context(|| format!("measure \"{RESTORE_MINIO}\" before it"))?;
        Ok(Measured { wall, ..Measured::default() })
    }),
    (RESTORE_FAST, |bench| bench.restore(&["--fast-scratch"])),
    (MEMORY, |bench| bench.dump(&StoreUnderTest::folder()?, SHOP, &["--compress", "zstd:1", "--jobs", "4"])),
    (MEMORY_MINIO, |bench| bench.dump(&StoreUnderTest::minio()?, SHOP, &["--compress", "zstd:1", "--jobs", "4"])),
    (MEMORY_LONG, |bench| bench.dump(&StoreUnderTest::folder()?, LONG, &["--compress", "zstd:1", "--jobs", "4"])),
    (MEMORY_LONG_MINIO, |bench| bench.dump(&StoreUnderTest::minio()?, LONG, &["--compress", "zstd:1", "--jobs", "4"])),
];

/// Cases that need the rows of 500 MB: once a run is enough, for nothing but their memory is looked at.
pub(crate) const ONCE: [&str; 4] = [MEMORY, MEMORY_MINIO, MEMORY_LONG, MEMORY_LONG_MINIO];

/// Phases of a restore that `pg_restore` does not have.
const PROOF: [&str; 2] = ["analyze", "compare"];

impl Bench {
    /// What most people do.
    fn stock(&self, database: &str) -> Result<Measured> {
        let file = self.folder.path().join("stock.dump");
        let mut command = self.tool("pg_dump", database);
        command.arg("-Fc").stdout(File::create(&file)?);
        self.measure(vec![command], || Ok(size_of(&file)))
    }

    /// What the server can deliver to so many clients.
    pub(crate) fn raw(&self, database: &str, streams: u32) -> Result<Measured> {
        self.measure(vec![raw::command(&self.cluster.url(database), streams)?], || Ok(0))
    }

    /// A restore of the shop's newest backup in MinIO.
    fn restore(&mut self, options: &[&str]) -> Result<Measured> {
        let target = self.target()?;
        let arguments = ["restore", "latest", "--to", "env:TARGET_URL", "--jobs", "2", "--output", "json"];
        let call = self.minio.lifeboat(arguments).args(options).env("TARGET_URL", self.cluster.url(&target));
        let report = self.folder.path().join("restore.json");
        let mut command = call.database(&self.cluster.url(SHOP)).command()?;
        command.stdout(File::create(&report)?).stderr(Stdio::null());
        let measured = self.measure(vec![command], || Ok(0))?;
        let report: Value = serde_json::from_slice(&fs::read(&report)?).context("read the restore's report")?;
        let phases = report["phases"].as_array().context("the report has no phases")?;
        let ours = |phase: &&Value| phase["phase"].as_str().is_some_and(|name| PROOF.contains(&name));
        let proof: f64 = phases.iter().filter(ours).filter_map(|phase| phase["seconds"].as_f64()).sum();
        self.loaded = Some(measured.wall - proof);
        self.drop_database(&target)?;
        Ok(measured)
    }

    /// A dump of ours, not verified.
    pub(crate) fn dump(&self, store: &StoreUnderTest, database: &str, options: &[&str]) -> Result<Measured> {
        let call = store.lifeboat(["dump", "--no-verify"]).args(options);
        self.lifeboat(call, &self.cluster.url(database), || Ok(store.path().map_or(0, |path| size_of(&path))))
    }

    /// The newest pg_dump, into a folder.
    pub(crate) fn newest(&self, database: &str, jobs: u32) -> Result<Measured> {
        let folder = self.folder.path().join("newest.dir");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let mut command = self.newest_pg_dump(database);
        command.args(["-Fd", &format!("-j{jobs}"), "-Z", "zstd:3", "-f"]).arg(&folder);
        self.measure(vec![command], || Ok(size_of(&folder)))
    }
}
