//! One backup that the program made of a test's database, and the three ways back.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Cluster, Lifeboat, StoreUnderTest,
    cluster::{PASSWORD, run, tools},
};
use serde_json::Value;
use tempfile::TempDir;

use super::lock::{Kind, Lock};

/// The smallest there is, so that the fixtures' larger tables are split by ctid.
const CHUNK_SIZE: &str = "1MiB";

/// A store, what the program is configured with, and the one backup in the store.
pub(super) struct Backup {
    store: StoreUnderTest,
    folder: TempDir,
    tools: PathBuf,
    /// How it is encrypted.
    lock: Lock,
    /// `database/id`, as commands take it.
    pub(super) reference: String,
    /// What the dump answered.
    pub(super) answer: Value,
}

impl Backup {
    /// Dumps a database into a store of its own, under the slug `kept`.
    pub(super) fn of(source: &Cluster, database: &str, store: StoreUnderTest, options: &[&str]) -> Result<Self> {
        Self::of_url(&source.url(database), &source.bin, store, options).with_context(|| format!("dump {database}"))
    }

    /// The same of the database that the URL leads to, by these client tools.
    pub(super) fn of_url(url: &str, tools: &Path, store: StoreUnderTest, options: &[&str]) -> Result<Self> {
        Self::to(url, tools, store, options, Kind::Not, "")
    }

    /// A dump by whose configuration this old a `pg_restore` must be able to read it.
    pub(super) fn readable_by(restorer: u32, source: &Cluster, database: &str, store: StoreUnderTest) -> Result<Self> {
        let config = format!("restorer = {restorer}\n");
        Self::to(&source.url(database), &source.bin, store, &[], Kind::Not, &config)
    }

    /// The same, encrypted to a key of its own, which all ways back are given.
    pub(super) fn encrypted(
        source: &Cluster,
        database: &str,
        store: StoreUnderTest,
        options: &[&str],
        kind: Kind,
    ) -> Result<Self> {
        Self::to(&source.url(database), &source.bin, store, options, kind, "")
            .with_context(|| format!("dump {database}"))
    }

    fn to(url: &str, tools: &Path, store: StoreUnderTest, options: &[&str], kind: Kind, config: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut config = format!("{config}[databases.kept]\nchunk_size = \"{CHUNK_SIZE}\"\n");
        let lock = Lock::make(kind, folder.path(), &mut config)?;
        fs::write(folder.path().join("lifeboat.toml"), config)?;
        let (tools, reference) = (tools.to_owned(), String::new());
        let mut backup = Self { store, folder, tools, lock, reference, answer: Value::Null };
        let call = backup.lifeboat(["dump", "kept"]).args(options.iter().copied()).database(url);
        backup.answer = call.json().with_context(|| format!("with {options:?}"))?;
        let id = backup.answer["backup_id"].as_str().context("the dump names no backup")?;
        backup.reference = format!("kept/{id}");
        Ok(backup)
    }

    /// A call of the program on this backup's store.
    pub(super) fn lifeboat<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Lifeboat {
        let arguments: Vec<&str> = arguments.into_iter().collect();
        let call = self
            .store
            .lifeboat(arguments)
            .env("LIFEBOAT_CONFIG", self.folder.path().join("lifeboat.toml"))
            .env("LIFEBOAT_CLIENT_TOOLS", &self.tools);
        match self.lock.environment() {
            Some((name, value)) => call.env(name, value),
            None => call,
        }
    }

    /// What opens the backup, as commands take it.
    pub(super) fn identity(&self) -> Vec<&str> {
        self.lock.flags()
    }

    /// The way back by the program itself, as the superuser of `target`.
    pub(super) fn restore(&self, target: &Cluster, database: &str, options: &[&str]) -> Lifeboat {
        self.restore_as("postgres", PASSWORD, target, database, options)
    }

    /// The same as another role.
    pub(super) fn restore_as(
        &self,
        role: &str,
        password: &str,
        target: &Cluster,
        database: &str,
        options: &[&str],
    ) -> Lifeboat {
        let url = format!("postgres://{role}@127.0.0.1:{}/{database}", target.port());
        self.lifeboat(["restore", &self.reference, "--to", &url])
            .args(options.iter().copied())
            .args(self.identity())
            .env("PGPASSWORD", password)
            .env("LIFEBOAT_CLIENT_TOOLS", &target.bin)
    }

    /// The way back by `lifeboat fetch` and an unmodified `pg_restore`, which must find nothing to complain about.
    pub(super) fn fetch_and_pg_restore(
        &self,
        target: &Cluster,
        database: &str,
        jobs: &str,
        options: &[&str],
    ) -> Result<()> {
        let archive = tempfile::tempdir()?;
        let folder = archive.path().join("archive");
        let path = folder.to_str().context("a path that is text")?;
        self.lifeboat(["fetch", &self.reference, path]).args(options.iter().copied()).args(self.identity()).json()?;
        // As the runbook says: jobs that make indexes and constraints may deadlock.
        for (section, jobs) in [("pre-data", "-j1"), ("data", jobs), ("post-data", "-j1")] {
            let mut tool = target.tool("pg_restore", database);
            let said = run(tool.args([jobs, "-d", database, "--section", section]).arg(&folder))?;
            ensure!(said.is_empty(), "pg_restore said {said}");
        }
        Ok(())
    }

    /// The way back without the program: the `sh` blocks of the backup's own RESTORE.md, in order, as they stand.
    /// The restored database is called as the source was.
    pub(super) fn follow_the_kit(&self, target: &Cluster) -> Result<()> {
        let place = tempfile::tempdir()?;
        let kit = self.read(&format!("{}/RESTORE.md", self.reference))?;
        let script = place.path().join("restore.sh");
        fs::write(&script, format!("set -eu\n{}", blocks(&kit)))?;
        let mut shell = self.shell(&target.bin);
        shell
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", target.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGPASSWORD", PASSWORD);
        let mut shell = self.lock.follow(shell, &script)?;
        run(shell.current_dir(place.path())).context("follow RESTORE.md")?;
        no_command_was_injected(place.path())
    }

    /// How many objects of tables that were split the folder holds, each table's first aside.
    pub(super) fn chunks_beyond_the_first(&self) -> Result<usize> {
        let archive = self.store.path().context("the store is a folder")?.join(&self.reference).join("archive");
        let numbers = fs::read_dir(archive)?.filter_map(|entry| {
            let path = entry.ok()?.path();
            path.extension()?.to_str()?.parse::<u32>().ok()
        });
        Ok(numbers.filter(|number| *number > 1).count())
    }

    /// An object of the backup in a folder, by its key in the manifest.
    pub(super) fn read_bytes(&self, key: &str) -> Result<Vec<u8>> {
        let path = self.store.path().context("the store is a folder")?.join(&self.reference).join(key);
        fs::read(&path).with_context(|| format!("read {}", path.display()))
    }

    /// A file of the store, by its key.
    pub(super) fn read(&self, key: &str) -> Result<String> {
        let location = format!("{}/{key}", self.store.url);
        match location.strip_prefix("file://") {
            Some(path) => fs::read_to_string(path).with_context(|| format!("read {path}")),
            None => run(self.shell(&self.tools).args(["-c", "exec aws s3 cp \"$1\" -", "sh"]).arg(&location)),
        }
    }

    /// The backup's manifest.
    pub(super) fn manifest(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.read(&format!("{}/manifest.json", self.reference))?)?)
    }

    /// A shell with PostgreSQL's programs and `aws` on its path, and nothing else of ours but the way to the store.
    fn shell(&self, programs: &Path) -> Command {
        let mut shell = Command::new("sh");
        let folders = [programs.to_owned(), tools().join("bin"), "/usr/bin".into(), "/bin".into()];
        shell
            .env_clear()
            .env("PATH", std::env::join_paths(folders).unwrap_or_default())
            .env("HOME", self.folder.path())
            .envs(self.store.environment().iter().map(|(name, value)| (name, value)));
        shell
    }
}

/// The commands of a kit: all blocks marked `sh`.
fn blocks(kit: &str) -> String {
    let mut inside = false;
    let mut commands = String::new();
    for line in kit.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => {
                commands.push_str(line);
                commands.push('\n');
            }
            _ => {}
        }
    }
    commands
}

/// The fixtures' names hold commands that would make a file, were they ever executed.
fn no_command_was_injected(folder: &Path) -> Result<()> {
    for folder in [folder, Path::new(".")] {
        let pwned = folder.join("lb_pwned");
        ensure!(!pwned.exists(), "{} exists: a name was executed", pwned.display());
    }
    Ok(())
}
