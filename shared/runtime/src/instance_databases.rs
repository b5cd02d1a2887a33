//! The databases in a scratch instance of RDS: reached by the secret that RDS keeps, encrypted and checked.

use std::sync::Arc;

use async_trait::async_trait;
use lifeboat_core::{
    Result,
    manifest::SourceFacts,
    ports::{InstanceAddress, InstanceDatabases, RunContext, Target, ToolMessage},
};
use lifeboat_postgres::{ConnectionTarget, scratch};

use crate::{credentials, setup::Setup};

/// The database that every instance has.
const FIRST: &str = "postgres";

/// Reaches databases by what RDS says of an instance.
#[derive(Debug, Clone)]
pub(crate) struct RdsDatabases {
    setup: Setup,
}

impl RdsDatabases {
    pub(crate) fn new(setup: Setup) -> Self {
        Self { setup }
    }

    /// Without an sslmode, every host but a loopback address is verified.
    async fn connection(&self, address: &InstanceAddress, database: &str) -> Result<ConnectionTarget> {
        let server = ConnectionTarget::of_parts(&address.host, address.port, &address.user, FIRST)?;
        let server = format!("postgres://{}/{FIRST}", server.server_label());
        let target = credentials::of_secret(self.setup.kept(), &address.secret, Some(&server)).await?;
        Ok(target.or_root_cert(self.setup.root_cert()).with_database(database))
    }
}

#[async_trait]
impl InstanceDatabases for RdsDatabases {
    async fn prepare(
        &self,
        address: &InstanceAddress,
        database: &str,
        source: &SourceFacts,
        globals: &[u8],
        context: &RunContext,
    ) -> Result<Vec<ToolMessage>> {
        let server = self.connection(address, FIRST).await?;
        scratch::prepare(&server, database, source, globals, context).await
    }

    async fn open(&self, address: &InstanceAddress, database: &str) -> Result<Arc<dyn Target>> {
        let target = self.connection(address, database).await?;
        Ok(Arc::new(self.setup.open_target(target).await?.fast_scratch(true)))
    }
}
