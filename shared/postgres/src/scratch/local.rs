//! A scratch target in a throwaway local cluster.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use lifeboat_core::{
    Result,
    ports::{RunContext, Scratch, ScratchProvider, ScratchWish, Target, ToolMessage},
};
use secrecy::SecretString;

use super::{database, globals};
use crate::{
    cluster::{ClusterOptions, SUPERUSER, ThrowawayCluster},
    target::PgTarget,
    tools::ToolSearch,
};

/// The database in the cluster.
const DATABASE: &str = "lifeboat_drill";

/// Makes local clusters of the source's major version or, where that is not installed, the oldest newer one.
#[derive(Debug, Clone)]
pub struct LocalScratch {
    /// Where to look for servers and client tools.
    pub search: ToolSearch,
    /// Folder for the clusters' folders.
    pub work_folder: PathBuf,
    /// The system account that runs the server where Lifeboat runs as root; default `postgres`.
    pub account: Option<String>,
}

struct LocalDatabase {
    cluster: ThrowawayCluster,
    target: Arc<PgTarget>,
    messages: Vec<ToolMessage>,
}

#[async_trait]
impl ScratchProvider for LocalScratch {
    fn describe(&self) -> String {
        "local cluster".to_owned()
    }

    async fn provision(&self, wish: &ScratchWish<'_>, context: &RunContext) -> Result<Box<dyn Scratch>> {
        let random = || context.entropy.next();
        let password = format!("{:016x}{:016x}{:016x}", random(), random(), random());
        let options = ClusterOptions {
            search: self.search.clone(),
            major: wish.source.server_version_num / 10_000,
            work_folder: self.work_folder.clone(),
            password: SecretString::from(password),
            settings: Vec::new(),
            account: self.account.clone(),
        };
        let cluster = context.cancel.race(ThrowawayCluster::start(&options)).await?;
        // From here on a drop of `cluster` cleans up.
        let session = cluster.target("postgres").connect("lifeboat drill").await?;
        let mut messages = globals::load(&session, wish.globals, SUPERUSER).await?;
        messages.extend(database::create(&session, DATABASE, wish.source).await?);
        let target = cluster.target(DATABASE);
        let target = PgTarget::new(target, self.search.clone(), self.work_folder.clone()).await?;
        let target = Arc::new(target.fast_scratch(true));
        Ok(Box::new(LocalDatabase { cluster, target, messages }))
    }
}

#[async_trait]
impl Scratch for LocalDatabase {
    fn target(&self) -> Arc<dyn Target> {
        Arc::clone(&self.target) as Arc<dyn Target>
    }

    fn describe(&self) -> String {
        format!("local cluster of PostgreSQL {}", self.cluster.version())
    }

    fn messages(&self) -> &[ToolMessage] {
        &self.messages
    }

    async fn tear_down(self: Box<Self>) -> Result<String> {
        self.cluster.stop().await
    }
}
