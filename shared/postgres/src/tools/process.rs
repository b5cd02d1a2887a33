//! Runs one client tool to its end: everything it says is read while it runs, and a cancelled run takes it down.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use lifeboat_core::{Error, ErrorKind, Result, ResultExt, cancel::Cancel};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

use crate::classify;

/// How long a tool may take to cancel its queries on the server and go.
const PATIENCE: Duration = Duration::from_secs(5);

/// About so much of what a tool says is kept; the rest is read, counted and forgotten.
const MOST_KEPT: usize = 16 << 20;

/// What a tool has left behind.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: Vec<u8>,
    /// Bytes of its messages that were not kept: nobody knows what they said.
    pub(crate) forgotten: u64,
}

/// A tool and the workers it forked, which go when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It is no error if it has gone already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Runs `command` with `input` as its standard input. When the run is cancelled the tool is asked to end its queries,
/// then killed with the processes it started, and the reason is the error.
pub(crate) async fn run(mut command: Command, doing: &str, input: &[u8], cancel: &Cancel) -> Result<Ended> {
    cancel.check()?;
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
    let mut child = command.spawn().or_error(ErrorKind::ClientTool, doing)?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let work = talk(&mut child, input);
    tokio::select! {
        biased;
        error = cancel.cancelled() => {
            group.signal(Signal::TERM);
            if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
                group.signal(Signal::KILL);
                let _ = child.wait().await;
            }
            Err(error.context(doing))
        }
        ended = work => {
            let ended = ended.or_error(ErrorKind::ClientTool, doing)?;
            // All its processes have ended: the number may soon belong to others.
            group.0 = None;
            if ended.status.code().is_some() {
                Ok(ended)
            } else {
                let said = classify::told(&ended.stderr);
                Err(Error::new(ErrorKind::ClientTool, format!("{doing}: ended by {} {said}", ended.status)))
            }
        }
    }
}

async fn talk(child: &mut Child, input: &[u8]) -> std::io::Result<Ended> {
    let stdin = child.stdin.take();
    let stderr = child.stderr.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A tool that has given up no longer reads; its exit status and messages tell why.
            let _ = stdin.write_all(input).await;
        }
    };
    let read = async {
        match stderr {
            Some(pipe) => read_bounded(pipe).await,
            None => Ok((Vec::new(), 0)),
        }
    };
    let ((), said, status) = tokio::join!(write, read, child.wait());
    let (stderr, forgotten) = said?;
    Ok(Ended { status: status?, stderr, forgotten })
}

/// What came, up to the limit, and how many bytes more.
async fn read_bounded(mut pipe: impl AsyncRead + Unpin) -> std::io::Result<(Vec<u8>, u64)> {
    let mut kept = Vec::new();
    let mut forgotten = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match pipe.read(&mut buffer).await? {
            0 => return Ok((kept, forgotten)),
            read if kept.len() < MOST_KEPT => kept.extend_from_slice(&buffer[..read]),
            read => forgotten += read as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_core::cancel;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn what_a_tool_says_and_its_status_come_back() {
        let ended = run(shell("cat >&2; exit 3"), "test", b"hello", &Cancel::never()).await.unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(3), b"hello".as_slice()));
    }

    #[tokio::test]
    async fn a_tool_that_stops_reading_is_no_deadlock() {
        let input = vec![b'x'; 4 << 20];
        assert!(run(shell("exit 0"), "test", &input, &Cancel::never()).await.unwrap().status.success());
    }

    #[tokio::test]
    async fn what_a_tool_says_beyond_the_limit_is_counted() {
        let ended = run(shell("head -c 17000000 /dev/zero >&2"), "test", b"", &Cancel::never()).await.unwrap();
        assert!(ended.forgotten > 0 && ended.stderr.len() >= MOST_KEPT, "{}", ended.stderr.len());
        assert_eq!(ended.stderr.len() as u64 + ended.forgotten, 17_000_000);
    }

    #[tokio::test]
    async fn a_killed_tool_is_an_error_that_tells_what_it_said_but_no_password() {
        let script = r#"echo 'pg_restore: error: could not execute query: ERROR:  server "s" does not exist' >&2
            echo "Command was: CREATE USER MAPPING FOR bob SERVER s OPTIONS (password 'hunter2" >&2
            kill -9 $$"#;
        let error = run(shell(script), "test", b"", &Cancel::never()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ClientTool);
        assert!(error.to_string().ends_with("Command was: CREATE USER MAPPING FOR bob SERVER s …"), "{error}");
    }

    #[tokio::test]
    async fn cancelling_ends_the_tool_and_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let (canceller, cancel) = cancel::pair();
        let script = format!("sleep 600 & echo $! > {0}.new && mv {0}.new {0}; wait", file.display());
        let running = tokio::spawn(async move { run(shell(&script), "test", b"", &cancel).await.err() });
        let pid = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break text.trim().parse::<i32>().unwrap();
            }
            tokio::task::yield_now().await;
        };
        canceller.cancel(ErrorKind::Interrupted);
        assert_eq!(running.await.unwrap().unwrap().kind(), ErrorKind::Interrupted);
        let pid = Pid::from_raw(pid).unwrap();
        let gone = async {
            // A zombie waiting for its adoptive parent still counts as there.
            while std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
                .is_ok_and(|stat| !stat.contains(") Z"))
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    }
}
