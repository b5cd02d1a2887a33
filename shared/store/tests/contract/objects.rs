//! What is promised of objects: new ones, missing ones, their keys, listings and tags.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use lifeboat_core::{
    ErrorKind,
    ports::{Removal, Store, Swap},
};

use crate::backends::{Backend, pattern, run, whole};

async fn put(store: &dyn Store, key: &str, body: &'static str) {
    store.put_new(key, Bytes::from_static(body.as_bytes()), &run("run")).await.unwrap();
}

async fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    let listed = store.list(prefix).await.unwrap();
    // A file store's first write is its probe.
    listed.into_iter().map(|object| object.key).filter(|key| !key.starts_with(".control/")).collect()
}

pub(crate) async fn a_new_object_is_read_back_byte_for_byte(backend: Backend) {
    let store = &*backend.store;
    for length in [0, 1, 1024 * 1024, 3 * 1024 * 1024 + 1] {
        let key = format!("objects/{length}");
        let body = pattern(length);
        let stored = store.put_new(&key, Bytes::from(body.clone()), &run("run")).await.unwrap();
        assert_eq!(stored.size, length as u64);
        assert!(whole(store, &key).await == body, "{length} bytes");
        let (again, seen) = store.read(&key, length as u64).await.unwrap();
        assert!(again == body);
        if length <= 1024 * 1024 {
            assert!(stored.etag.is_some());
            assert_eq!(seen.etag, stored.etag, "what a write and a read call the same content");
        }
        let listed = store.list(&key).await.unwrap();
        assert_eq!(listed[0].size, length as u64);
        assert_eq!(listed[0].storage_class, "STANDARD");
        assert!(Timestamp::now().duration_since(listed[0].modified).as_secs().abs() < 3600);
    }
}

pub(crate) async fn a_second_write_of_a_key_fails_and_changes_nothing(backend: Backend) {
    let store = &*backend.store;
    put(store, "a/key", "first").await;
    for (body, by) in [("second", "another"), ("second", "run"), ("first", "another")] {
        let error = store.put_new("a/key", Bytes::from_static(body.as_bytes()), &run(by)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{body} by {by}: {error}");
        assert!(error.to_string().contains("a/key"), "{error}");
    }
    assert_eq!(whole(store, "a/key").await, b"first");
}

pub(crate) async fn of_eight_writers_of_one_key_exactly_one_wins(backend: Backend) {
    for round in 0..5 {
        let key = format!("race/{round}");
        let tasks = (0..8).map(|writer| {
            let (store, key) = (backend.store.clone(), key.clone());
            tokio::spawn(async move {
                let body = Bytes::from(format!("written by {writer}"));
                match store.put_new(&key, body.clone(), &run(&format!("writer-{writer}"))).await {
                    Ok(_) => Some(body),
                    Err(e) if e.kind() == ErrorKind::AlreadyExists => None,
                    Err(e) => panic!("{e}"),
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut winners = Vec::new();
        for task in tasks {
            winners.extend(task.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(whole(&*backend.store, &key).await, winners[0]);
    }
}

pub(crate) async fn what_is_missing_is_not_found(backend: Backend) {
    let store = &*backend.store;
    put(store, "a/b/c", "x").await;
    for key in ["nothing", "a/b", "a/b/cc", "a/b/d"] {
        let error = store.open(key).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{key}: {error}");
        assert!(error.to_string().contains(key), "{error}");
    }
    assert!(keys(store, "nothing/").await.is_empty());
    assert!(store.folders("nothing/").await.unwrap().is_empty());
    if backend.is_s3() {
        assert_eq!(store.tags("nothing").await.unwrap_err().kind(), ErrorKind::NotFound);
        let error = store.set_tags("nothing", &BTreeMap::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    missing_store(&backend).await;
}

/// The bucket, or the folder's parent, is not there.
async fn missing_store(backend: &Backend) {
    let url = if backend.is_s3() { "s3://no-such-bucket/x" } else { "file:///no/such/folder" };
    let store = lifeboat_store::open(url, &backend.settings).await.unwrap();
    let body = Bytes::from_static(b"x");
    let errors = [
        store.probe(&run("run")).await.unwrap_err(),
        store.put_new("k", body.clone(), &run("run")).await.unwrap_err(),
        store.list("").await.unwrap_err(),
        store.folders("").await.unwrap_err(),
        store.delete("k").await.unwrap_err(),
        store.swap("k", None, body.clone()).await.unwrap_err(),
        store.swap("k", Some("\"00000000000000000000000000000000\""), body).await.unwrap_err(),
        store.open("k").await.err().unwrap(),
    ];
    for (position, error) in errors.iter().enumerate() {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{position}: {error}");
    }
    let hint = errors[0].hint();
    assert!(hint.contains("create the bucket") || hint.contains("mkdir"), "{hint}");
}

pub(crate) async fn hostile_keys_are_refused_by_every_call(backend: Backend) {
    let store = &*backend.store;
    let body = Bytes::from_static(b"x");
    for key in ["", "/", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", "a\0b", ".control/tmp/x"] {
        let errors = [
            store.put_new(key, body.clone(), &run("run")).await.err(),
            store.upload_new(key, &run("run")).await.err(),
            store.open(key).await.err(),
            store.set_tags(key, &BTreeMap::new()).await.err(),
            store.tags(key).await.err(),
            store.delete(key).await.err(),
            store.swap(key, None, body.clone()).await.err(),
            store.swap(key, Some("x"), body.clone()).await.err(),
        ];
        for (position, error) in errors.into_iter().enumerate() {
            let error = error.unwrap_or_else(|| panic!("{key:?} passed call {position}"));
            assert_eq!(error.kind(), ErrorKind::Usage, "{key:?}: {error}");
        }
    }
    for prefix in ["/", "../", "a/../", "a//"] {
        assert_eq!(store.list(prefix).await.unwrap_err().kind(), ErrorKind::Usage, "{prefix:?}");
        assert_eq!(store.folders(prefix).await.unwrap_err().kind(), ErrorKind::Usage, "{prefix:?}");
        let swept = store.sweep_uploads(prefix, Timestamp::now()).await;
        assert_eq!(swept.unwrap_err().kind(), ErrorKind::Usage, "{prefix:?}");
    }
    assert!(keys(store, "").await.is_empty());
}

pub(crate) async fn unusual_keys_come_back_as_they_were(backend: Backend) {
    let store = &*backend.store;
    let mut unusual = [
        "with space",
        "a+b",
        "100%",
        "a%2Fb",
        "ä/ñ/日本.dat",
        "q?x=1&y=2",
        "#hash",
        "'quote\"",
        "~tilde",
        "a\\b",
        "(1)[2]{3}",
        "*",
        "-dash",
        "=",
        ":",
        "@",
        "...",
        "<tag>&amp;",
    ];
    unusual.sort_unstable();
    for key in unusual {
        let key = format!("unusual/{key}");
        store.put_new(&key, Bytes::from(key.clone()), &run("run")).await.unwrap();
        assert_eq!(whole(store, &key).await, key.as_bytes());
        assert_eq!(store.list(&key).await.unwrap()[0].key, key);
        let Swap::Done(_) =
            store.swap(&key, store.read(&key, 999).await.unwrap().1.etag.as_deref(), Bytes::new()).await.unwrap()
        else {
            panic!("{key} cannot be swapped")
        };
    }
    let expected: Vec<_> = unusual.iter().map(|key| format!("unusual/{key}")).collect();
    assert_eq!(keys(store, "unusual/").await, expected);
    assert_eq!(store.folders("unusual/").await.unwrap(), ["ä"]);
    assert_eq!(store.folders("unusual/ä/").await.unwrap(), ["ñ"]);
}

pub(crate) async fn a_listing_is_whole_and_sorted_beyond_a_thousand_keys(backend: Backend) {
    let count = 1050;
    let puts = stream::iter((0..count).map(|number| {
        let store = backend.store.clone();
        async move {
            // In an order unlike the keys'.
            let key = format!("many/{:04}/x", (number * 389) % count);
            store.put_new(&key, Bytes::from(key.clone()), &run("run")).await.unwrap();
        }
    }));
    puts.buffer_unordered(16).collect::<Vec<()>>().await;
    let expected: Vec<_> = (0..count).map(|number| format!("many/{number:04}/x")).collect();
    assert!(keys(&*backend.store, "many/").await == expected);
    let folders = backend.store.folders("many/").await.unwrap();
    assert_eq!(folders.len(), count);
    assert!(folders.is_sorted());
}

pub(crate) async fn prefixes_and_folders_select_what_lies_below_them(backend: Backend) {
    let store = &*backend.store;
    for key in ["orders/1/manifest.json", "orders/1/archive/toc.dat", "orders/2/manifest.json", "orders-2/1/x", "top"] {
        put(store, key, "x").await;
    }
    let below = |prefix| keys(store, prefix);
    assert_eq!(below("orders/1/").await, ["orders/1/archive/toc.dat", "orders/1/manifest.json"]);
    assert_eq!(below("orders/1").await, ["orders/1/archive/toc.dat", "orders/1/manifest.json"]);
    assert_eq!(below("orders/2/man").await, ["orders/2/manifest.json"]);
    assert_eq!(below("orders").await.len(), 4);
    assert_eq!(below("").await.len(), 5);
    let root = store.folders("").await.unwrap();
    assert_eq!(root.iter().filter(|name| *name != ".control").collect::<Vec<_>>(), ["orders", "orders-2"]);
    assert_eq!(store.folders("orders/").await.unwrap(), ["1", "2"]);
    assert_eq!(store.folders("orders/1/").await.unwrap(), ["archive"]);
    assert_eq!(store.folders("orders").await.unwrap_err().kind(), ErrorKind::Usage);

    // A folder ends with its last object.
    store.delete("orders/2/manifest.json").await.unwrap();
    assert_eq!(store.folders("orders/").await.unwrap(), ["1"]);
}

pub(crate) async fn stores_side_by_side_do_not_see_each_other(backend: Backend) {
    let (one, two) = (backend.neighbour("side").await, backend.neighbour("side-2").await);
    put(&*one, "k", "one").await;
    put(&*two, "k", "two").await;
    put(&*two, "only/here", "two").await;
    assert_eq!(whole(&*one, "k").await, b"one");
    assert_eq!(keys(&*one, "").await, ["k"]);
    assert!(one.open("only/here").await.is_err());
    two.delete("k").await.unwrap();
    assert_eq!(whole(&*one, "k").await, b"one");
    assert!(one.url().ends_with("/side") && two.url().ends_with("/side-2"));
}

pub(crate) async fn a_small_object_that_is_too_large_is_corrupt(backend: Backend) {
    let store = &*backend.store;
    put(store, "k", "12345").await;
    assert_eq!(store.read("k", 4).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.read("k", 5).await.unwrap().0, "12345");
}

pub(crate) async fn deleting_twice_is_no_error(backend: Backend) {
    let store = &*backend.store;
    put(store, "a/b/k", "x").await;
    store.delete("a/b/k").await.unwrap();
    store.delete("a/b/k").await.unwrap();
    store.delete("never/was").await.unwrap();
    assert!(keys(store, "").await.is_empty());
    put(store, "a/b/k", "again").await;
    assert_eq!(whole(store, "a/b/k").await, b"again");
}

pub(crate) async fn a_probe_passes_twice_and_leaves_only_probe_objects(backend: Backend) {
    let store = backend.neighbour("fresh").await;
    store.probe(&run("probe")).await.unwrap();
    store.probe(&run("probe")).await.unwrap();
    for object in store.list("").await.unwrap() {
        assert!(object.key.starts_with(".control/probe/"), "{}", object.key);
    }
}

pub(crate) async fn tags_are_replaced_as_a_whole_or_not_kept_at_all(backend: Backend) {
    let store = &*backend.store;
    put(store, "k", "x").await;
    let tags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let first = tags(&[("lifeboat-move", "GLACIER"), ("lifeboat-database", "orders 1+2=3")]);
    let second = tags(&[("lifeboat-expire", "true")]);
    store.set_tags("k", &first).await.unwrap();
    if store.removal() == Removal::Delete {
        assert!(store.tags("k").await.unwrap().is_empty());
        return;
    }
    assert_eq!(store.tags("k").await.unwrap(), first);
    store.set_tags("k", &second).await.unwrap();
    assert_eq!(store.tags("k").await.unwrap(), second);
    store.set_tags("k", &tags(&[])).await.unwrap();
    assert!(store.tags("k").await.unwrap().is_empty());
    assert_eq!(whole(store, "k").await, b"x");
}
