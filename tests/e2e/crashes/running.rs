//! The program while it runs: its log as it comes, signals, and what it leaves on the server and in the store.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lifeboat_tests::{Cluster, Lifeboat, StoreUnderTest, program::wait_until};
use serde_json::Value;

/// How long what should happen at once may take on a busy machine. Less than the 45 s after which a server ends by itself
/// the session of a client that is gone.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(40);

/// A call of the program that has not ended, in a process group of its own.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// Whom a signal is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// The program alone.
    Program,
    /// The program and the client tools that it has started.
    Group,
}

impl Running {
    /// Starts a call with a log of every step.
    pub(crate) fn start(call: Lifeboat) -> Result<Self> {
        let mut command = call.args(["-v", "-v"]).command()?;
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).spawn().context("start lifeboat")?;
        let stderr = child.stderr.take().context("a pipe")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        Ok(Self { child, lines, seen: Vec::new() })
    }

    /// Reads its log until a line contains `place`, for the `nth` time.
    pub(crate) fn until(&mut self, place: &str, nth: usize) -> Result<()> {
        let give_up = Instant::now() + AT_ONCE;
        let mut left = nth;
        loop {
            match self.lines.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    left -= usize::from(line.contains(place));
                    self.seen.push(line);
                    if left == 0 {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("'{place}' did not come:\n{}", self.seen.join("\n")),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended before '{place}':\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str, to: To) -> Result<()> {
        let sign = if to == To::Group { "-" } else { "" };
        let whom = format!("{sign}{}", self.child.id());
        let status = Command::new("kill").args(["-s", name, "--", &whom]).stderr(Stdio::null()).status()?;
        ensure!(status.success(), "kill -s {name}: {status}");
        Ok(())
    }

    /// Waits until it has ended; its exit code, 128 + signal where one ended it.
    pub(crate) fn ended(&mut self, within: Duration) -> Result<i32> {
        let mut code = None;
        wait_until("lifeboat has ended", within, || {
            code = self.child.try_wait()?.map(|s| s.code().unwrap_or_else(|| 128 + s.signal().unwrap_or(0)));
            Ok(code.is_some())
        })
        .with_context(|| self.log())?;
        // What it said last may still be on its way here; a client tool that outlives it keeps the pipe open.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            self.seen.push(line);
        }
        code.context("an exit code")
    }

    /// What it has logged so far.
    pub(crate) fn log(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its client tools too: none may outlive the test.
        self.signal("KILL", To::Group).ok();
        self.child.wait().ok();
    }
}

/// Waits until the server knows no session of ours.
pub(crate) fn no_session_within(cluster: &Cluster, patience: Duration) -> Result<Duration> {
    let began = Instant::now();
    wait_until("no session of Lifeboat is left on the server", patience, || {
        Ok(cluster.lifeboat_sessions()?.is_empty())
    })
    .with_context(|| cluster.lifeboat_sessions().unwrap_or_default().join("\n"))?;
    Ok(began.elapsed())
}

/// The backups that `lifeboat list` knows.
pub(crate) fn listed(store: &StoreUnderTest) -> Result<Vec<Value>> {
    if store.path().is_some_and(|folder| !folder.exists()) {
        return Ok(Vec::new());
    }
    let answer = store.lifeboat(["list"]).json()?;
    Ok(answer["backups"].as_array().context("backups")?.clone())
}

/// Fails if `lifeboat list` knows a backup.
pub(crate) fn nothing_listed(store: &StoreUnderTest) -> Result<()> {
    let backups = listed(store)?;
    ensure!(backups.is_empty(), "{backups:?} are listed");
    Ok(())
}

/// A dump that must succeed and be verified.
pub(crate) fn dumps(store: &StoreUnderTest, url: &str) -> Result<()> {
    store.lifeboat(["dump"]).database(url).run()?.expect(0).map(drop)
}
