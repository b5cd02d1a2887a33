//! Where a procedure is carried out: a server, a store, the variables that a reader sets, and bash.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, StoreUnderTest, cluster::tools, program::program};

use super::page::procedure;

/// The backups' name, and the database's: what a reader calls `$DB` and `$LIVE`.
pub(super) const DB: &str = "orders";

/// A reader of the runbook at a desk: an own folder, and the variables of the runbook's first lines.
pub(super) struct Desk {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    programs: Vec<PathBuf>,
}

impl Desk {
    /// At a server, with a store.
    pub(super) fn at(server: &Cluster, live: &str, store: &StoreUnderTest) -> Result<Self> {
        let mut desk = Self { folder: tempfile::tempdir()?, variables: Vec::new(), programs: Vec::new() };
        for (name, value) in store.environment() {
            desk.set(name, value);
        }
        desk.set("LIFEBOAT_STORE", &store.url);
        // The name by which the AWS command line knows it.
        desk.set("AWS_DEFAULT_REGION", "us-east-1");
        desk.set("DB", DB);
        desk.set("LIVE", live);
        desk.go_to(server)?;
        Ok(desk)
    }

    /// Another server to restore to.
    pub(super) fn go_to(&mut self, server: &Cluster) -> Result<()> {
        let lifeboat = program()?.parent().context("the program's folder")?.to_owned();
        self.programs = vec![lifeboat, server.bin.clone(), tools().join("bin")];
        self.set("LIFEBOAT_CLIENT_TOOLS", &server.bin.display().to_string());
        self.set("PGHOST", "127.0.0.1");
        self.set("PGPORT", &server.port().to_string());
        self.set("PGUSER", "postgres");
        self.set("PGPASSWORD", server.password());
        self.set("SERVER", &format!("postgres://postgres@127.0.0.1:{}", server.port()));
        Ok(())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a procedure of the runbook to its end and gives what it printed. The first command that fails ends it.
    pub(super) fn carry_out(&self, name: &str) -> Result<String> {
        self.bash(&procedure(name)?).with_context(|| format!("the procedure {name}"))
    }

    /// Runs commands at this desk, such as those by which a disaster is made.
    pub(super) fn bash(&self, commands: &str) -> Result<String> {
        let path = self.programs.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(":");
        let ended = Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{path}:/usr/bin:/bin"))
            .env("HOME", self.folder.path())
            .env("TMPDIR", std::env::temp_dir())
            .env("LC_ALL", "C")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .context("start bash")?;
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        ensure!(ended.status.success(), "{} after these commands:\n{commands}\nwhich said:\n{said}", ended.status);
        Ok(said)
    }
}
