//! Harvests the table of contents from stock pg_dump: read from its pipe before any data, then pg_dump is stopped.

use std::{io::Read, process::Stdio, time::Duration};

use lifeboat_archive::toc::{self, Toc};
use lifeboat_core::{Error, ErrorKind, Result, ResultExt, cancel::Cancel};
use tokio::io::AsyncReadExt;

use super::locks::lost;
use crate::{
    connect::ConnectionTarget,
    failure::{STANDBY_CANCELS, TOO_MANY_CONNECTIONS},
    tools::ClientTools,
};

/// How long pg_dump waits for a lock before it gives up; an ACCESS EXCLUSIVE queued behind ours would hold it for ever.
const LOCK_WAIT_MS: u32 = 2000;

/// How long pg_dump may take to end by itself once its table of contents broke off.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// At most this much of pg_dump's messages is kept.
const MAX_MESSAGES: u64 = 1 << 20;

/// What pg_dump wrote: the TOC, and what it warned of.
pub(crate) struct Harvest {
    pub(crate) toc: Toc,
    pub(crate) warnings: Vec<String>,
}

/// Runs `pg_dump -Fc` (at `snapshot`, if given) and reads its TOC. `SnapshotLost` where a lock, DDL or the
/// replay of a standby was in the way.
pub(crate) async fn harvest(
    target: &ConnectionTarget,
    tools: &ClientTools,
    snapshot: Option<&str>,
    application_name: &str,
    cancel: &Cancel,
) -> Result<Harvest> {
    let mut command = tools.command("pg_dump");
    command.envs(target.tool_environment(application_name).await?);
    command.arg("-Fc").arg("--compress=0").arg(format!("--lock-wait-timeout={LOCK_WAIT_MS}"));
    if let Some(snapshot) = snapshot {
        command.arg(format!("--snapshot={snapshot}"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().or_error(ErrorKind::ClientTool, "start pg_dump")?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::new(ErrorKind::Unexpected, "pg_dump has no pipes"));
    };
    let messages = tokio::spawn(async move {
        let mut text = Vec::new();
        drop(stderr.take(MAX_MESSAGES).read_to_end(&mut text).await);
        String::from_utf8_lossy(&text).into_owned()
    });
    let pipe = std::fs::File::from(stdout.into_owned_fd().or_error(ErrorKind::Unexpected, "read from pg_dump")?);
    let reading = tokio::task::spawn_blocking(move || {
        let result = toc::read_stream(std::io::BufReader::with_capacity(1 << 16, WholePipe(&pipe)));
        (result, pipe)
    });
    let (result, pipe) =
        cancel.race(async { reading.await.or_error(ErrorKind::Unexpected, "read the table of contents") }).await?;
    // Nobody reads on: the pipe is closed first, so that pg_dump does not wait for us while we wait for it.
    drop(pipe);
    let failed = match &result {
        Ok(_) => None,
        Err(_) => tokio::time::timeout(ENDS_WITHIN, child.wait()).await.ok().and_then(std::result::Result::ok),
    };
    child.kill().await.ok();
    let messages = messages.await.unwrap_or_default();
    match result {
        Ok(toc) => Ok(Harvest { toc, warnings: warnings(&messages) }),
        // Its end by the closed pipe is no refusal.
        Err(_)
            if failed.is_some_and(|s| !s.success() && s.code().is_some()) && !messages.contains("could not write") =>
        {
            Err(refusal(&messages))
        }
        Err(error) => Err(Error::new(
            ErrorKind::ClientTool,
            format!("read the table of contents that {} wrote: {error}", tools.version()),
        )
        .with_source(error)
        .with_hint("archive versions 1.14 to 1.16 (pg_dump 15 to 18) are known; use one of these clients")),
    }
}

/// Reads a pipe through a shared reference, so that the pipe outlives the reader.
struct WholePipe<'a>(&'a std::fs::File);

impl Read for WholePipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (&mut &*self.0).read(buffer)
    }
}

fn refusal(messages: &str) -> Error {
    let brief = messages.lines().take(12).collect::<Vec<_>>().join("\n");
    // The wait for a lock ends as a statement timeout, told in the server's language: the query tells what it was.
    let ddl = [
        "Query was: LOCK TABLE",
        "lock timeout",
        "deadlock detected",
        "could not obtain lock",
        "does not exist",
        "cache lookup failed",
        "could not open relation",
        "query to obtain definition of view",
        "appears to be empty (length zero)",
    ];
    if messages.contains("conflict with recovery") {
        lost(format!("pg_dump refused: {brief}")).with_hint(STANDBY_CANCELS)
    } else if ddl.iter().any(|text| messages.contains(text)) {
        lost(format!("pg_dump refused: {brief}"))
    } else if messages.contains("aborting because of server version mismatch") {
        Error::new(ErrorKind::ClientTool, format!("pg_dump refused: {brief}"))
    } else {
        let error = Error::new(ErrorKind::Database, format!("pg_dump refused: {brief}"));
        // In other languages the general hint has to do.
        let full = ["too many connections", "too many clients", "remaining connection slots"];
        if full.iter().any(|text| messages.contains(text)) { error.with_hint(TOO_MANY_CONNECTIONS) } else { error }
    }
}

/// Warnings that say something may be missing. Circular foreign keys concern only data-only restores by hand.
fn warnings(messages: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in messages.lines() {
        if let Some((_, text)) = line.split_once("pg_dump: warning: ") {
            found.push(text.to_owned());
        }
    }
    found.retain(|text| !text.starts_with("there are circular foreign-key constraints"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_standby_cancels_is_worth_another_attempt_and_says_what_to_set() {
        let error = refusal(
            "pg_dump: error: query failed: ERROR:  canceling statement due to conflict with recovery\n\
             DETAIL:  User query might have needed to see row versions that must be removed.\n\
             pg_dump: detail: Query was: LOCK TABLE public.a IN ACCESS SHARE MODE",
        );
        assert_eq!((error.kind(), error.hint()), (ErrorKind::SnapshotLost, STANDBY_CANCELS));
    }
}
