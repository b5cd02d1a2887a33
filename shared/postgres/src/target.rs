//! A database to restore into: stock pg_restore for definitions, COPY for rows, and the checks of a drill.

mod analyze;
mod assert;
mod checksum;
mod contents;
mod fast;
mod foreign_keys;
mod indexes;
mod large_objects;
mod ledger;
mod load;
mod money;
mod restore;
mod role;
mod sequences;
mod stage;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use lifeboat_archive::{checksum::TableChecksum, toc::Toc};
use lifeboat_core::{
    Error, ErrorKind, Result,
    cancel::Cancel,
    ports::{
        BlockSource, Inventory, Ledger, LoadStatement, PgRestoreStep, RunContext, Target, TargetFacts, TargetWorker,
        ToolMessage,
    },
};
use tokio::sync::RwLock;

use crate::{
    connect::ConnectionTarget,
    failure::database_error,
    inventory,
    session::Session,
    source::{BEGIN_READING, harvest, server_version_num},
    tools::{ClientTools, ToolSearch},
    wire::WireSession,
};
use ledger::PgLedger;
use stage::Stage;

/// How Lifeboat's sessions are called on the server.
const APPLICATION: &str = "lifeboat restore";

/// A session that acts as `role`, if there is one.
async fn session_as(target: &ConnectionTarget, role: Option<&str>) -> Result<Session> {
    let session = target.connect(APPLICATION).await?;
    role::set(&session, role).await?;
    Ok(session)
}

/// One database that may be written to.
pub struct PgTarget {
    target: ConnectionTarget,
    search: ToolSearch,
    work_folder: PathBuf,
    staged: RwLock<Option<Arc<Stage>>>,
    fast: bool,
}

impl PgTarget {
    /// A target; the host is resolved here, once. `work_folder` takes a few small files while a restore runs.
    pub async fn new(target: ConnectionTarget, search: ToolSearch, work_folder: PathBuf) -> Result<Self> {
        Ok(Self { target: target.pin().await?, search, work_folder, staged: RwLock::default(), fast: false })
    }

    /// The same, loaded with settings that are for scratch targets: what a crash of the server would lose is made again.
    #[must_use]
    pub fn fast_scratch(self, fast: bool) -> Self {
        Self { fast, ..self }
    }

    /// Where it connects to.
    pub fn target(&self) -> &ConnectionTarget {
        &self.target
    }

    async fn session(&self) -> Result<Session> {
        self.target.connect(APPLICATION).await
    }

    /// Tools that read the archive and, if there are any, know the server too: its own major or the archive's, whichever
    /// is newer; but an older server's archive can be put into a newer server by the older tools as well.
    async fn tools(&self, server_version_num: u32) -> Result<ClientTools> {
        let server = server_version_num / 10_000;
        let archive = self.staged.read().await.as_ref().map(|stage| stage.client_major());
        match archive {
            None => self.search.find_reader(server).await,
            Some(archive) => match self.search.find_reader(server.max(archive)).await {
                Err(error) if error.kind() == ErrorKind::ClientTool && archive < server => {
                    self.search.find_reader(archive).await
                }
                found => found,
            },
        }
    }
}

#[async_trait]
impl Target for PgTarget {
    async fn facts(&self) -> Result<TargetFacts> {
        let session = self.session().await?;
        let row = session
            .query_one(&contents::facts(), &[])
            .await
            .map_err(|e| database_error("read the target's facts", &e))?;
        let server_version_num = u32::try_from(row.get::<_, i32>(1)).unwrap_or(0);
        let tools = self.tools(server_version_num).await?;
        Ok(TargetFacts {
            server_version: row.get(0),
            server_version_num,
            client_version: tools.version().to_owned(),
            database: self.target.database().to_owned(),
            encoding: row.get(2),
            server: self.target.server_label(),
            superuser: row.get(3),
            lock_space: contents::room_for_locks(&row),
            may_disable_triggers: contents::may_disable_triggers(&session, server_version_num, row.get(3)).await?,
            contents: contents::contents(&session).await?,
        })
    }

    async fn stage(&self, toc_dat: Bytes, data_files: &[(String, u64)]) -> Result<()> {
        let stage = Stage::new(&self.work_folder, &toc_dat, data_files)?;
        // Said now, before anything is changed: without it no step could run.
        self.search.find_reader(stage.client_major()).await?;
        *self.staged.write().await = Some(Arc::new(stage));
        Ok(())
    }

    async fn pg_restore(&self, step: &PgRestoreStep, context: &RunContext) -> Result<Vec<ToolMessage>> {
        let stage = self.staged.read().await.clone();
        let stage =
            stage.ok_or_else(|| Error::new(ErrorKind::Unexpected, "pg_restore before the archive was staged"))?;
        let preparing = async {
            let session = self.session().await?;
            let version = session.server_version_num().await?;
            let options = if self.fast { fast::options(&session, step.jobs).await? } else { String::new() };
            Ok((self.tools(version).await?, options))
        };
        let (tools, options) = context.cancel.race(preparing).await?;
        let with = restore::With { target: &self.target, tools: &tools, stage: &stage, options: &options };
        restore::run(&with, step, context).await
    }

    async fn worker(&self, role: Option<&str>) -> Result<Box<dyn TargetWorker>> {
        let mut session = self.target.connect_wire(APPLICATION).await?;
        if self.fast {
            fast::load(&mut session).await?;
        }
        role::set_wire(&mut session, role).await?;
        let (target, role) = (self.target.clone(), role.map(str::to_owned));
        Ok(Box::new(Worker { session, target, role, fast: self.fast, for_large_objects: None }))
    }

    async fn ledger(&self) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::new(PgLedger::open(&self.target).await?))
    }

    async fn analyze(&self, jobs: u32, role: Option<&str>) -> Result<Vec<ToolMessage>> {
        analyze::run(self, jobs, role).await
    }

    async fn inventory(&self) -> Result<Inventory> {
        let mut session = self.target.connect_wire(APPLICATION).await?;
        let version = server_version_num(&mut session).await?;
        session.execute(BEGIN_READING).await.map_err(|e| database_error("begin", &e))?;
        inventory::inventory(&mut session, version).await
    }

    async fn toc(&self) -> Result<Toc> {
        let session = self.session().await?;
        let version = session.server_version_num().await?;
        drop(session);
        let tools = self.tools(version).await?;
        let harvested = harvest::harvest(&self.target, &tools, None, "lifeboat toc", &Cancel::never()).await?;
        Ok(harvested.toc)
    }

    async fn assert(&self, sql: &str) -> Result<bool> {
        assert::run(&self.session().await?, sql).await
    }

    async fn orphans(&self) -> Result<Vec<(String, u64)>> {
        foreign_keys::orphans(&self.session().await?).await
    }

    async fn invalid_indexes(&self) -> Result<Vec<String>> {
        indexes::invalid(&self.session().await?).await
    }

    async fn sequences_behind(&self) -> Result<Vec<(String, i64, i64)>> {
        sequences::behind(&self.session().await?).await
    }
}

/// One session of a target, and another where there are large objects: their content is given by parameters.
struct Worker {
    session: WireSession,
    target: ConnectionTarget,
    role: Option<String>,
    fast: bool,
    for_large_objects: Option<Session>,
}

impl Worker {
    async fn for_large_objects(&mut self) -> Result<&Session> {
        let session = if let Some(session) = self.for_large_objects.take() {
            session
        } else {
            let session = session_as(&self.target, self.role.as_deref()).await?;
            if self.fast {
                fast::load_large_objects(&session).await?;
            }
            session
        };
        Ok(self.for_large_objects.insert(session))
    }
}

#[async_trait]
impl TargetWorker for Worker {
    async fn copy_in(
        &mut self,
        statement: &LoadStatement,
        rows: &mut dyn BlockSource,
        entry: Option<&str>,
    ) -> Result<u64> {
        load::copy_in(&mut self.session, self.role.as_deref(), statement, rows, entry).await
    }

    async fn load_large_object(&mut self, oid: u32, content: &mut dyn BlockSource, entry: Option<&str>) -> Result<u64> {
        large_objects::load(self.for_large_objects().await?, oid, content, entry).await
    }

    async fn checksum(&mut self, statement: &LoadStatement, sort_columns: bool) -> Result<TableChecksum> {
        checksum::of(&mut self.session, statement, sort_columns).await
    }

    async fn large_object_digest(&mut self, oid: u32) -> Result<Option<(u64, String)>> {
        large_objects::digest(self.for_large_objects().await?, oid).await
    }
}
