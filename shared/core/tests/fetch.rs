//! Fetch: what a failure leaves in the folder, and what it says of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind,
    fetch::{self, FetchOutcome},
    ports::{Removal, Store},
    reading::BackupReader,
};
use lifeboat_testkit::{Action, BackupBuilder, Fault, MemoryStore, Operation, context};

/// Fetches a small backup, its files as they are stored, into this folder.
async fn fetched(folder: &MemoryStore) -> Result<FetchOutcome, Error> {
    let (store, identities) = (MemoryStore::new(Removal::Delete), Arc::default());
    let backup = BackupBuilder::new("orders", "2026-11-20T02:00:00Z")
        .change(|manifest| "1.15".clone_into(&mut manifest.source.archive_version));
    let manifest = backup.store(&store).await.unwrap();
    let folder: Arc<dyn Store> = Arc::new(folder.clone());
    fetch::run(BackupReader::new(&store, &manifest, &identities), &folder, false, &context().build()).await
}

#[tokio::test]
async fn a_file_that_landed_though_its_write_failed_is_removed_too() {
    let whole = MemoryStore::new(Removal::Delete);
    assert_eq!(fetched(&whole).await.unwrap().files, 4);
    assert_eq!(whole.keys().len(), 4);
    for (operation, after) in [(Operation::UploadComplete, 0), (Operation::PutNew, 0), (Operation::PutNew, 2)] {
        let folder = MemoryStore::new(Removal::Delete);
        folder.fault(Fault::on([operation], Action::FailAfterWrite(ErrorKind::Store)).after(after));
        let error = fetched(&folder).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert!(error.to_string().starts_with("scripted fault"), "{error}");
        assert_eq!(folder.keys(), [""; 0], "{operation:?} after {after}");
    }
}

#[tokio::test]
async fn a_folder_that_was_never_made_is_no_archive() {
    let folder = MemoryStore::new(Removal::Delete);
    folder.fault(Fault::on([Operation::UploadComplete], Action::Reject(ErrorKind::Store)));
    folder.fault(Fault::on([Operation::Delete], Action::Reject(ErrorKind::NotFound)));
    let error = fetched(&folder).await.unwrap_err();
    assert!(error.to_string().starts_with("scripted fault: UploadComplete"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_removed_is_an_incomplete_archive_and_the_error_stays_of_its_kind() {
    let folder = MemoryStore::new(Removal::Delete);
    folder.fault(Fault::on([Operation::PutNew], Action::Reject(ErrorKind::Deadline)).key("toc.dat"));
    folder.fault(Fault::on([Operation::Delete], Action::Reject(ErrorKind::Store)).key("globals.sql"));
    let error = fetched(&folder).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
    let told = error.to_string();
    assert!(told.contains("is incomplete, do not use it (it could not be removed: scripted fault: Delete"), "{told}");
    // All that could be removed is.
    assert_eq!(folder.keys(), ["globals.sql"]);
}

#[tokio::test]
async fn a_file_that_another_has_put_there_meanwhile_stays() {
    for name in ["100.dat.zst", "toc.dat"] {
        let folder = MemoryStore::new(Removal::Delete);
        folder.tamper(name, "another's");
        let error = fetched(&folder).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert_eq!(folder.keys(), [name]);
    }
}
