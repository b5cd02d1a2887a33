//! What is promised when the network and the server misbehave: faults between us and a real server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use lifeboat_core::{
    ErrorKind,
    ports::{Store, Swap},
};
use tokio::sync::Notify;

use crate::{
    backends::{self, Backend, minio_server, minio_settings, pattern, run, whole},
    proxy::{Fault, Proxy, Request},
};

const MIB: usize = 1024 * 1024;
/// A name and the fault of the first request.
type Case = (&'static str, fn() -> Fault);

const SLOW_DOWN: Fault =
    Fault::Answer(503, "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>");
const DENIED: Fault = Fault::Answer(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");

/// A store behind a proxy that follows the script, and the same store reached directly.
struct Faulty {
    backend: Backend,
    proxy: Proxy,
    direct: Arc<dyn Store>,
}

impl Faulty {
    fn store(&self) -> &dyn Store {
        &*self.backend.store
    }
}

async fn faulty(script: impl FnMut(&Request) -> Fault + Send + 'static) -> Faulty {
    let proxy = Proxy::start(minio_server().address, script).await;
    let mut settings = minio_settings(&proxy.endpoint);
    settings.stall_timeout = Some(Duration::from_millis(300));
    let backend = backends::s3(settings).await;
    let direct = minio_settings(&minio_server().endpoint);
    let direct = lifeboat_store::open(backend.store.url(), &direct).await.unwrap();
    Faulty { backend, proxy, direct }
}

/// Gives the first requests that match a fault each, and lets all others pass.
fn first(
    count: usize,
    matches: impl Fn(&Request) -> bool + Send + 'static,
    fault: impl Fn() -> Fault + Send + 'static,
) -> impl FnMut(&Request) -> Fault + Send + 'static {
    let mut seen = 0;
    move |request| {
        if matches(request) {
            seen += 1;
            if seen <= count {
                return fault();
            }
        }
        Fault::Pass
    }
}

fn put_object(request: &Request) -> bool {
    request.method == "PUT" && !request.target.contains("partNumber")
}

fn complete(request: &Request) -> bool {
    request.is("POST", "uploadId=")
}

async fn upload(store: &dyn Store, key: &str, body: &Bytes) -> lifeboat_core::Result<lifeboat_core::ports::Stored> {
    let mut upload = store.upload_new(key, &run("run")).await?;
    for block in body.chunks(MIB) {
        upload.write(Bytes::copy_from_slice(block)).await?;
    }
    upload.complete().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_cut_again_and_again_is_whole() {
    let faulty = faulty(|request| if request.is("GET", "/k?") { Fault::CutAfter(300_000) } else { Fault::Pass }).await;
    let body = pattern(5 * MIB);
    faulty.direct.put_new("k", Bytes::from(body.clone()), &run("run")).await.unwrap();
    assert!(whole(faulty.store(), "k").await == body);
    assert!(faulty.proxy.count("GET", "/k?") >= body.len() / 300_000, "every cut was met by a new request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_stalls_is_asked_for_again() {
    let faulty = faulty(first(2, |request| request.is("GET", "/k?"), || Fault::StallAfter(100_000))).await;
    let body = pattern(MIB);
    faulty.direct.put_new("k", Bytes::from(body.clone()), &run("run")).await.unwrap();
    assert!(whole(faulty.store(), "k").await == body);
    // One for each stall and the one that passed; a busy machine may itself be silent for as long as a stall is.
    let asked = faulty.proxy.count("GET", "/k?");
    assert!((3..=5).contains(&asked), "asked {asked} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_never_gets_on_ends_with_an_error() {
    let count = AtomicUsize::new(0);
    let faulty = faulty(move |request| match request.is("GET", "/k?") {
        true if count.fetch_add(1, Ordering::Relaxed) == 0 => Fault::CutAfter(1000),
        true => Fault::CutAfter(0),
        false => Fault::Pass,
    })
    .await;
    faulty.direct.put_new("k", Bytes::from(pattern(MIB)), &run("run")).await.unwrap();
    let mut reader = faulty.store().open("k").await.unwrap();
    let error = loop {
        match reader.next_block().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cut object ended as if it were whole"),
            Err(e) => break e,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("stopped at 1000 of 1048576 bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_states_of_an_object_are_never_mixed() {
    let faulty = faulty(first(1, |request| request.is("GET", "/k?"), || Fault::CutAfter(1000))).await;
    let stored = faulty.direct.put_new("k", Bytes::from(pattern(MIB)), &run("run")).await.unwrap();
    let mut reader = faulty.store().open("k").await.unwrap();
    assert!(reader.next_block().await.unwrap().is_some());
    let other = Bytes::from(vec![7; MIB]);
    assert!(matches!(faulty.direct.swap("k", stored.etag.as_deref(), other).await.unwrap(), Swap::Done(_)));
    let error = reader.next_block().await.unwrap_err();
    assert!(error.to_string().contains("replaced meanwhile"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_has_happened_once() {
    let faulty = faulty(first(1, put_object, || Fault::LoseAnswer)).await;
    let stored = faulty.store().put_new("k", Bytes::from_static(b"mine"), &run("run")).await.unwrap();
    assert_eq!(faulty.direct.read("k", 10).await.unwrap(), (Bytes::from_static(b"mine"), stored));
    assert_eq!(faulty.proxy.count("PUT", "/k"), 2);
    assert_eq!(faulty.proxy.count("HEAD", "/k"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_does_not_make_the_object_of_another_ours() {
    for (body, by) in [("other", "another"), ("mine!", "another"), ("other", "run")] {
        let faulty = faulty(first(1, put_object, || Fault::LoseRequest)).await;
        faulty.direct.put_new("k", Bytes::from_static(body.as_bytes()), &run(by)).await.unwrap();
        let error = faulty.store().put_new("k", Bytes::from_static(b"mine!"), &run("run")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{body} by {by}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_read_finds_its_lost_write_by_listing() {
    let mut lost = false;
    let faulty = faulty(move |request| match request.method.as_str() {
        "HEAD" => DENIED,
        "PUT" if !lost => {
            lost = true;
            Fault::LoseAnswer
        }
        _ => Fault::Pass,
    })
    .await;
    let stored = faulty.store().put_new("k", Bytes::from_static(b"mine"), &run("run")).await.unwrap();
    assert_eq!(stored.size, 4);
    let error = faulty.store().put_new("k", Bytes::from_static(b"mine"), &run("run")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "nothing was lost this time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_whose_answer_is_lost_knows_its_own() {
    let faulty = faulty(first(1, put_object, || Fault::LoseAnswer)).await;
    let swap = faulty.store().swap("k", None, Bytes::from_static(b"x")).await.unwrap();
    assert!(matches!(swap, Swap::Done(_)));
    let same_bytes = self::faulty(first(1, put_object, || Fault::LoseRequest)).await;
    same_bytes.direct.swap("k", None, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(same_bytes.store().swap("k", None, Bytes::from_static(b"x")).await.unwrap(), Swap::Lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_store_is_waited_for_by_every_call() {
    // Every request is refused three times before it passes.
    let mut refusals = std::collections::HashMap::new();
    let faulty = faulty(move |request| {
        let count: &mut u32 = refusals.entry(format!("{} {}", request.method, request.target)).or_default();
        *count += 1;
        if *count <= 3 { SLOW_DOWN } else { Fault::Pass }
    })
    .await;
    let store = faulty.store();
    store.put_new("k", Bytes::from_static(b"x"), &run("run")).await.unwrap();
    let body = Bytes::from(pattern(9 * MIB));
    upload(store, "large", &body).await.unwrap();
    assert!(whole(store, "large").await == body);
    assert_eq!(store.list("").await.unwrap().len(), 2);
    store.set_tags("k", &std::collections::BTreeMap::new()).await.unwrap();
    store.delete("k").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_of_conditional_writes_is_tried_again() {
    let conflict = || Fault::Answer(409, "<Error><Code>ConditionalRequestConflict</Code><Message>m</Message></Error>");
    let faulty = faulty(first(2, put_object, conflict)).await;
    faulty.store().put_new("k", Bytes::from_static(b"x"), &run("run")).await.unwrap();
    assert_eq!(faulty.proxy.count("PUT", "/k"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_that_fails_in_any_way_is_completed_once() {
    let error_in_200 =
        || Fault::Answer(200, "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>m</Message></Error>");
    let no_etag = || Fault::Answer(200, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>");
    let conflict = || Fault::Answer(409, "<Error><Code>ConditionalRequestConflict</Code><Message>m</Message></Error>");
    let body = Bytes::from(pattern(9 * MIB));
    let cases: [Case; 6] = [
        ("200 with an error", error_in_200),
        ("no ETag", no_etag),
        ("conflict", conflict),
        ("lost answer", || Fault::LoseAnswer),
        ("lost request", || Fault::LoseRequest),
        ("slow down", || SLOW_DOWN),
    ];
    for (name, fault) in cases {
        let faulty = faulty(first(1, complete, fault)).await;
        let stored = upload(faulty.store(), "k", &body).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(stored.size, body.len() as u64, "{name}");
        assert!(stored.etag.is_some(), "{name}");
        assert!(whole(&*faulty.direct, "k").await == body, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completed_upload_that_answers_as_if_it_had_never_been_is_found() {
    let mut completions = 0;
    let faulty = faulty(move |request| {
        if request.method == "HEAD" && completions == 1 {
            // As if the object were not visible yet.
            completions += 1;
            return Fault::Answer(404, "");
        }
        if !complete(request) {
            return Fault::Pass;
        }
        completions += 1;
        if completions == 1 { Fault::LoseAnswer } else { Fault::Pass }
    })
    .await;
    let body = Bytes::from(pattern(9 * MIB));
    upload(faulty.store(), "k", &body).await.unwrap();
    assert!(faulty.proxy.count("POST", "uploadId=") >= 2);
    assert!(whole(&*faulty.direct, "k").await == body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_lost_refused_or_unanswered_are_sent_again() {
    let mut part = 0;
    let faulty = faulty(move |request| {
        if !request.is("PUT", "partNumber") {
            return Fault::Pass;
        }
        part += 1;
        match part % 5 {
            1 => Fault::LoseRequest,
            2 => Fault::LoseAnswer,
            3 => Fault::Answer(500, "<Error><Code>InternalError</Code></Error>"),
            4 => Fault::Answer(400, "<Error><Code>BadDigest</Code></Error>"),
            _ => Fault::Pass,
        }
    })
    .await;
    let body = Bytes::from(pattern(25 * MIB));
    upload(faulty.store(), "k", &body).await.unwrap();
    assert!(whole(&*faulty.direct, "k").await == body);
}

/// How many unfinished uploads of a key the store still holds.
async fn unfinished(faulty: &Faulty, key: &str) -> usize {
    // The whole key, because MinIO lists unfinished uploads by nothing less.
    let uploads = sdk(faulty).list_multipart_uploads().bucket(backends::BUCKET).prefix(full(faulty, key));
    uploads.send().await.unwrap().uploads().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_dropped_while_a_part_is_on_its_way_can_still_be_aborted() {
    let faulty = faulty(|request| if request.is("PUT", "partNumber") { Fault::Hold } else { Fault::Pass }).await;
    let mut upload = faulty.store().upload_new("k", &run("run")).await.unwrap();
    upload.write(Bytes::from(pattern(10 * MIB))).await.unwrap();
    // The second part waits for the first, which never arrives.
    assert!(upload.write(Bytes::from(pattern(MIB))).now_or_never().is_none());
    assert_eq!(unfinished(&faulty, "k").await, 1);
    let error = upload.write(Bytes::from_static(b"more")).await.unwrap_err();
    assert!(error.to_string().contains("failed before"), "half a block was written: {error}");
    upload.abort().await.unwrap();
    assert_eq!(unfinished(&faulty, "k").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_dropped_while_its_upload_begins_can_still_be_aborted() {
    let arrived = Arc::new(Notify::new());
    let notify = Arc::clone(&arrived);
    let faulty = faulty(move |request| {
        if request.is("POST", "uploads") {
            notify.notify_one();
        }
        Fault::Pass
    })
    .await;
    let mut upload = faulty.store().upload_new("k", &run("run")).await.unwrap();
    let large = Bytes::from(pattern(9 * MIB));
    tokio::select! {
        biased;
        () = arrived.notified() => {}
        written = upload.write(large) => written.unwrap(),
    }
    upload.abort().await.unwrap();
    assert_eq!(unfinished(&faulty, "k").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_whose_last_part_is_refused_frees_the_parts_before_it() {
    let refuse = |request: &Request| if request.is("PUT", "partNumber=2") { DENIED } else { Fault::Pass };
    let faulty = faulty(refuse).await;
    let error = upload(faulty.store(), "k", &Bytes::from(pattern(9 * MIB))).await.unwrap_err();
    assert!(error.hint().contains("s3:PutObject"), "{error}: {}", error.hint());
    assert_eq!(unfinished(&faulty, "k").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_in_parts_keeps_its_whole_checksum_and_its_run() {
    let faulty = faulty(|_| Fault::Pass).await;
    upload(faulty.store(), "k", &Bytes::from(pattern(9 * MIB))).await.unwrap();
    // The object's checksum is there for whoever reads it with other tools.
    let head = sdk(&faulty).head_object().bucket(backends::BUCKET).key(full(&faulty, "k"));
    let head = head.checksum_mode(aws_sdk_s3::types::ChecksumMode::Enabled).send().await.unwrap();
    assert!(head.checksum_crc64_nvme().is_some(), "{head:?}");
    assert_eq!(head.metadata().unwrap()["lifeboat-run"], "run");
}

fn full(faulty: &Faulty, key: &str) -> String {
    let prefix = faulty.backend.store.url().strip_prefix(&format!("s3://{}/", backends::BUCKET)).unwrap();
    format!("{prefix}/{key}")
}

fn sdk(faulty: &Faulty) -> aws_sdk_s3::Client {
    let settings = minio_settings(&minio_server().endpoint);
    assert_eq!(settings.force_path_style, faulty.backend.settings.force_path_style);
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .endpoint_url(settings.endpoint_url.unwrap())
        .credentials_provider(settings.credentials.unwrap())
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_finds_out_a_store_that_overwrites() {
    // LocalStack, because MinIO notices that a signed header is gone.
    let proxy = Proxy::start(backends::localstack_server().address, |_| Fault::Strip("if-none-match")).await;
    let backend = backends::s3(minio_settings(&proxy.endpoint)).await;
    let error = backend.store.probe(&run("run")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("ignores If-None-Match"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_does_not_need_the_right_to_delete() {
    let faulty = faulty(|request| if request.method == "DELETE" { DENIED } else { Fault::Pass }).await;
    faulty.store().probe(&run("run")).await.unwrap();
    faulty.store().probe(&run("run")).await.unwrap();
    assert_eq!(faulty.direct.list("").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_is_named() {
    let faulty = faulty(|_| DENIED).await;
    let store = faulty.store();
    let body = Bytes::from_static(b"x");
    let errors = [
        (store.put_new("k", body.clone(), &run("run")).await.unwrap_err(), "s3:PutObject"),
        (store.open("k").await.err().unwrap(), "s3:GetObject"),
        (store.list("").await.unwrap_err(), "s3:ListBucket"),
        (store.delete("k").await.unwrap_err(), "s3:DeleteObject"),
        (store.swap("k", Some("x"), body).await.unwrap_err(), "s3:PutObject"),
    ];
    for (error, right) in errors {
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert!(error.hint().contains(right), "{error}: {}", error.hint());
        assert!(error.to_string().contains("s3://contract/"), "{error}");
        assert!(!error.to_string().contains(&minio_server().secret_key));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_object_asks_for_a_thaw() {
    let frozen = || Fault::Answer(403, "<Error><Code>InvalidObjectState</Code><Message>m</Message></Error>");
    let faulty = faulty(move |request| if request.method == "GET" { frozen() } else { Fault::Pass }).await;
    let error = faulty.store().open("k").await.err().unwrap();
    assert!(error.hint().contains("thaw"), "{}", error.hint());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_said_to_be_wrong() {
    let mut settings = minio_settings(&minio_server().endpoint);
    let wrong = aws_sdk_s3::config::Credentials::new("lifeboat", "not the secret", None, None, "contract");
    settings.credentials = Some(aws_sdk_s3::config::SharedCredentialsProvider::new(wrong));
    let backend = backends::s3(settings).await;
    let error = backend.store.probe(&run("run")).await.unwrap_err();
    assert!(error.hint().contains("credentials are wrong"), "{error}: {}", error.hint());
}
