//! A source database: preflight, one consistent snapshot, and its table of contents from stock pg_dump.

mod copy_out;
mod facts;
pub(crate) mod harvest;
mod large_objects;
mod locks;
mod names;
mod preflight;
mod snapshot;
mod statements;
mod tables;

use std::{collections::HashSet, process::Stdio, sync::Mutex, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    ports::{Preflight, RunContext, Snapshot, Source},
};

use crate::{
    connect::ConnectionTarget,
    failure::database_error,
    session::{READING_VERSION, SERVER_VERSION_NUM},
    tools::{ClientTools, ToolSearch},
    wire::{WireError, WireSession},
};

pub(crate) use locks::failed;

/// How often the start is tried before the dump gives up: with the pauses between, about half a minute of DDL.
const START_ATTEMPTS: u32 = 12;

/// Begins every transaction of a dump or an inventory.
pub(crate) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The server's version, such as 150018.
pub(crate) async fn server_version_num(session: &mut WireSession) -> Result<u32> {
    let failed = |e: WireError| database_error(READING_VERSION, &e);
    session.query_one(SERVER_VERSION_NUM).await.map_err(failed)?.number(0).map_err(failed)
}

/// A database to dump.
pub struct PgSource {
    target: ConnectionTarget,
    search: ToolSearch,
    /// Tables whose ranges were refused behind a lock on an index; read whole from now on.
    whole: std::sync::Arc<Mutex<HashSet<u32>>>,
}

impl PgSource {
    /// A source; the host is resolved here, once, and every later connection goes to the same address.
    pub async fn new(target: ConnectionTarget, search: ToolSearch) -> Result<Self> {
        Ok(Self { target: target.pin().await?, search, whole: std::sync::Arc::default() })
    }

    /// Where it connects to.
    pub fn target(&self) -> &ConnectionTarget {
        &self.target
    }

    async fn tools(&self) -> Result<ClientTools> {
        let version = server_version_num(&mut self.target.connect_wire("lifeboat").await?).await?;
        self.search.find_for(version).await
    }
}

#[async_trait]
impl Source for PgSource {
    async fn preflight(&self) -> Result<Preflight> {
        preflight::run(&self.target, &self.search).await
    }

    async fn open_snapshot(&self, context: &RunContext) -> Result<Box<dyn Snapshot>> {
        let tools = self.tools().await?;
        let mut pause = Duration::from_millis(100);
        let mut attempt = 1;
        loop {
            let whole = self.whole.lock().map(|w| w.clone()).unwrap_or_default();
            let opening = snapshot::open(&self.target, &tools, whole, self.whole.clone(), context);
            match context.cancel.race(opening).await {
                Ok(snapshot) => return Ok(Box::new(snapshot)),
                Err(error) if error.kind() == ErrorKind::SnapshotLost && attempt < START_ATTEMPTS => {
                    tracing::info!(attempt, reason = %error, "the start lost its consistent state; starting again");
                    context.progress.note(&format!("the start lost its consistent state ({error}); starting again"));
                    context.cancel.pause(pause).await?;
                    pause = (pause * 2).min(Duration::from_secs(5));
                    attempt += 1;
                }
                Err(error) if error.kind() == ErrorKind::SnapshotLost => {
                    return Err(error.context(format!("no consistent start in {START_ATTEMPTS} attempts")));
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn globals(&self) -> Result<Bytes> {
        let tools = self.tools().await?;
        let mut command = tools.command("pg_dumpall");
        command
            .envs(self.target.tool_environment("lifeboat globals").await?)
            .args(["--globals-only", "--no-role-passwords", "-l", self.target.database()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = command.output().await.or_error(ErrorKind::ClientTool, "run pg_dumpall")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).lines().take(12).collect::<Vec<_>>().join("\n");
            return Err(Error::new(ErrorKind::Database, format!("pg_dumpall refused: {said}")));
        }
        Ok(Bytes::from(output.stdout))
    }
}
