//! The stores that tests run against: a folder, MinIO and LocalStack.

use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result};
use lifeboat_testkit::servers::{LocalStack, Minio};
use tempfile::TempDir;

use crate::Lifeboat;

/// A store of one test's own.
pub struct StoreUnderTest {
    /// Its URL.
    pub url: String,
    environment: Vec<(&'static str, String)>,
    folder: Option<TempDir>,
}

static MINIO: OnceLock<Result<Minio, String>> = OnceLock::new();
static LOCALSTACK: OnceLock<Result<LocalStack, String>> = OnceLock::new();
static BUCKETS: AtomicU32 = AtomicU32::new(0);

/// The MinIO of this test process; it ends with the process.
pub fn minio() -> Result<&'static Minio> {
    MINIO.get_or_init(|| Minio::start().map_err(|e| e.to_string())).as_ref().map_err(|e| anyhow::anyhow!("{e}"))
}

/// The LocalStack of this test process; it ends with the process.
pub fn localstack() -> Result<&'static LocalStack> {
    LOCALSTACK
        .get_or_init(|| LocalStack::start().map_err(|e| e.to_string()))
        .as_ref()
        .map_err(|e| anyhow::anyhow!("{e}"))
}

fn fresh_bucket() -> String {
    format!("bucket-{}", BUCKETS.fetch_add(1, Ordering::Relaxed))
}

impl StoreUnderTest {
    /// A folder.
    pub fn folder() -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for the store")?;
        let url = format!("file://{}", folder.path().join("store").display());
        Ok(Self { url, environment: Vec::new(), folder: Some(folder) })
    }

    /// A bucket of its own in MinIO.
    pub fn minio() -> Result<Self> {
        Self::minio_bucket(&fresh_bucket())
    }

    /// A bucket in MinIO that is not there yet.
    pub fn minio_bucket(bucket: &str) -> Result<Self> {
        let server = minio()?;
        server.create_bucket(bucket)?;
        Ok(Self::in_bucket(server, bucket))
    }

    /// A bucket that a MinIO has.
    pub fn in_bucket(server: &Minio, bucket: &str) -> Self {
        Self::s3(bucket, &server.endpoint, &server.access_key, &server.secret_key)
    }

    /// From now on its programs reach it at this endpoint.
    pub fn reach_through(&mut self, endpoint: &str) {
        for (name, value) in &mut self.environment {
            if *name == "AWS_ENDPOINT_URL_S3" {
                endpoint.clone_into(value);
            }
        }
    }

    /// A bucket of its own in LocalStack.
    pub fn localstack() -> Result<Self> {
        let (server, bucket) = (localstack()?, fresh_bucket());
        server.create_bucket(&bucket)?;
        Ok(Self::s3(&bucket, &server.endpoint, "test", "test"))
    }

    fn s3(bucket: &str, endpoint: &str, access_key: &str, secret_key: &str) -> Self {
        let environment = vec![
            ("AWS_ENDPOINT_URL_S3", endpoint.to_owned()),
            ("AWS_ACCESS_KEY_ID", access_key.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret_key.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        Self { url: format!("s3://{bucket}/pg"), environment, folder: None }
    }

    /// The store's folder, where it is one.
    pub fn path(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|f| f.path().join("store"))
    }

    /// A folder for whatever else the test writes, where the store is one.
    pub fn beside(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    /// The environment by which any S3 client reaches it.
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// A call of Lifeboat on this store.
    pub fn lifeboat<A: Into<std::ffi::OsString>>(&self, arguments: impl IntoIterator<Item = A>) -> Lifeboat {
        let call = Lifeboat::new(arguments).env("LIFEBOAT_STORE", &self.url);
        self.environment.iter().fold(call, |call, (name, value)| call.env(name, value))
    }
}
