//! The client tools found on this machine, as health reports them.

use async_trait::async_trait;
use lifeboat_core::{
    events::Failure,
    ports::{ClientToolVersions, ToolFacts, ToolSet},
};

use crate::tools::ToolSearch;

/// Any server's tools: asked for where the server's version is not known.
const ANY: u32 = 0;

#[async_trait]
impl ClientToolVersions for ToolSearch {
    async fn tools(&self, server_version_num: Option<u32>) -> ToolFacts {
        let found = self.installed().await;
        let found = found.into_iter().map(|(version, major, folder)| ToolSet {
            version,
            major,
            folder: folder.display().to_string(),
        });
        let fitting = match server_version_num {
            Some(version) => self.find_for(version).await,
            None => self.find_reader(ANY).await,
        };
        let (chosen, trouble) = match fitting {
            Ok(tools) => (server_version_num.map(|_| tools.version().to_owned()), None),
            Err(error) => (None, Some(Failure::of(&error))),
        };
        ToolFacts { found: found.collect(), chosen, trouble }
    }
}
