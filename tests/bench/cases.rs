//! The cases: what stock tools and Lifeboat are asked to do, interleaved over the rounds.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use lifeboat_tests::{
    Cluster, Lifeboat, StoreUnderTest,
    cluster::{programs, run as run_tool},
};

use crate::{
    measure::{Measured, measure},
    table::Results,
};

const DATABASE: &str = "shop";

/// Everything that a case needs.
struct Bench {
    cluster: Cluster,
    postmaster: u32,
    folder: tempfile::TempDir,
    minio: StoreUnderTest,
    /// pg_dump 17 or newer, built with zstd, if there is one.
    newest: Option<PathBuf>,
    targets: u32,
}

/// Runs every case `rounds` times and gives the medians.
pub(crate) async fn run(scale: &str, rounds: usize) -> Result<Results> {
    eprintln!("making the database (shop at scale {scale}) …");
    let cluster = Cluster::start_with(15, &[("wal_level", "minimal"), ("shared_buffers", "512MB")]).await?;
    cluster.create_shop(DATABASE, scale)?;
    cluster.sql(DATABASE, "VACUUM ANALYZE")?;
    let pid = fs::read_to_string(cluster.server.folder().join("data/postmaster.pid")).context("find the server")?;
    let mut bench = Bench {
        postmaster: pid.lines().next().unwrap_or_default().trim().parse().context("read the server's process id")?,
        cluster,
        folder: tempfile::tempdir()?,
        minio: StoreUnderTest::minio()?,
        newest: programs(17).ok(),
        targets: 0,
    };
    let size = bench.cluster.sql(DATABASE, "SELECT pg_size_pretty(pg_database_size(current_database()))")?;
    let server = bench.cluster.sql(DATABASE, "SELECT version()")?;
    let mut all: Vec<(String, Vec<Measured>)> = Vec::new();
    for round in 1..=rounds {
        for (name, measured) in bench.round()? {
            eprintln!("round {round}: {name}: {:.2} s", measured.wall);
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, measurements)) => measurements.push(measured),
                None => all.push((name, vec![measured])),
            }
        }
    }
    let newest = bench.newest.as_ref().map_or("none with zstd was found".to_owned(), |_| "17".to_owned());
    Ok(Results {
        setting: vec![
            ("cores".to_owned(), std::thread::available_parallelism()?.to_string()),
            ("server".to_owned(), server.trim().to_owned()),
            ("database".to_owned(), size.trim().to_owned()),
            ("newest pg_dump".to_owned(), newest),
            ("rounds".to_owned(), format!("{rounds}, medians")),
        ],
        cases: all.into_iter().map(|(name, measurements)| (name, median(measurements))).collect(),
    })
}

/// The measurement with the median wall time, with the largest memory of all.
fn median(mut measurements: Vec<Measured>) -> Measured {
    let peak = measurements.iter().map(|m| m.peak_mib).fold(0.0, f64::max);
    measurements.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    Measured { peak_mib: peak, ..measurements[measurements.len() / 2] }
}

fn size_of(path: &Path) -> u64 {
    if path.is_file() {
        return path.metadata().map_or(0, |m| m.len());
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of(&entry.path())).sum()
}

impl Bench {
    fn round(&mut self) -> Result<Vec<(String, Measured)>> {
        let mut done = Vec::new();
        let out = |name: &str| self.folder.path().join(name);
        let (fc, fd, newest_fd) = (out("stock.dump"), out("stock.dir"), out("newest.dir"));
        for folder in [&fd, &newest_fd] {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
        }
        let mut custom = self.cluster.tool("pg_dump", DATABASE);
        custom.arg("-Fc").stdout(File::create(&fc)?);
        done.push(("pg_dump -Fc".to_owned(), measure(vec![custom], self.postmaster, || Ok(size_of(&fc)))?));
        let mut directory = self.cluster.tool("pg_dump", DATABASE);
        directory.args(["-Fd", "-j2", "-f"]).arg(&fd);
        done.push(("pg_dump -Fd -j2".to_owned(), measure(vec![directory], self.postmaster, || Ok(size_of(&fd)))?));
        if let Some(bin) = &self.newest {
            let mut command = self.cluster.tool("pg_dump", DATABASE);
            let arguments = ["-Fd", "-j2", "-Z", "zstd:3", "-f"];
            command = with_program(&command, &bin.join("pg_dump"));
            command.args(arguments).arg(&newest_fd);
            let measured = measure(vec![command], self.postmaster, || Ok(size_of(&newest_fd)))?;
            done.push(("newest pg_dump -Fd -j2 -Z zstd:3".to_owned(), measured));
        }
        done.push(("two raw COPY streams".to_owned(), self.raw_copy()?));
        done.extend(self.dumps()?);
        let restored = self.restores(&fd)?;
        done.extend(restored);
        Ok(done)
    }

    /// Two psql sessions that copy all tables to nowhere, shared out by size: the most that the server gives two clients.
    fn raw_copy(&self) -> Result<Measured> {
        let sql = "SELECT format('COPY %I.%I TO STDOUT;', n.nspname, c.relname) \
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
                   ORDER BY pg_table_size(c.oid) DESC";
        let statements = self.cluster.sql(DATABASE, sql)?;
        let mut scripts = [String::new(), String::new()];
        for (index, statement) in statements.lines().enumerate() {
            // 0 1 1 0 0 1 1 0: the largest tables are shared out evenly.
            scripts[usize::from(matches!(index % 4, 1 | 2))].push_str(statement);
        }
        let commands = scripts
            .iter()
            .map(|script| {
                let mut command = self.cluster.tool("psql", DATABASE);
                command.args(["-X", "-q", "-c", script]).stdout(Stdio::null());
                command
            })
            .collect();
        measure(commands, self.postmaster, || Ok(0))
    }

    fn dumps(&self) -> Result<Vec<(String, Measured)>> {
        let mut done = Vec::new();
        for (codec, jobs) in [("zstd:1", "2"), ("zstd:3", "2"), ("zstd:1", "4")] {
            let store = StoreUnderTest::folder()?;
            let call = store.lifeboat(["dump", "--no-verify", "--compress", codec, "--jobs", jobs]);
            let measured = self.lifeboat(call, || Ok(store.path().map_or(0, |p| size_of(&p))))?;
            done.push((format!("lifeboat dump, folder, {codec}, {jobs} jobs"), measured));
            if (codec, jobs) == ("zstd:1", "2") {
                let bytes = measured.bytes;
                let verify = self.lifeboat(store.lifeboat(["verify"]), || Ok(bytes))?;
                done.push(("lifeboat verify, folder".to_owned(), verify));
            }
        }
        let call = self.minio.lifeboat(["dump", "--no-verify", "--compress", "zstd:1", "--jobs", "2"]);
        done.push(("lifeboat dump, MinIO, zstd:1, 2 jobs".to_owned(), self.lifeboat(call, || Ok(0))?));
        Ok(done)
    }

    fn lifeboat(&self, call: Lifeboat, bytes: impl FnOnce() -> Result<u64>) -> Result<Measured> {
        let mut command = call.database(&self.cluster.url(DATABASE)).command()?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        measure(vec![command], self.postmaster, bytes)
    }

    fn restores(&mut self, archive: &Path) -> Result<Vec<(String, Measured)>> {
        let mut done = Vec::new();
        let target = self.target()?;
        let mut stock = self.cluster.tool("pg_restore", &target);
        stock.args(["-j2", "-d", &target]).arg(archive);
        done.push(("pg_restore -j2".to_owned(), measure(vec![stock], self.postmaster, || Ok(0))?));
        self.drop_target(&target)?;
        let folder = StoreUnderTest::folder()?;
        let dump = folder.lifeboat(["dump", "--no-verify", "--jobs", "2"]).database(&self.cluster.url(DATABASE));
        dump.run()?.expect(0)?;
        for (name, store) in [("folder", &folder), ("MinIO", &self.minio)] {
            self.targets += 1;
            let target = format!("target_{}", self.targets);
            self.cluster.create_database_with(&target, "TEMPLATE template0")?;
            let call = store
                .lifeboat(["restore", "latest", "--to", "env:TARGET_URL", "--jobs", "2"])
                .env("TARGET_URL", self.cluster.url(&target));
            let measured = self.lifeboat(call, || Ok(0))?;
            done.push((format!("lifeboat restore, {name}, 2 jobs"), measured));
            self.drop_target(&target)?;
        }
        Ok(done)
    }

    fn target(&mut self) -> Result<String> {
        self.targets += 1;
        let name = format!("target_{}", self.targets);
        self.cluster.create_database_with(&name, "TEMPLATE template0")?;
        Ok(name)
    }

    fn drop_target(&self, name: &str) -> Result<()> {
        run_tool(self.cluster.tool("dropdb", "postgres").arg(name)).map(drop)
    }
}

/// The same command with another program.
fn with_program(command: &Command, program: &Path) -> Command {
    let mut other = Command::new(program);
    other.stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}
