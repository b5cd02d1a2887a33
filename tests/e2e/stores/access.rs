//! Looks into a store beside Lifeboat's program: through the library, and for S3 through the AWS command line.

use std::{fs, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use lifeboat_core::ports::Store;
use lifeboat_store::S3Settings;
use lifeboat_tests::{
    StoreUnderTest,
    cluster::{run, tools},
};
use serde_json::Value;

/// The store, opened by the library with the test's own credentials.
pub(crate) async fn opened(store: &StoreUnderTest) -> Result<Arc<dyn Store>> {
    let setting = |name: &str| store.environment().iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
    let keys = setting("AWS_ACCESS_KEY_ID").zip(setting("AWS_SECRET_ACCESS_KEY"));
    let settings = S3Settings {
        endpoint_url: setting("AWS_ENDPOINT_URL_S3"),
        region: setting("AWS_REGION"),
        credentials: keys.map(|(access, secret)| {
            SharedCredentialsProvider::new(Credentials::new(access, secret, None, None, "end-to-end test"))
        }),
        ..S3Settings::default()
    };
    lifeboat_store::open(&store.url, &settings).await.context("open the store")
}

/// The JSON documents under a prefix.
pub(crate) async fn documents(store: &StoreUnderTest, prefix: &str) -> Result<Vec<Value>> {
    let store = opened(store).await?;
    let mut documents = Vec::new();
    for object in store.list(prefix).await? {
        documents.push(serde_json::from_slice(&store.read(&object.key, 1 << 20).await?.0)?);
    }
    Ok(documents)
}

/// Nothing lies about that belongs to no backup: no temporary file, no unfinished upload.
pub(super) fn nothing_lies_about(store: &StoreUnderTest) -> Result<()> {
    if let Some(folder) = store.path() {
        for part in [".control", ".control/.control"] {
            let temporary = folder.join(part).join("tmp");
            for entry in fs::read_dir(&temporary).with_context(|| format!("read {}", temporary.display()))? {
                let name = entry?.file_name();
                ensure!(name == "lock", "{} holds {}", temporary.display(), name.display());
            }
        }
        return Ok(());
    }
    let bucket = store.url.trim_start_matches("s3://").split('/').next().unwrap_or_default();
    let mut aws = Command::new(tools().join("bin/aws"));
    aws.env_clear().envs(store.environment().iter().map(|(name, value)| (name, value)));
    aws.args(["s3api", "list-multipart-uploads", "--bucket", bucket, "--query", "Uploads[].Key", "--output", "text"]);
    let uploads = run(&mut aws)?;
    ensure!(matches!(uploads.trim(), "" | "None"), "unfinished uploads: {uploads}");
    Ok(())
}
