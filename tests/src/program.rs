//! The `lifeboat` program, started as a user starts it: own home, clean environment, secrets by environment only.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::cluster::repository;

/// Where cargo puts the program that `cargo build -p lifeboat-cli` made.
pub fn program() -> Result<PathBuf> {
    static LOOKED_AT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let look = || {
        let program = built("lifeboat")?;
        expect_built_from(repository(), &program)?;
        anyhow::Ok(program)
    };
    LOOKED_AT.get_or_init(|| look().map_err(|e| format!("{e:#}"))).clone().map_err(|e| anyhow!(e))
}

/// Fails where a program was not built from a checkout as it is now: cargo builds tests without the programs that they
/// start, and what an old one does proves nothing.
fn expect_built_from(checkout: &Path, program: &Path) -> Result<()> {
    let written = |path: &Path| {
        let facts = fs::metadata(path).with_context(|| format!("look at {}", path.display()))?;
        anyhow::Ok(facts.modified()?)
    };
    // Cargo's note of what the program was made of, as a rule for make.
    let note = program.with_extension("d");
    let rule = fs::read_to_string(&note).with_context(|| format!("read {}", note.display()))?;
    let (_, sources) = rule.split_once(": ").with_context(|| format!("{} is no rule", note.display()))?;
    let since = written(program)?;
    for source in sources.replace("\\ ", "\0").split_whitespace() {
        let source = PathBuf::from(source.replace('\0', " "));
        let (name, from) = (program.display(), source.display());
        ensure!(source.starts_with(checkout), "{name} was built from {from}, of another checkout: build it again");
        ensure!(written(&source)? <= since, "{name} is older than {from}: build it first, as `make` does");
    }
    Ok(())
}

/// A program that cargo has built beside this test.
pub fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this test's own program")?;
    // Tests lie in `deps` below the folder of the programs, the bench beside them.
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.exists());
    found.with_context(|| format!("{name} is missing beside {}: `make test` builds it first", own.display()))
}

/// One call of the program, to be completed and run.
pub struct Lifeboat {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; 128 + signal where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Lifeboat {
    /// A call with these arguments.
    pub fn new<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self { arguments: arguments.into_iter().map(Into::into).collect(), environment: Vec::new() }
    }

    /// Further arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The source database, by environment.
    #[must_use]
    pub fn database(self, url: &str) -> Self {
        self.env("LIFEBOAT_DATABASE_URL", url)
    }

    /// The command, ready to be spawned. Only what a login shell has is handed on.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(program()?);
        command.args(&self.arguments).env_clear().stdin(Stdio::null());
        for name in ["PATH", "TMPDIR", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("HOME", std::env::temp_dir());
        command.envs(self.environment.iter().cloned());
        Ok(command)
    }

    /// Runs it to its end.
    pub fn run(&self) -> Result<Ended> {
        let output = self.command()?.output().context("start lifeboat")?;
        Ok(Ended {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it with `--output json` and gives the document; a code other than 0 fails.
    pub fn json(self) -> Result<Value> {
        let ended = self.args(["--output", "json"]).run()?;
        ensure!(ended.code == 0, "exit code {}: {}{}", ended.code, ended.stdout, ended.stderr);
        serde_json::from_str(&ended.stdout).with_context(|| format!("not one JSON document: {}", ended.stdout))
    }

    /// Runs it to its end, its output thrown away, and gives exit code and peak of resident memory in MiB.
    pub fn run_measured(&self) -> Result<(i32, f64)> {
        let mut child =
            self.command()?.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("start lifeboat")?;
        let status_file = format!("/proc/{}/status", child.id());
        let mut peak_kib = 0_u32;
        loop {
            let text = std::fs::read_to_string(&status_file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
            let now = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
            peak_kib = peak_kib.max(now);
            if let Some(status) = child.try_wait()? {
                return Ok((code(status), f64::from(peak_kib) / 1024.0));
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Starts it, with both outputs piped.
    pub fn spawn(&self) -> Result<Child> {
        self.command()?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("start lifeboat")
    }
}

impl Ended {
    /// Fails unless it ended with this code; gives itself back.
    pub fn expect(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "exit code {} instead of {code}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Waits until `condition` holds, looking every 50 ms; fails after `patience`, saying what did not come to be.
pub fn wait_until(what: &str, patience: Duration, condition: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_looking_every(Duration::from_millis(50), what, patience, condition)
}

/// The same for what takes long and costs the servers something to be looked at.
pub fn wait_looking_every(
    pause: Duration,
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let until = Instant::now() + patience;
    loop {
        if condition()? {
            return Ok(());
        }
        if Instant::now() >= until {
            bail!("after {} s still not: {what}", patience.as_secs());
        }
        std::thread::park_timeout(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_older_than_its_sources_or_of_another_checkout_is_refused() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (source, program) = (folder.path().join("main of it.rs"), folder.path().join("program"));
        let rule = format!("{}: {}\n", program.display(), source.display().to_string().replace(' ', "\\ "));
        fs::write(program.with_extension("d"), rule)?;
        fs::write(&source, "")?;
        fs::write(&program, "")?;
        let then = fs::metadata(&program)?.modified()?;
        let edit = |at| anyhow::Ok(fs::File::options().write(true).open(&source)?.set_modified(at)?);
        edit(then)?;
        expect_built_from(folder.path(), &program)?;
        let elsewhere = expect_built_from(&folder.path().join("other"), &program);
        ensure!(elsewhere.is_err_and(|e| e.to_string().contains("another checkout")));
        edit(then + Duration::from_secs(1))?;
        let older = expect_built_from(folder.path(), &program);
        ensure!(older.is_err_and(|e| e.to_string().contains("is older than")));
        Ok(())
    }
}
