//! Throwaway PostgreSQL clusters for tests, with the fixtures that they hold.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lifeboat_postgres::{
    cluster::{ClusterOptions, ThrowawayCluster},
    tools::ToolSearch,
};

use crate::{aws::encoded, installation::Installation};

/// The password of `postgres` in every test cluster; odd characters show where it is not quoted.
pub const PASSWORD: &str = "s'cr\"e t%/@";

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The folder of the installed test tools. `make setup` fills it.
pub fn tools() -> PathBuf {
    std::env::var_os("LIFEBOAT_TOOLS").map_or_else(|| repository().join(".tools"), PathBuf::from)
}

/// PostgreSQL's programs of a major version; links resolved, because the server's account may not enter a checkout.
pub fn programs(major: u32) -> Result<PathBuf> {
    let link = tools().join(format!("postgresql/{major}"));
    let folder = link.canonicalize().with_context(|| format!("{} is missing: run `make setup`", link.display()))?;
    Ok(folder.join("bin"))
}

/// A running cluster of one test.
pub struct Cluster {
    /// The cluster itself; ends with this value or with the test's process.
    pub server: ThrowawayCluster,
    /// Its major version.
    pub major: u32,
    /// Folder of its programs.
    pub bin: PathBuf,
    password: &'static str,
    _installation: Option<Installation>,
}

impl Cluster {
    /// Starts a cluster of a major version (15, 16 or 18).
    pub async fn start(major: u32) -> Result<Self> {
        Self::start_with(major, &[]).await
    }

    /// Starts a cluster with further settings of postgresql.conf.
    pub async fn start_with(major: u32, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_from(programs(major)?, None, major, PASSWORD, settings).await
    }

    /// Starts a cluster that people will use, with a password that is easy to type.
    pub async fn start_for_people(major: u32, password: &'static str) -> Result<Self> {
        Self::start_from(programs(major)?, None, major, password, &[]).await
    }

    /// Starts a cluster whose server also offers the extension of `extension.sql`.
    pub async fn start_with_extension(major: u32) -> Result<Self> {
        let extension = repository().join("tests/fixtures/extension");
        let installation = Installation::with_extension(&programs(major)?, &extension)?;
        Self::start_from(installation.bin.clone(), Some(installation), major, PASSWORD, &[]).await
    }

    async fn start_from(
        bin: PathBuf,
        installation: Option<Installation>,
        major: u32,
        password: &'static str,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let server = ThrowawayCluster::start(&ClusterOptions {
            search: ToolSearch {
                configured: Some(bin.clone()),
                path: std::env::var_os("PATH"),
                ..ToolSearch::default()
            },
            major,
            work_folder: std::env::temp_dir(),
            password: password.into(),
            settings,
            account: None,
        })
        .await
        .map_err(|e| anyhow::anyhow!("{e}\nhint: {}", e.hint()))?;
        Ok(Self { server, major, bin, password, _installation: installation })
    }

    /// The port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The password of `postgres`.
    pub fn password(&self) -> &'static str {
        self.password
    }

    /// A URL with the password in it: for environment variables, never for arguments.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", encoded(self.password), self.port())
    }

    /// A URL without the password.
    pub fn bare_url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port())
    }

    /// A client tool of the cluster's own version, connected to a database through the environment.
    pub fn tool(&self, name: &str, database: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command
            .env_remove("PGOPTIONS")
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGPASSWORD", self.password)
            .env("PGDATABASE", database)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs SQL through psql; unaligned, tuples only. The first error fails.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = self.tool("psql", database);
        run(command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]))
    }

    /// Runs a file of SQL through psql.
    pub fn sql_file(&self, database: &str, file: &Path) -> Result<String> {
        let mut command = self.tool("psql", database);
        run(command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f"]).arg(file))
    }

    /// Creates an empty database.
    pub fn create_database(&self, name: &str) -> Result<()> {
        self.create_database_with(name, "")
    }

    /// Creates a database with options such as `ENCODING 'LATIN1' TEMPLATE template0`.
    pub fn create_database_with(&self, name: &str, options: &str) -> Result<()> {
        let quoted = name.replace('"', "\"\"");
        self.sql("postgres", &format!("CREATE DATABASE \"{quoted}\" {options}")).map(drop)
    }

    /// Creates a database with the shop of the demo in it; scale 1 is a million rows.
    pub fn create_shop(&self, name: &str, scale: &str) -> Result<()> {
        self.create_database(name)?;
        let mut command = self.tool("psql", name);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c"]).arg(format!("SET shop.scale = {scale}"));
        for part in ["shop-schema.sql", "shop-data.sql", "shop-post.sql"] {
            command.arg("-f").arg(repository().join("cli/src/demo").join(part));
        }
        run(&mut command).map(drop)
    }

    /// Creates a database with one object of every kind that this major version knows, and the roles it needs.
    pub fn create_every_kind(&self, name: &str) -> Result<()> {
        self.create_database(name)?;
        let fixture = |file: &str| repository().join("tests/fixtures").join(file);
        self.sql_file(name, &fixture("roles.sql"))?;
        self.sql_file(name, &fixture("every-kind.sql"))?;
        for (from, file) in [(17, "every-kind-17.sql"), (18, "every-kind-18.sql")] {
            if self.major >= from {
                self.sql_file(name, &fixture(file))?;
            }
        }
        Ok(())
    }

    /// Adds the extension with configuration tables; needs [`Cluster::start_with_extension`].
    pub fn add_extension(&self, database: &str) -> Result<()> {
        self.sql_file(database, &repository().join("tests/fixtures/extension.sql")).map(drop)
    }

    /// Sessions of Lifeboat or its client tools on the server now.
    pub fn lifeboat_sessions(&self) -> Result<Vec<String>> {
        let sql = "SELECT application_name || ': ' || coalesce(state, '') || ' ' || left(query, 60) \
                   FROM pg_stat_activity WHERE application_name LIKE 'lifeboat%'";
        Ok(self.sql("postgres", sql)?.lines().map(str::to_owned).collect())
    }
}

/// Runs a command to its end and gives its output; anything but success fails with what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<String> = command.get_args().map(OsStr::to_string_lossy).map(Into::into).collect();
    let output = command.output().with_context(|| format!("start {shown}"))?;
    ensure!(
        output.status.success(),
        "{shown} {} ended with {}: {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
