//! What is promised of streamed uploads: whole or not there, and never in another's place.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{Timestamp, ToSpan};
use lifeboat_core::{
    ErrorKind, Result,
    ports::{Store, Stored, Upload},
};

use crate::backends::{Backend, pattern, run, whole};

const MIB: usize = 1024 * 1024;

async fn visible(store: &dyn Store, prefix: &str) -> usize {
    store.list(prefix).await.unwrap().len()
}

/// Writes in blocks of uneven sizes, empty ones among them.
async fn write(upload: &mut dyn Upload, body: &Bytes) -> Result<()> {
    let mut rest = body.clone();
    for length in [1, 0, 4095, 70_000, 3 * MIB + 17].into_iter().cycle() {
        if rest.is_empty() {
            return Ok(());
        }
        upload.write(rest.split_to(length.min(rest.len()))).await?;
    }
    Ok(())
}

async fn upload(store: &dyn Store, key: &str, body: &Bytes, by: &str) -> Result<Stored> {
    let mut upload = store.upload_new(key, &run(by)).await?;
    write(&mut *upload, body).await?;
    upload.complete().await
}

pub(crate) async fn streams_of_every_size_come_back_whole(backend: Backend) {
    let store = &*backend.store;
    for length in [0, 1, 5 * MIB, 5 * MIB + 1, 8 * MIB, 10 * MIB, 30 * MIB] {
        let key = format!("stream/{length}");
        let body = Bytes::from(pattern(length));
        let stored = upload(store, &key, &body, "run").await.unwrap();
        assert_eq!(stored.size, length as u64);
        assert!(whole(store, &key).await == body, "{length} bytes");
    }
}

pub(crate) async fn nothing_is_visible_before_completion_nor_after_a_drop(backend: Backend) {
    let store = &*backend.store;
    for length in [1000, 20 * MIB] {
        let mut upload = store.upload_new("half/x", &run("run")).await.unwrap();
        write(&mut *upload, &Bytes::from(pattern(length))).await.unwrap();
        assert_eq!(visible(store, "half/").await, 0);
        drop(upload);
        assert_eq!(visible(store, "half/").await, 0);
        assert_eq!(store.open("half/x").await.err().unwrap().kind(), ErrorKind::NotFound);
    }
}

pub(crate) async fn an_aborted_upload_leaves_the_key_free(backend: Backend) {
    let store = &*backend.store;
    for length in [0, 1000, 20 * MIB] {
        let key = format!("aborted/{length}");
        let mut aborted = store.upload_new(&key, &run("run")).await.unwrap();
        write(&mut *aborted, &Bytes::from(pattern(length))).await.unwrap();
        aborted.abort().await.unwrap();
        assert_eq!(visible(store, &key).await, 0);
        assert_eq!(store.sweep_uploads(&key, Timestamp::now() + 1.hour()).await.unwrap(), 0, "abort frees all");
        upload(store, &key, &Bytes::from_static(b"now"), "another").await.unwrap();
        assert_eq!(whole(store, &key).await, b"now");
    }
}

pub(crate) async fn a_key_taken_meanwhile_is_not_replaced(backend: Backend) {
    let store = &*backend.store;
    for length in [1000, 20 * MIB] {
        let key = format!("taken/{length}");
        let mut late = store.upload_new(&key, &run("late")).await.unwrap();
        write(&mut *late, &Bytes::from(pattern(length))).await.unwrap();
        store.put_new(&key, Bytes::from_static(b"early"), &run("early")).await.unwrap();
        let error = late.complete().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert_eq!(whole(store, &key).await, b"early");
        assert_eq!(
            store.sweep_uploads(&key, Timestamp::now() + 1.hour()).await.unwrap(),
            0,
            "the loser leaves nothing"
        );
    }
}

pub(crate) async fn of_four_uploads_to_one_key_exactly_one_wins(backend: Backend) {
    let backend = Arc::new(backend);
    for length in [1000, 9 * MIB] {
        let key = format!("race/{length}");
        let tasks: Vec<_> = (0..4_u8)
            .map(|writer| {
                let (backend, key) = (Arc::clone(&backend), key.clone());
                tokio::spawn(async move {
                    let by = run(&format!("writer-{writer}"));
                    let mut upload = backend.store.upload_new(&key, &by).await.unwrap();
                    write(&mut *upload, &Bytes::from(vec![writer; length])).await.unwrap();
                    let _turn = backend.completion.acquire().await.unwrap();
                    match upload.complete().await {
                        Ok(_) => Some(writer),
                        Err(e) if e.kind() == ErrorKind::AlreadyExists => None,
                        Err(e) => panic!("{e}"),
                    }
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            winners.extend(task.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert!(whole(&*backend.store, &key).await == vec![winners[0]; length]);
    }
}

pub(crate) async fn a_sweep_ends_only_uploads_begun_before(backend: Backend) {
    let store = &*backend.store;
    let body = Bytes::from(pattern(20 * MIB));
    let mut doomed = store.upload_new("swept/one", &run("run")).await.unwrap();
    write(&mut *doomed, &body).await.unwrap();
    let mut spared = store.upload_new("spared/one", &run("run")).await.unwrap();
    write(&mut *spared, &body).await.unwrap();

    assert_eq!(store.pending_uploads("swept/one", Timestamp::now() - 1.hour()).await.unwrap(), 0);
    assert_eq!(store.pending_uploads("swept/one", Timestamp::now() + 1.hour()).await.unwrap(), 1);
    assert_eq!(store.sweep_uploads("swept/one", Timestamp::now() - 1.hour()).await.unwrap(), 0);
    // The whole key, because MinIO lists unfinished uploads by nothing less.
    assert_eq!(store.sweep_uploads("swept/one", Timestamp::now() + 1.hour()).await.unwrap(), 1);

    assert_eq!(store.pending_uploads("swept/one", Timestamp::now() + 1.hour()).await.unwrap(), 0);

    let error = doomed.complete().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert_eq!(visible(store, "swept/").await, 0);
    spared.complete().await.unwrap();
    assert!(whole(store, "spared/one").await == body);
}
