//! Events that could not be told are kept, in order, and read back.

use jiff::Timestamp;
use lifeboat_core::{
    ErrorKind,
    events::{Body, Event, FORMAT_VERSION, Failure},
    ids::{DatabaseSlug, RunId},
    ports::{Removal, Store},
    undelivered::{self, Undelivered},
};
use lifeboat_testkit::{MemoryStore, context};

fn failed(database: DatabaseSlug) -> Undelivered {
    let failure = Failure {
        kind: "database".to_owned(),
        message: "connect".to_owned(),
        hint: "look".to_owned(),
        backup_id: None,
    };
    let event = Event {
        format_version: FORMAT_VERSION,
        run_id: RunId::new(1),
        database,
        at: Timestamp::UNIX_EPOCH,
        body: Body::BackupFailed(failure),
    };
    Undelivered { reason: "the bus did not answer".to_owned(), events: vec![event] }
}

#[tokio::test]
async fn what_one_run_keeps_at_one_moment_is_kept_apart_and_in_order() {
    let (store, context) = (MemoryStore::new(Removal::Delete), context().build());
    let first = undelivered::keep(&store, &failed("orders".parse().unwrap()), &context).await.unwrap();
    let second = undelivered::keep(&store, &failed("billing".parse().unwrap()), &context).await.unwrap();
    assert_eq!(first, format!("undelivered/20261120T120000000000Z-{}.json", context.run_id));
    assert_eq!(undelivered::list(&store).await.unwrap().len(), 2);
    assert_eq!(undelivered::read(&store, &first).await.unwrap(), failed("orders".parse().unwrap()));
    assert_eq!(undelivered::read(&store, &second).await.unwrap(), failed("billing".parse().unwrap()));
    undelivered::forget(&store, &first).await.unwrap();
    assert_eq!(undelivered::list(&store).await.unwrap(), [second]);
}

#[tokio::test]
async fn what_cannot_be_understood_is_said_to_be_damaged() {
    let (store, context) = (MemoryStore::new(Removal::Delete), context().build());
    let key = "undelivered/20261120T120000000000Z-x.json";
    store.put_new(key, "{}".into(), &context.run_id).await.unwrap();
    assert_eq!(undelivered::read(&store, key).await.unwrap_err().kind(), ErrorKind::Corrupt);
}
