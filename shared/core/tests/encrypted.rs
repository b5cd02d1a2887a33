//! Reading encrypted backups: which keys open them, and which error tells what.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::sync::Arc;

use bytes::Bytes;
use lifeboat_archive::encryption::{Identities, Recipients, Sealer};
use lifeboat_core::{
    Error, ErrorKind,
    attestation::Statement,
    catalog,
    drill::Damaged,
    keys,
    manifest::{Manifest, sha256_hex},
    ports::{Removal, Store},
    reading::BackupReader,
    verify,
};
use lifeboat_testkit::{BackupBuilder, Gpg, MemoryStore, context};

struct Key {
    identities: Arc<Identities>,
    recipients: Recipients,
}

fn key() -> Key {
    let (identities, public, _) = Identities::generate();
    Key { identities: Arc::new(identities), recipients: Recipients::parse([public.as_str()]).unwrap() }
}

fn openpgp_key(name: &str) -> Key {
    let gpg = Gpg::new().unwrap();
    let id = gpg.usual_key(&format!("{name} <{name}@example.com>")).unwrap();
    let identities = Arc::new(Identities::parse(&gpg.secret(&id).unwrap()).unwrap());
    Key { identities, recipients: Recipients::parse([gpg.public(&id).unwrap().as_str()]).unwrap() }
}

/// A right key and a wrong one of each kind.
fn pairs() -> [(Key, Key); 2] {
    [(key(), key()), (openpgp_key("right"), openpgp_key("wrong"))]
}

async fn stored(store: &MemoryStore, at: &str, key: &Key) -> Manifest {
    BackupBuilder::new("orders", at).encrypted_to(&key.recipients).unwrap().store(store).await.unwrap()
}

async fn roles(store: &dyn Store, manifest: &Manifest, identities: &Arc<Identities>) -> Result<Vec<u8>, Error> {
    BackupReader::new(store, manifest, identities).whole(&manifest.globals).await
}

#[tokio::test]
async fn the_right_key_opens_it_and_any_other_is_an_error_of_keys_that_names_the_right_one() {
    for (right, wrong) in pairs() {
        the_right_key_alone_opens_it(&right, &wrong).await;
    }
}

async fn the_right_key_alone_opens_it(right: &Key, wrong: &Key) {
    let store = MemoryStore::new(Removal::Delete);
    let manifest = stored(&store, "2026-11-20T02:00:00Z", right).await;
    assert_eq!(roles(&store, &manifest, &right.identities).await.unwrap(), b"CREATE ROLE app;\n");
    for identities in [&wrong.identities, &Arc::default()] {
        let error = roles(&store, &manifest, identities).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Keys, "{error}");
        assert!(error.hint().contains(&right.recipients.ids()[0]), "{}", error.hint());
    }
    // What is not encrypted wants no key.
    let kit = BackupReader::new(&store, &manifest, &Arc::default()).whole(&manifest.kit).await.unwrap();
    assert_eq!(kit, b"# Restore\n");
}

#[tokio::test]
async fn what_is_damaged_is_corrupt_whatever_the_key() {
    for (right, wrong) in pairs() {
        damaged_is_corrupt(&right, &wrong).await;
    }
}

async fn damaged_is_corrupt(right: &Key, wrong: &Key) {
    let store = MemoryStore::new(Removal::Delete);
    let manifest = stored(&store, "2026-11-20T02:00:00Z", right).await;
    let object = format!("{}{}", manifest.folder(), manifest.globals.key);
    for at in 0..manifest.globals.size {
        let damaged = Damaged::new(Arc::new(store.clone()), object.clone(), at, 0);
        for identities in [&right.identities, &wrong.identities] {
            let error = roles(&damaged, &manifest, identities).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
            assert!(error.to_string().contains(&manifest.globals.key), "{error}");
        }
    }
}

#[tokio::test]
async fn ciphertext_that_was_stored_cut_is_corrupt_though_its_hash_is_right() {
    for (right, _) in pairs() {
        cut_is_corrupt(&right).await;
    }
}

async fn cut_is_corrupt(right: &Key) {
    let store = MemoryStore::new(Removal::Delete);
    let mut manifest = stored(&store, "2026-11-20T02:00:00Z", right).await;
    let whole = Sealer::seal(&right.recipients, &vec![7; 300_000]).unwrap();
    for length in [whole.len() - 1, whole.len() - 70_000, 200, 10, 0] {
        let cut = Bytes::copy_from_slice(&whole[..length]);
        manifest.globals.key = format!("cut-{length}{}", right.recipients.kind().suffix());
        (manifest.globals.size, manifest.globals.sha256) = (cut.len() as u64, sha256_hex(&cut));
        let object = format!("{}{}", manifest.folder(), manifest.globals.key);
        store.put_new(&object, cut, &manifest.run_id).await.unwrap();
        let error = roles(&store, &manifest, &right.identities).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes: {error}");
    }
}

#[tokio::test]
async fn a_verify_without_a_key_hashes_what_is_stored_and_attests_that_it_did_not_decode() {
    let (right, wrong, store) = (key(), key(), MemoryStore::new(Removal::Delete));
    let manifest = stored(&store, "2026-11-20T02:00:00Z", &right).await;
    let backup = catalog::open(&store, &manifest.database, &manifest.backup_id).await.unwrap();
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let run = context().build();
    // A key that does not fit proves nothing of the backup, neither good nor bad.
    let error = verify::run(&shared, &backup, &wrong.identities, 2, &run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Keys, "{error}");
    let before = catalog::open(&store, &manifest.database, &manifest.backup_id).await.unwrap();
    assert!(before.state.attestations.is_empty());

    let outcome = verify::run(&shared, &backup, &Arc::default(), 2, &run).await.unwrap();
    assert_eq!((outcome.decoded, outcome.rows, outcome.damage.len()), (false, 0, 0));
    let state = catalog::open(&store, &manifest.database, &manifest.backup_id).await.unwrap().state;
    assert!(state.good);
    assert!(matches!(state.attestations[0].statement, Statement::Verified { decoded: false, .. }));
}

#[tokio::test]
async fn keys_are_tried_once_for_each_set_of_recipients() {
    let (old, new, store) = (key(), key(), MemoryStore::new(Removal::Delete));
    for day in ["18", "19"] {
        stored(&store, &format!("2026-11-{day}T02:00:00Z"), &old).await;
    }
    let newest = stored(&store, "2026-11-20T02:00:00Z", &new).await;
    BackupBuilder::new("orders", "2026-11-17T02:00:00Z").store(&store).await.unwrap();
    let states = catalog::list(&store, Some(&newest.database)).await.unwrap();
    let checks = keys::check(&store, &states, &new.identities, &context().build()).await.unwrap();
    let told: Vec<(u64, bool)> = checks.iter().map(|check| (check.backups, check.opened)).collect();
    assert_eq!(told, [(1, true), (2, false)]);
    let error = keys::judge(&checks).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Keys);
    assert!(error.hint().contains(&old.recipients.ids()[0]), "{}", error.hint());
    assert!(keys::judge(&checks[..1]).is_ok());

    // Damage is told before a key that is missing, and hides neither that nor what would open the others.
    assert!(store.flip(&format!("{}{}", newest.folder(), newest.globals.key), 200));
    let checks = keys::check(&store, &states, &new.identities, &context().build()).await.unwrap();
    assert_eq!(
        checks.iter().map(|check| (check.opened, check.corrupt)).collect::<Vec<_>>(),
        [(false, true), (false, false)]
    );
    let error = keys::judge(&checks).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(newest.backup_id.as_str()), "{error}");
    assert!(
        error.hint().contains("lifeboat verify") && error.hint().contains(&old.recipients.ids()[0]),
        "{}",
        error.hint()
    );
}
