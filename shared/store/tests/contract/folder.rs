//! What is promised of the store in a folder alone: links, leftovers, folders that are not there.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};

use bytes::Bytes;
use jiff::{Timestamp, ToSpan};
use lifeboat_core::{ErrorKind, ports::Store};
use lifeboat_store::FileStore;

use crate::backends::{run, whole};

fn store(root: &Path) -> Arc<dyn Store> {
    Arc::new(FileStore::new(&format!("file://{}", root.display()), root.to_owned()))
}

fn body() -> Bytes {
    Bytes::from_static(b"x")
}

#[tokio::test]
async fn a_symbolic_link_is_neither_followed_nor_listed() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "s").unwrap();
    symlink(outside.path(), inside.path().join("folder")).unwrap();
    symlink(outside.path().join("secret"), inside.path().join("file")).unwrap();
    let store = store(inside.path());
    for key in ["folder/secret", "folder/new", "file"] {
        let errors = [
            store.open(key).await.err(),
            store.put_new(key, body(), &run("run")).await.err(),
            store.upload_new(key, &run("run")).await.err(),
            store.swap(key, None, body()).await.err(),
            store.delete(key).await.err(),
        ];
        for error in errors {
            let error = error.unwrap_or_else(|| panic!("{key} was followed"));
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
    }
    assert!(store.list("").await.unwrap().is_empty());
    assert!(store.folders("").await.unwrap().is_empty());
    assert!(store.list("folder/").await.is_err(), "nor looked into");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "nothing was written there");
}

#[tokio::test]
async fn the_root_itself_may_be_a_link() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    symlink("disk", folder.path().join("link")).unwrap();
    let store = store(&folder.path().join("link"));
    store.put_new("a/b", body(), &run("run")).await.unwrap();
    assert_eq!(whole(&*store, "a/b").await, b"x");
}

#[tokio::test]
async fn the_last_folder_is_made_by_a_write_but_not_by_a_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    assert_eq!(store(&root).list("").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!root.exists());
    store(&root).put_new("k", body(), &run("run")).await.unwrap();
    assert_eq!(store(&root).list("").await.unwrap().len(), 1);

    let far = folder.path().join("not/there");
    let error = store(&far).probe(&run("run")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint().contains("mkdir -p"), "{}", error.hint());
}

#[tokio::test]
async fn leftovers_of_a_dead_writer_are_unseen_and_swept_by_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join(".control/tmp");
    fs::create_dir_all(&scratch).unwrap();
    fs::write(scratch.join("0123456789abcdef~orders%2F1%2Farchive%2F1.dat"), "half").unwrap();
    fs::write(scratch.join("0123456789abcde0~users%2F1%2Farchive%2F1.dat"), "half").unwrap();
    let store = store(folder.path());
    assert!(store.list("").await.unwrap().is_empty());
    assert!(store.folders("").await.unwrap().is_empty());
    let soon = Timestamp::now() + 1.hour();
    assert_eq!(store.sweep_uploads("orders/1/", Timestamp::now() - 1.hour()).await.unwrap(), 0);
    assert_eq!(store.sweep_uploads("orders/1/", soon).await.unwrap(), 1);
    assert_eq!(store.sweep_uploads("", soon).await.unwrap(), 1);
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
}

#[tokio::test]
async fn nothing_but_the_lock_remains_aside_when_all_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.put_new("a/k", body(), &run("run")).await.unwrap();
    store.put_new("a/k", body(), &run("run")).await.unwrap_err();
    store.swap("a/s", None, body()).await.unwrap();
    let mut upload = store.upload_new("a/u", &run("run")).await.unwrap();
    upload.write(body()).await.unwrap();
    upload.complete().await.unwrap();
    store.delete("a/k").await.unwrap();
    let aside: Vec<_> =
        fs::read_dir(folder.path().join(".control/tmp")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(aside, ["lock"]);
}

#[tokio::test]
async fn a_file_where_a_folder_belongs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let store = store(folder.path());
    let error = store.put_new("file/k", body(), &run("run")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("file"), "{error}");
    assert!(error.hint().contains("did not write"), "{}", error.hint());
}

#[tokio::test]
async fn an_object_cut_while_being_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.put_new("k", Bytes::from(vec![1; 3 << 20]), &run("run")).await.unwrap();
    let mut reader = store.open("k").await.unwrap();
    assert!(reader.next_block().await.unwrap().is_some());
    fs::File::options().write(true).open(folder.path().join("k")).unwrap().set_len(1_500_000).unwrap();
    let error = reader.next_block().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("1500000 of 3145728"), "{error}");
}
