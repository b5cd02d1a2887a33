//! What is promised of compare-and-swap, on which leases and incidents stand.

use bytes::Bytes;
use lifeboat_core::ports::{Store, Stored, Swap};

use crate::backends::{Backend, run, whole};

fn done(swap: Swap) -> Stored {
    match swap {
        Swap::Done(stored) => stored,
        Swap::Lost => panic!("the swap was lost"),
    }
}

async fn swap(store: &dyn Store, expected: Option<&str>, body: &str) -> Swap {
    store.swap("leases/orders", expected, Bytes::from(body.to_owned())).await.unwrap()
}

pub(crate) async fn a_swap_needs_the_etag_that_is_there(backend: Backend) {
    let store = &*backend.store;
    let first = done(swap(store, None, "first").await);
    assert_eq!(swap(store, None, "again").await, Swap::Lost);
    let etag = store.read("leases/orders", 100).await.unwrap().1.etag;
    assert_eq!(etag, first.etag);

    let second = done(swap(store, etag.as_deref(), "second").await);
    assert_ne!(second.etag, first.etag);
    assert_eq!(swap(store, etag.as_deref(), "third").await, Swap::Lost, "by an etag that is gone");
    assert_eq!(whole(store, "leases/orders").await, b"second");

    store.delete("leases/orders").await.unwrap();
    assert_eq!(swap(store, second.etag.as_deref(), "fourth").await, Swap::Lost, "of an object that is gone");
    let new = store.put_new("leases/orders", Bytes::from_static(b"put"), &run("run")).await.unwrap();
    done(swap(store, new.etag.as_deref(), "fifth").await);
    assert_eq!(whole(store, "leases/orders").await, b"fifth");
}

pub(crate) async fn of_eight_swaps_from_one_state_exactly_one_is_done(backend: Backend) {
    for existing in [false, true] {
        let key = format!("race/{existing}");
        let etag = if existing {
            backend.store.put_new(&key, Bytes::from_static(b"start"), &run("run")).await.unwrap().etag
        } else {
            None
        };
        let tasks: Vec<_> = (0..8)
            .map(|writer| {
                let (store, key, etag) = (backend.store.clone(), key.clone(), etag.clone());
                tokio::spawn(async move {
                    let body = format!("writer {writer}");
                    match store.swap(&key, etag.as_deref(), Bytes::from(body.clone())).await.unwrap() {
                        Swap::Done(_) => Some(body),
                        Swap::Lost => None,
                    }
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            winners.extend(task.await.unwrap());
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(whole(&*backend.store, &key).await, winners[0].as_bytes());
    }
}

pub(crate) async fn no_increment_is_lost_among_racing_swaps(backend: Backend) {
    backend.store.put_new("counter", Bytes::from_static(b"0"), &run("run")).await.unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let store = backend.store.clone();
            tokio::spawn(async move {
                for _ in 0..5 {
                    loop {
                        let (body, stored) = store.read("counter", 100).await.unwrap();
                        let count: u32 = std::str::from_utf8(&body).unwrap().parse().unwrap();
                        let next = Bytes::from((count + 1).to_string());
                        if let Swap::Done(_) = store.swap("counter", stored.etag.as_deref(), next).await.unwrap() {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(whole(&*backend.store, "counter").await, b"20");
}
