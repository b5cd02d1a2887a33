//! A deployment for each test, on the one LocalStack of the test process.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    Cluster, StoreUnderTest,
    aws::{Aws, REGION},
    deployment::Deployment,
    stores::localstack,
};

const CONFIGURATION: &str = "lifeboat.toml";

static DEPLOYMENTS: AtomicU32 = AtomicU32::new(0);

/// A deployment of one test, with the folder that its functions' files lie in.
pub struct Stack {
    deployment: Deployment,
    folder: TempDir,
}

impl Stack {
    /// Makes bus, topic and queues of this test's own. The functions that are deployed later work on this store and this
    /// database, called `orders` in their configuration, and have these environment variables besides.
    pub fn create(store: &StoreUnderTest, cluster: &Cluster, database: &str, further: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut environment = environment(folder.path(), cluster, database, store)?;
        let server = localstack()?;
        environment.extend(on_localstack(&server.endpoint));
        environment.extend(further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let name = format!("lifeboat-{}", DEPLOYMENTS.fetch_add(1, Ordering::Relaxed));
        let deployment = Deployment::create(Aws::new(server), &name, folder.path(), &environment)
            .with_context(|| format!("LocalStack said: {}", server.log()))?;
        Ok(Self { deployment, folder })
    }

    /// Adds to the functions' `lifeboat.toml`, before they are deployed.
    pub fn configure(&self, toml: &str) -> Result<()> {
        let file = self.folder.path().join(CONFIGURATION);
        let whole = format!("{}\n{toml}\n", fs::read_to_string(&file)?);
        fs::write(&file, whole).with_context(|| format!("write {}", file.display()))
    }

    /// Deploys functions, which must have been built, and connects them to bus, queue and topic.
    pub fn deploy(&self, functions: &[&str]) -> Result<()> {
        let missing = self.deployment.deploy(functions)?;
        ensure!(missing.is_empty(), "not built: {}; `make functions` builds them", missing.join(", "));
        Ok(())
    }
}

impl std::ops::Deref for Stack {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        &self.deployment
    }
}

/// What every function needs to work on a store and a database, called `orders` in the `lifeboat.toml` that this writes to
/// `folder`.
pub fn environment(
    folder: &Path,
    cluster: &Cluster,
    database: &str,
    store: &StoreUnderTest,
) -> Result<Vec<(String, String)>> {
    let file = folder.join(CONFIGURATION);
    // How full this machine's disk is shall not decide what tests see of health.
    let health = "[health]\ndisk_free_percent = 1\nconnections_percent = 100\n";
    let database_section = "[databases.orders]\nurl = { env = \"ORDERS_URL\" }\nrpo = \"26h\"\nrto = \"30m\"\n";
    fs::write(&file, format!("{health}\n{database_section}"))?;
    let mut environment = vec![
        ("LIFEBOAT_CONFIG".to_owned(), file.display().to_string()),
        ("LIFEBOAT_STORE".to_owned(), store.url.clone()),
        ("LIFEBOAT_CLIENT_TOOLS".to_owned(), cluster.bin.display().to_string()),
        ("ORDERS_URL".to_owned(), cluster.url(database)),
    ];
    environment.extend(store.environment().iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Ok(environment)
}

/// Where a program finds the services of LocalStack. Its store's own endpoint and credentials, if it has them, stay in force: no
/// credentials are wrong here.
pub fn on_localstack(endpoint: &str) -> Vec<(String, String)> {
    // LocalStack hands a session token to its functions, which would not fit other credentials.
    [("AWS_ENDPOINT_URL", endpoint), ("AWS_REGION", REGION), ("AWS_SESSION_TOKEN", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}
