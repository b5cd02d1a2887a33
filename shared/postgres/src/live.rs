//! A live database, reached from beside: what stands in its way, databases made next to it, the exchange, the rescue.

mod copy;
mod differences;
mod exchange;
mod facts;
mod gather;
mod keys;
mod merge;
mod side;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use lifeboat_core::{
    Error, ErrorKind, Result,
    manifest::SourceFacts,
    ports::{Exchange, Exchanged, LiveDatabase, LiveFacts, RescuedTable, RunContext, TableDifference, Target},
};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::{
    connect::ConnectionTarget, failure::database_error, scratch, session::Session, target::PgTarget, tools::ToolSearch,
};

/// How Lifeboat's sessions are called on the server.
const APPLICATION: &str = "lifeboat restore";

/// Databases that are there on every server; a database cannot be renamed from within.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// One live database.
pub struct PgLive {
    live: ConnectionTarget,
    search: ToolSearch,
    work_folder: PathBuf,
    beside: OnceCell<BesideIt>,
}

/// The session in another database of the server, and how to get there again. It holds the claim.
struct BesideIt {
    server: ConnectionTarget,
    session: Session,
}

impl PgLive {
    /// The live database; the host is resolved here, once. `work_folder` takes a few small files while a restore runs.
    pub async fn new(live: ConnectionTarget, search: ToolSearch, work_folder: PathBuf) -> Result<Self> {
        Ok(Self { live: live.pin().await?, search, work_folder, beside: OnceCell::new() })
    }

    async fn beside(&self) -> Result<&BesideIt> {
        self.beside
            .get_or_try_init(|| async {
                let mut refused = None;
                for name in MAINTENANCE.into_iter().filter(|name| *name != self.live.database()) {
                    let server = self.live.with_database(name);
                    match server.connect(APPLICATION).await {
                        Ok(session) => return Ok(BesideIt { server, session }),
                        Err(error) => drop(refused.get_or_insert(error)),
                    }
                }
                let why = refused.map(|e| e.to_string()).unwrap_or_default();
                Err(Error::new(ErrorKind::Database, format!("reach the server from beside the database: {why}"))
                    .with_hint("the role must be able to connect to the database 'postgres' on the same server"))
            })
            .await
    }

    async fn live_session(&self) -> Result<Session> {
        self.live.connect(APPLICATION).await
    }
}

/// The key of the advisory lock by which runs beside the same database exclude each other.
fn claim_key(database: &str) -> i64 {
    let hash = Sha256::digest(format!("lifeboat beside {database}"));
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(first)
}

#[async_trait]
impl LiveDatabase for PgLive {
    async fn facts(&self, beside: &[String]) -> Result<LiveFacts> {
        facts::read(&self.live, &self.beside().await?.session, beside).await
    }

    async fn claim(&self) -> Result<()> {
        let key = claim_key(self.live.database());
        let row = self
            .beside()
            .await?
            .session
            .query_one("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&key])
            .await
            .map_err(|e| database_error("claim the database for this run", &e))?;
        if row.get(0) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::AlreadyRunning,
            format!("another run works beside database '{}' on {}", self.live.database(), self.live.server_label()),
        )
        .with_hint("wait for it; a run that died lets go at once"))
    }

    async fn make_beside(
        &self,
        name: &str,
        source: &SourceFacts,
        remark: &str,
        context: &RunContext,
    ) -> Result<Arc<dyn Target>> {
        let BesideIt { server, session } = self.beside().await?;
        side::make(server, session, name, source, remark, context).await?;
        let target = self.live.with_database(name);
        Ok(Arc::new(PgTarget::new(target, self.search.clone(), self.work_folder.clone()).await?))
    }

    async fn drop_beside(&self, name: &str) -> Result<()> {
        scratch::drop_database(&self.beside().await?.server, name).await
    }

    async fn exchange(&self, exchange: &Exchange) -> Result<Exchanged> {
        let BesideIt { server, session } = self.beside().await?;
        exchange::run(server, session, exchange).await
    }

    async fn has_schema(&self, schema: &str) -> Result<bool> {
        let row = self
            .live_session()
            .await?
            .query_one("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1::text::name)", &[&schema])
            .await
            .map_err(|e| database_error("look for a schema", &e))?;
        Ok(row.get(0))
    }

    async fn gather(&self, beside: &str, tables: &[RescuedTable], schema: &str) -> Result<()> {
        gather::run(&self.live.with_database(beside).connect(APPLICATION).await?, tables, schema).await
    }

    async fn copy_schema(&self, beside: &str, schema: &str, context: &RunContext) -> Result<()> {
        let version = self.beside().await?.session.server_version_num().await?;
        let tools = self.search.find_reader(version / 10_000).await?;
        let from = self.live.with_database(beside);
        context.cancel.race(copy::run(&from, &self.live, &tools, schema, context)).await
    }

    async fn differences(&self, tables: &[RescuedTable], schema: &str) -> Result<Vec<TableDifference>> {
        differences::all(&self.live_session().await?, tables, schema).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_is_claimed_by_a_key_of_its_own() {
        assert_eq!(claim_key("orders"), claim_key("orders"));
        assert_ne!(claim_key("orders"), claim_key("billing"));
    }
}
