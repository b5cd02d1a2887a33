//! Copies a schema from one database to another by stock tools: pg_dump writes into a pipe that pg_restore reads.

use std::process::{ExitStatus, Stdio};

use lifeboat_core::{Error, ErrorKind, Result, ResultExt, ports::RunContext};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

use crate::{connect::ConnectionTarget, quote, tools::ClientTools};

/// So much of what a tool says is kept.
const MOST_KEPT: u64 = 1 << 20;

/// Nothing lies on a disk in between, and the target takes all of it in one transaction or nothing.
pub(super) async fn run(
    from: &ConnectionTarget,
    to: &ConnectionTarget,
    tools: &ClientTools,
    schema: &str,
    context: &RunContext,
) -> Result<()> {
    let doing = format!("copy schema '{schema}' into the live database");
    let application = format!("lifeboat {}", context.run_id);
    let mut dump = tools.command("pg_dump");
    dump.envs(from.tool_environment(&application).await?);
    // In quotes it is no pattern.
    dump.args(["-Fc", "--compress=0", "--no-owner", "--no-acl", "--strict-names"]);
    dump.arg(format!("--schema={}", quote::identifier(schema)));
    let mut dump =
        dump.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().or_error(ErrorKind::ClientTool, &doing)?;
    let no_pipe = || Error::new(ErrorKind::Unexpected, format!("{doing}: a tool has no pipe"));
    let pipe: Stdio = dump.stdout.take().ok_or_else(no_pipe)?.try_into().or_error(ErrorKind::Unexpected, &doing)?;
    let mut restore = tools.command("pg_restore");
    restore.envs(to.tool_environment(&application).await?);
    restore.args(["--dbname=", "--format=c", "--no-owner", "--no-acl", "--single-transaction", "--exit-on-error"]);
    restore.stdin(pipe).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = restore.spawn().or_error(ErrorKind::ClientTool, &doing)?;
    // It holds the pipe's end: as long as it is there, pg_dump would not notice that pg_restore is gone.
    drop::<Command>(restore);
    let (dump_says, restore_says) =
        (dump.stderr.take().ok_or_else(no_pipe)?, running.stderr.take().ok_or_else(no_pipe)?);
    let (dump_said, restore_said, dumped, restored) =
        tokio::join!(read(dump_says), read(restore_says), dump.wait(), running.wait());
    let restored = restored.or_error(ErrorKind::ClientTool, &doing)?;
    let dumped = dumped.or_error(ErrorKind::ClientTool, &doing)?;
    // What pg_restore refuses ends pg_dump too, by the broken pipe: its own reason comes first.
    judge(&doing, "pg_restore", restored, &restore_said)?;
    judge(&doing, "pg_dump", dumped, &dump_said)
}

async fn read(pipe: impl AsyncRead + Unpin) -> String {
    let mut said = Vec::new();
    let mut pipe = pipe.take(MOST_KEPT);
    drop(pipe.read_to_end(&mut said).await);
    drop(tokio::io::copy(&mut pipe.into_inner(), &mut tokio::io::sink()).await);
    String::from_utf8_lossy(&said).trim().to_owned()
}

fn judge(doing: &str, tool: &str, status: ExitStatus, said: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Database, format!("{doing}: {tool} ended with {status}: {said}")).with_hint(
        "the live database may lack a type, function or extension that the tables need: restore with --table into a new \
         database instead, and copy the rows from there",
    ))
}
