//! Lifeboat's library as its program wires it, for tests that must reach between two steps or write to memory.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use lifeboat_core::{
    dump::{self, DumpOutcome, DumpPorts, DumpRequest},
    ids::DatabaseSlug,
    ports::{RunContext, Store},
};
use lifeboat_postgres::{ConnectionTarget, PgSource, tools::ToolSearch};

use crate::Cluster;

/// The client tools of one folder.
pub fn tool_search(bin: &Path) -> ToolSearch {
    ToolSearch { configured: Some(bin.to_owned()), path: std::env::var_os("PATH"), ..ToolSearch::default() }
}

/// A request for a dump under the database's own name, which must be a slug.
pub fn dump_request(database: &str) -> Result<DumpRequest> {
    Ok(DumpRequest::new(database.parse::<DatabaseSlug>()?))
}

impl Cluster {
    /// Dumps one of its databases over TCP into a store, which also holds the lease.
    pub async fn dump(
        &self,
        database: &str,
        store: &Arc<dyn Store>,
        request: &DumpRequest,
        context: &RunContext,
    ) -> lifeboat_core::Result<DumpOutcome> {
        dump_from(self.server.tcp_target(database), &self.bin, store, request, context).await
    }
}

/// The same from any address, such as a proxy's.
pub async fn dump_from(
    source: ConnectionTarget,
    bin: &Path,
    store: &Arc<dyn Store>,
    request: &DumpRequest,
    context: &RunContext,
) -> lifeboat_core::Result<DumpOutcome> {
    let source = PgSource::new(source, tool_search(bin)).await?;
    let ports = DumpPorts { source: Arc::new(source), store: Arc::clone(store), control: Arc::clone(store) };
    dump::run(&ports, request, context).await
}
