//! Tables whose names are no text: in a database without encoding (SQL_ASCII) a name may be any bytes. The driver sends
//! statements as UTF-8 only, so these go through stock psql, byte for byte.

use std::{ffi::OsString, fmt::Write, os::unix::ffi::OsStringExt, process::Stdio};

use lifeboat_archive::{
    checksum::TableChecksum,
    copy_statement::{self, CopyStatement},
};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    ports::{BlockSource, LoadStatement},
    rows::{RowDigest, sorted_order},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    task::JoinHandle,
};

use super::role;
use crate::{connect::ConnectionTarget, quote, tools::ClientTools};

/// Bytes read at once.
const BLOCK: usize = 256 << 10;

/// Settings of a session that reads or writes rows, as the driver's sessions have them.
const SETTINGS: &str = "SET search_path = ''; SET row_security = off; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; \
    SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET statement_timeout = 0; \
    SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;";

/// Whether the statement's names cannot be sent as text.
pub(super) fn is_needed(statement: &LoadStatement) -> bool {
    statement.encoding == "SQL_ASCII" && std::str::from_utf8(&statement.copy_stmt).is_err()
}

/// How psql is run.
pub(super) struct Psql<'a> {
    pub(super) target: &'a ConnectionTarget,
    pub(super) tools: &'a ClientTools,
    pub(super) role: Option<&'a str>,
}

pub(super) async fn copy_in(psql: &Psql<'_>, statement: &LoadStatement, rows: &mut dyn BlockSource) -> Result<u64> {
    let doing = "copy by psql";
    let CopyStatement { target: table, column_list, .. } = parse(statement)?;
    let sql = [b"COPY ", &*table, b" ", &*column_list, b" FROM STDIN (ENCODING 'SQL_ASCII')"].concat();
    let mut command = psql.command(statement, sql).await?;
    command.stdin(Stdio::piped());
    let mut child = command.spawn().or_error(ErrorKind::ClientTool, doing)?;
    let said = stderr(&mut child);
    let answer = stdout(&mut child);
    if let Some(mut stdin) = child.stdin.take() {
        loop {
            match rows.next_block().await {
                // The pipe breaks when psql has given up; its messages tell why.
                Ok(Some(block)) if stdin.write_all(&block).await.is_err() => break,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    // Killed before the data end, psql leaves the server with an unfinished COPY, which it undoes.
                    child.kill().await.or_error(ErrorKind::Unexpected, "stop psql")?;
                    return Err(error);
                }
            }
        }
        drop(stdin.shutdown().await);
    }
    let status = child.wait().await.or_error(ErrorKind::ClientTool, doing)?;
    let (answer, said) = (answer.await.unwrap_or_default(), said.await.unwrap_or_default());
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let count = answer.lines().find_map(|line| line.strip_prefix("COPY ")?.trim().parse().ok());
    match count {
        Some(count) if status.success() => Ok(count),
        _ => Err(refused(doing, &said)),
    }
}

pub(super) async fn checksum(psql: &Psql<'_>, statement: &LoadStatement, sort_columns: bool) -> Result<TableChecksum> {
    let doing = "read by psql";
    let CopyStatement { target: table, columns, column_list } = parse(statement)?;
    let options = b" TO STDOUT (ENCODING 'SQL_ASCII')";
    // Only rows of partitions that load through their root are compared with sorted columns; a root wants a query.
    let sql = if sort_columns {
        [b"COPY (SELECT ", &*columns.join(&b", "[..]), b" FROM ", &*table, b")", options].concat()
    } else {
        [b"COPY ", &*table, b" ", &*column_list, options].concat()
    };
    let mut child = psql.command(statement, sql).await?.spawn().or_error(ErrorKind::ClientTool, doing)?;
    let said = stderr(&mut child);
    let names: Vec<Vec<u8>> = columns.iter().map(|c| quote::unquote(c)).collect();
    let mut digest = RowDigest::new(sort_columns.then(|| sorted_order(&names)));
    if let Some(mut stdout) = child.stdout.take() {
        let mut block = vec![0; BLOCK];
        loop {
            match stdout.read(&mut block).await.or_error(ErrorKind::ClientTool, doing)? {
                0 => break,
                read => digest.push(&block[..read]),
            }
        }
    }
    if !child.wait().await.or_error(ErrorKind::ClientTool, doing)?.success() {
        return Err(refused(doing, &said.await.unwrap_or_default()));
    }
    digest.finish().map(|(checksum, _)| checksum).map_err(|e| e.context(doing))
}

fn parse(statement: &LoadStatement) -> Result<CopyStatement> {
    copy_statement::parse(&statement.copy_stmt)
        .map_err(|e| Error::new(ErrorKind::Corrupt, format!("a COPY statement of the archive: {e}")))
}

impl Psql<'_> {
    async fn command(&self, statement: &LoadStatement, sql: Vec<u8>) -> Result<Command> {
        let mut command = self.tools.command("psql");
        command.envs(self.target.tool_environment("lifeboat restore").await?).env("PGCLIENTENCODING", "SQL_ASCII");
        command.args(["--no-psqlrc", "--no-password", "--set=ON_ERROR_STOP=1"]);
        let mut settings = format!("{SETTINGS} SET lc_monetary = {};", quote::literal(&statement.lc_monetary));
        if statement.disable_triggers {
            settings.push_str(" SET session_replication_role = replica;");
        }
        // Last: the settings are the privilege of the role that logged in.
        if let Some(role) = self.role {
            let _ = write!(settings, " {};", role::statement(role));
        }
        // Quiet while the settings are made; the answer to the COPY is its number of rows.
        command.arg("-c").arg("\\set QUIET on").arg("-c").arg(settings).arg("-c").arg("\\set QUIET off");
        command.arg("-c").arg(OsString::from_vec(sql));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

fn stderr(child: &mut Child) -> JoinHandle<Vec<u8>> {
    let pipe = child.stderr.take();
    tokio::spawn(async move {
        let mut text = Vec::new();
        if let Some(pipe) = pipe {
            drop(pipe.take(1 << 20).read_to_end(&mut text).await);
        }
        text
    })
}

fn stdout(child: &mut Child) -> JoinHandle<Vec<u8>> {
    let pipe = child.stdout.take();
    tokio::spawn(async move {
        let mut text = Vec::new();
        if let Some(pipe) = pipe {
            drop(pipe.take(1 << 20).read_to_end(&mut text).await);
        }
        text
    })
}

fn refused(doing: &str, stderr: &[u8]) -> Error {
    Error::new(ErrorKind::Database, format!("{doing}: {}", String::from_utf8_lossy(stderr).trim()))
}
