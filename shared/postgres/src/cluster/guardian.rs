//! The process between Lifeboat and a throwaway server: it starts the server and ends it when Lifeboat is gone.

use std::{
    io::Read,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use super::account::Account;
use crate::tools::ClientTools;

/// A shell script, because it has to outlive us: when this process ends, however it ends, the kernel closes the pipe
/// that the script reads, and the script ends the server and removes its folder. Arguments: programs, folder.
const SCRIPT: &str = r#"
bin=$1 folder=$2
cd "$folder" || exit 1
trap : INT TERM HUP PIPE
if [ ! -f data/PG_VERSION ]; then
  "$bin/initdb" -D data -U postgres -E UTF8 --no-locale -A scram-sha-256 --auth-local=trust --pwfile=password --no-sync \
    >log 2>&1 </dev/null || { cat log; exit 1; }
fi
rm -f password
cat settings >> data/postgresql.conf
"$bin/pg_ctl" -D data -w -t 120 -l log start >start 2>&1 </dev/null || { cat start log; exit 1; }
echo started
read -r end
"$bin/pg_ctl" -D data -w -m immediate stop >stop 2>&1 </dev/null
cd / && rm -rf "$folder"
"#;

/// How long the server may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The guardian of one server.
#[derive(Debug)]
pub(super) struct Guardian {
    child: Child,
    pipe: Option<ChildStdin>,
    postmaster: Option<Pid>,
}

impl Guardian {
    /// Makes the cluster if there is none yet, and starts its server.
    pub(super) async fn start(tools: &ClientTools, folder: &Path, account: &Account) -> Result<Self> {
        let doing = format!("start a throwaway PostgreSQL {}", tools.version());
        // The command carries the environment of a client tool; the shell takes its place.
        let environment: Vec<_> = tools
            .command("postgres")
            .as_std()
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "lifeboat-guardian"]).arg(tools.folder()).arg(folder);
        command.env_clear().envs(environment).env("HOME", folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A Ctrl-C in the terminal is ours to handle, in order.
        command.process_group(0);
        account.run(&mut command);
        let mut child = command.spawn().or_error(ErrorKind::Unexpected, &doing)?;
        let pipe = child.stdin.take();
        let mut said = String::new();
        let mut started = false;
        if let Some(stdout) = child.stdout.take() {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await.or_error(ErrorKind::Unexpected, &doing)? {
                if line == "started" {
                    started = true;
                    break;
                }
                said.push_str(&line);
                said.push('\n');
            }
        }
        let mut guardian = Self { child, pipe, postmaster: postmaster(folder) };
        if started {
            return Ok(guardian);
        }
        guardian.stop_now();
        if let Some(mut stderr) = guardian.child.stderr.take() {
            let _ = tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut said).await;
        }
        Err(Error::new(ErrorKind::Unexpected, format!("{doing}: {}", tail(&said))).with_hint(
            "the server's account must be able to enter the folders of the programs and the work folder; shared memory and disk must suffice",
        ))
    }

    /// Ends the server and waits for it.
    pub(super) async fn stop(&mut self) -> Result<()> {
        drop(self.pipe.take());
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            self.kill();
            self.child.wait().await.or_error(ErrorKind::Unexpected, "end the throwaway server")?;
        }
        Ok(())
    }

    /// The same without an executor, for drops.
    pub(super) fn stop_now(&mut self) {
        drop(self.pipe.take());
        let until = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                self.kill();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(&self) {
        // QUIT makes the server end at once, with all its processes. Whatever has gone already is no error.
        if let Some(server) = self.postmaster {
            let _ = kill_process(server, Signal::QUIT);
        }
        if let Some(group) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The server's process, as it wrote it down itself.
fn postmaster(folder: &Path) -> Option<Pid> {
    let mut text = String::new();
    std::fs::File::open(folder.join("data/postmaster.pid")).ok()?.read_to_string(&mut text).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

/// The last lines of a log, where the reason is.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join("; ")
}
