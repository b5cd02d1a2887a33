//! The stores under contract, each test's own: a folder, a prefix on `MinIO`, a prefix on `LocalStack`.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, Ordering},
};

use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use lifeboat_core::{ids::RunId, ports::Store};
use lifeboat_store::S3Settings;
use lifeboat_testkit::servers::{LocalStack, Minio};
use tempfile::TempDir;
use tokio::sync::Semaphore;

pub(crate) const BUCKET: &str = "contract";

/// A store that is empty, and what it takes to open its neighbours.
pub(crate) struct Backend {
    pub store: Arc<dyn Store>,
    pub settings: S3Settings,
    /// The URL of a store is this and a name.
    base: String,
    /// Held while an upload is completed. `LocalStack` looks for the key before it puts the parts together, and not
    /// again: of uploads completed at once, two can win there. So there they complete one after another.
    pub completion: Semaphore,
    _folder: Option<TempDir>,
}

impl Backend {
    /// The store beside this one, in the same folder or bucket.
    pub(crate) async fn neighbour(&self, name: &str) -> Arc<dyn Store> {
        lifeboat_store::open(&format!("{}{name}", self.base), &self.settings).await.unwrap()
    }

    pub(crate) fn is_s3(&self) -> bool {
        self.base.starts_with("s3:")
    }
}

pub(crate) fn run(text: &str) -> RunId {
    text.parse().unwrap()
}

fn at_once() -> Semaphore {
    Semaphore::new(Semaphore::MAX_PERMITS)
}

/// Every test has its own prefix, on servers that all tests share and that die with the test process.
fn own_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn file() -> Backend {
    let folder = tempfile::tempdir().unwrap();
    let base = format!("file://{}/", folder.path().display());
    let settings = S3Settings::default();
    let store = lifeboat_store::open(&format!("{base}store"), &settings).await.unwrap();
    // The first write makes the folder; reads of an untouched store are a test of their own.
    store.probe(&run("first")).await.unwrap();
    Backend { store, settings, base, completion: at_once(), _folder: Some(folder) }
}

pub(crate) fn minio_server() -> &'static Minio {
    static SERVER: OnceLock<Minio> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Minio::start().unwrap();
        server.create_bucket(BUCKET).unwrap();
        server
    })
}

pub(crate) fn minio_settings(endpoint: &str) -> S3Settings {
    let server = minio_server();
    settings(endpoint, &server.access_key, &server.secret_key)
}

pub(crate) async fn minio() -> Backend {
    s3(minio_settings(&minio_server().endpoint)).await
}

pub(crate) fn localstack_server() -> &'static LocalStack {
    static SERVER: OnceLock<LocalStack> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = LocalStack::start().unwrap();
        server.create_bucket(BUCKET).unwrap();
        server
    })
}

pub(crate) async fn localstack() -> Backend {
    let backend = s3(settings(&localstack_server().endpoint, "test", "test")).await;
    Backend { completion: Semaphore::new(1), ..backend }
}

fn settings(endpoint: &str, access_key: &str, secret_key: &str) -> S3Settings {
    let credentials = Credentials::new(access_key, secret_key, None, None, "contract");
    S3Settings {
        endpoint_url: Some(endpoint.to_owned()),
        credentials: Some(SharedCredentialsProvider::new(credentials)),
        ..S3Settings::default()
    }
}

/// A store on a prefix of its own, reached as `settings` say.
pub(crate) async fn s3(settings: S3Settings) -> Backend {
    let base = format!("s3://{BUCKET}/{}/", own_prefix());
    let store = lifeboat_store::open(&format!("{base}store"), &settings).await.unwrap();
    Backend { store, settings, base, completion: at_once(), _folder: None }
}

/// Bytes that differ everywhere, so that a lost, doubled or moved block shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Reads an object to its end, checking what is promised of blocks on the way.
pub(crate) async fn whole(store: &dyn Store, key: &str) -> Vec<u8> {
    let mut reader = store.open(key).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(block) = reader.next_block().await.unwrap() {
        assert!((1..=1024 * 1024).contains(&block.len()), "a block of {} bytes", block.len());
        bytes.extend_from_slice(&block);
    }
    assert_eq!(reader.stored().size, bytes.len() as u64);
    assert!(reader.next_block().await.unwrap().is_none(), "the end stays the end");
    bytes
}
