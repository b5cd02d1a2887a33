//! What the cases work on: a server with its databases, a MinIO, folders, a key, and targets that come and go.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use lifeboat_tests::{
    Cluster, Lifeboat, StoreUnderTest,
    cluster::{programs, repository, run as run_tool, tools},
};

use crate::measure::{Measured, measure};

/// Tables of many sizes and kinds, most of their rows short and of numbers and times: hard work for the server.
pub(crate) const SHOP: &str = "shop";
/// Eight tables of text, the largest eight times the smallest.
pub(crate) const LETTERS: &str = "letters";
/// One table.
pub(crate) const BIG: &str = "big";
/// A row of 500 MB, and one whose long value is hashed last, among ordinary ones.
pub(crate) const LONG: &str = "long";

/// What a server that serves is set to: PostgreSQL's defaults in place of those of our throwaway clusters, and room for pages.
const SETTINGS: [(&str, &str); 9] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("wal_level", "replica"),
    ("max_wal_senders", "10"),
    ("max_wal_size", "1GB"),
    ("checkpoint_timeout", "5min"),
    ("maintenance_work_mem", "64MB"),
    ("shared_buffers", "512MB"),
];

/// Everything that a case needs.
pub(crate) struct Bench {
    pub(crate) cluster: Cluster,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) minio: StoreUnderTest,
    /// The newest backup of the shop in a folder that is kept: what is verified.
    pub(crate) kept: Option<StoreUnderTest>,
    /// How long the newest restore took for what `pg_restore` does too, s.
    pub(crate) loaded: Option<f64>,
    /// pg_dump 17, built with zstd.
    newest: PathBuf,
    /// What the server's certificate is checked with.
    authority: PathBuf,
    /// The public key that backups are encrypted to.
    pub(crate) key: String,
    postmaster: u32,
    targets: u32,
}

impl Bench {
    /// Starts the servers and makes the databases: the shop at this scale, texts of about the same size, and one table of a
    /// third of it.
    pub(crate) async fn start(scale: f64, long: bool) -> Result<Self> {
        eprintln!("making the databases (shop at scale {scale}) …");
        let cluster = Cluster::start_with(15, &SETTINGS).await?;
        let authority = certify(&cluster)?;
        cluster.create_shop(SHOP, &scale.to_string())?;
        cluster.create_database(LETTERS)?;
        let rows = format!("SET bench.rows = {}; ", scale * 15_000.0);
        cluster.sql(LETTERS, &(rows + include_str!("letters.sql")))?;
        cluster.create_database(BIG)?;
        cluster.sql(
            BIG,
            &format!(
                "CREATE TABLE events AS
                 SELECT i AS id, i % 9973 AS customer, md5(i::text) AS reference, (i * 37 % 100000) / 100.0 AS amount,
                        timestamptz '2026-01-01' + i * interval '7 seconds' AS happened_at,
                        'event ' || i % 17 || ' of kind ' || i % 5 AS what
                 FROM generate_series(1, ({scale} * 600000)::integer) AS i"
            ),
        )?;
        cluster.create_database(LONG)?;
        if long {
            create_rows(&cluster, LONG, 500_000_000)?;
        }
        for database in [SHOP, LETTERS, BIG] {
            cluster.sql(database, "VACUUM ANALYZE")?;
        }
        cluster.sql(SHOP, "CHECKPOINT")?;
        let folder = tempfile::tempdir()?;
        let key = folder.path().join("bench.key");
        let made = Lifeboat::new(["keys", "new"]).args([&key]).json()?;
        let pid = fs::read_to_string(cluster.server.folder().join("data/postmaster.pid")).context("find the server")?;
        Ok(Self {
            postmaster: pid
                .lines()
                .next()
                .unwrap_or_default()
                .trim()
                .parse()
                .context("read the server's process id")?,
            cluster,
            folder,
            minio: StoreUnderTest::minio()?,
            kept: None,
            loaded: None,
            newest: programs(17)?,
            authority,
            key: made["public_key"].as_str().context("no public key was printed")?.to_owned(),
            targets: 0,
        })
    }

    /// What was measured on, for the record.
    pub(crate) fn described(&self) -> Result<Vec<(String, String)>> {
        let size = |database| self.cluster.sql(database, "SELECT pg_size_pretty(pg_database_size(current_database()))");
        let server = self.cluster.sql(SHOP, "SELECT split_part(version(), ' (', 1)")?;
        let newest = run_tool(Command::new(self.newest.join("pg_dump")).arg("--version"))?;
        Ok(vec![
            ("server".to_owned(), server.trim().to_owned()),
            ("newest pg_dump".to_owned(), newest.trim().to_owned()),
            ("shop (many tables, short rows)".to_owned(), size(SHOP)?.trim().to_owned()),
            ("letters (eight tables of text)".to_owned(), size(LETTERS)?.trim().to_owned()),
            ("big (one table)".to_owned(), size(BIG)?.trim().to_owned()),
        ])
    }

    /// A client tool of the server's own version, without TLS.
    pub(crate) fn tool(&self, name: &str, database: &str) -> Command {
        let mut command = self.cluster.tool(name, database);
        command.env("PGSSLMODE", "disable");
        command
    }

    /// pg_dump as new as there is, without TLS.
    pub(crate) fn newest_pg_dump(&self, database: &str) -> Command {
        with_program(&self.tool("pg_dump", database), &self.newest.join("pg_dump"))
    }

    /// What stock users do: `pg_dump -Fc | aws s3 cp -`, with TLS to the server.
    pub(crate) fn pg_dump_to_aws(&self, database: &str) -> Command {
        let tool = self.tool("pg_dump", database);
        let mut command = with_program(&tool, Path::new("bash"));
        let aws = tools().join("bin/aws");
        command.args(["-c", "set -o pipefail; \"$1\" -Fc | \"$2\" s3 cp - \"$3\"", "bash"]);
        command.arg(tool.get_program()).arg(aws).arg(format!("{}/piped/stock.dump", self.minio.url));
        for (name, value) in self.minio.environment() {
            command.env(name, value);
        }
        command.env("PGHOST", "localhost").env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", &self.authority);
        command.stdout(Stdio::null());
        command
    }

    /// A database's URL, with TLS checked in full.
    pub(crate) fn url_with_tls(&self, database: &str) -> String {
        let url = self.cluster.url(database).replace("@127.0.0.1:", "@localhost:");
        format!("{url}?sslmode=verify-full&sslrootcert={}", self.authority.display())
    }

    /// Measures commands.
    pub(crate) fn measure(&self, commands: Vec<Command>, bytes: impl FnOnce() -> Result<u64>) -> Result<Measured> {
        measure(commands, self.postmaster, bytes)
    }

    /// Measures a call of Lifeboat on a database.
    pub(crate) fn lifeboat(&self, call: Lifeboat, url: &str, bytes: impl FnOnce() -> Result<u64>) -> Result<Measured> {
        let mut command = call.database(url).command()?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.measure(vec![command], bytes)
    }

    /// A new empty database.
    pub(crate) fn target(&mut self) -> Result<String> {
        self.targets += 1;
        let name = format!("target_{}", self.targets);
        self.cluster.create_database_with(&name, "TEMPLATE template0")?;
        Ok(name)
    }

    /// Drops what is no longer needed.
    pub(crate) fn drop_database(&self, name: &str) -> Result<()> {
        run_tool(self.cluster.tool("dropdb", "postgres").arg(name)).map(drop)
    }
}

/// Gives the server the fixtures' certificate, which is for `localhost`, and gives the file of its authority.
fn certify(cluster: &Cluster) -> Result<PathBuf> {
    let (fixtures, data) = (repository().join("tests/fixtures/tls"), cluster.server.folder().join("data"));
    let owner = fs::metadata(&data)?;
    for name in ["server.crt", "server.key"] {
        let file = data.join(name);
        fs::copy(fixtures.join(name), &file).with_context(|| format!("copy {name}"))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        chown(&file, Some(owner.uid()), Some(owner.gid())).with_context(|| format!("hand over {name}"))?;
    }
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = on")?;
    cluster.sql("postgres", "SELECT pg_reload_conf()")?;
    Ok(fixtures.join("ca.crt"))
}

/// Fills a database with rows of so many bytes among ordinary ones; one table is loaded through its root, and hashes
/// its long column last.
pub(crate) fn create_rows(cluster: &Cluster, database: &str, bytes: u32) -> Result<()> {
    let (text, times) = ("a row that is long ", bytes / 19);
    let sql = format!(
        "CREATE TABLE wide (id integer, t text);
         INSERT INTO wide VALUES (1, 'before'), (2, repeat('{text}', {times})), (3, 'after');
         CREATE TYPE kind AS ENUM ('a', 'b');
         CREATE TABLE rooted (t text, k kind, a text) PARTITION BY HASH (k);
         CREATE TABLE rooted_0 PARTITION OF rooted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
         INSERT INTO rooted VALUES ('before', 'a', 'x'), (repeat('{text}', {times}), 'b', 'y');
         CREATE TABLE a AS SELECT n, repeat('x', n % 100) FROM generate_series(1, 200000) n;
         CREATE TABLE b AS SELECT * FROM a; CREATE TABLE c AS SELECT * FROM a"
    );
    cluster.sql(database, &sql).map(drop)
}

/// Bytes of a file, or of all files below a folder.
pub(crate) fn size_of(path: &Path) -> u64 {
    if path.is_file() {
        return path.metadata().map_or(0, |m| m.len());
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size_of(&entry.path())).sum()
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
