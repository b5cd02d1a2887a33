//! Objects in archive storage classes, on `LocalStack`, which keeps them frozen as S3 does: `MinIO` has no such classes.

use std::time::Duration;

use lifeboat_core::{ErrorKind, ports::Thaw};
use lifeboat_testkit::http::request;

use crate::backends::{BUCKET, localstack, localstack_server};

const AUTHORIZATION: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// What a lifecycle rule does to an object.
fn freeze(url: &str, key: &str, class: &str) {
    let prefix = url.strip_prefix(&format!("s3://{BUCKET}/")).unwrap();
    let path = format!("/{BUCKET}/{prefix}/{key}");
    let headers = [("Authorization", AUTHORIZATION), ("x-amz-storage-class", class)];
    let answer =
        request(localstack_server().address, "PUT", &path, &headers, b"frozen", Duration::from_secs(30)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_frozen_object_is_readable_after_a_thaw_and_asked_for_once() {
    let backend = localstack().await;
    let store = &backend.store;
    for class in ["GLACIER", "DEEP_ARCHIVE"] {
        let key = format!("archive/{class}");
        freeze(store.url(), &key, class);
        assert!(!store.is_readable(&key).await.unwrap(), "{class}");
        assert_eq!(store.open(&key).await.err().map(|e| e.kind()), Some(ErrorKind::Store), "{class}");
        assert_eq!(store.list("archive/").await.unwrap().last().unwrap().storage_class, class);
        // LocalStack's hours are over at once.
        assert_eq!(store.thaw(&key, 3).await.unwrap(), Thaw::Underway);
        assert_eq!(store.thaw(&key, 3).await.unwrap(), Thaw::Readable);
        assert!(store.is_readable(&key).await.unwrap());
        let (body, _) = store.read(&key, 100).await.unwrap();
        assert_eq!(body.as_ref(), b"frozen");
        store.delete(&key).await.unwrap();
    }
    freeze(store.url(), "archive/warm", "STANDARD_IA");
    assert_eq!(store.thaw("archive/warm", 3).await.unwrap(), Thaw::Readable);
    assert_eq!(store.thaw("archive/none", 3).await.err().map(|e| e.kind()), Some(ErrorKind::NotFound));
}
