//! Every single byte of a small backup turned over, one at a time: nothing is ever taken for good.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use lifeboat_archive::{
    codec::Codec,
    encryption::{Identities, Recipients},
};
use lifeboat_core::{
    ErrorKind,
    catalog::{self, MANIFEST_LIMIT},
    drill::Damaged,
    dump::DumpRequest,
    manifest::{MANIFEST_NAME, Manifest},
    ports::{Removal, Store},
    reading::BackupReader,
    verify::{check_object, checks},
};
use lifeboat_testkit::MemoryStore;
use lifeboat_tests::{Cluster, library::dump_request};

use super::kinds::{Backups, cluster, run};

const SMALL: &str = "CREATE TABLE public.t (id int PRIMARY KEY, name text);
                     INSERT INTO public.t VALUES (1, 'one'), (2, 'two'), (3, NULL);
                     SELECT lo_from_bytea(0, 'a large object');";

/// Every byte of every object but the manifest, with a bit that differs from byte to byte; how many there were.
async fn flip_every_byte(store: &Arc<dyn Store>, manifest: &Manifest, identities: &Arc<Identities>) -> Result<u64> {
    let mut flipped = 0;
    for check in checks(manifest) {
        let record = check.record(manifest);
        for at in 0..record.size {
            let bit = u8::try_from(at % 8)?;
            let key = format!("{}{}", manifest.folder(), record.key);
            let damaged = Damaged::new(Arc::clone(store), key, at, bit);
            match check_object(BackupReader::new(&damaged, manifest, identities), check).await {
                Ok(_) => bail!("{}: bit {bit} of byte {at} of {} went unseen", manifest.compression, record.key),
                Err(error) => {
                    ensure!(error.kind() == ErrorKind::Corrupt, "byte {at} of {}: {error}", record.key);
                    ensure!(error.to_string().contains(&record.key), "byte {at} of {}: {error}", record.key);
                }
            }
            flipped += 1;
        }
    }
    Ok(flipped)
}

#[tokio::test]
async fn every_flipped_byte_of_a_backup_is_found_and_its_object_named() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("bytes")?;
    cluster.sql("bytes", SMALL)?;
    let mut flipped = 0;
    for (number, codec) in [Codec::Zstd { level: 1 }, Codec::Gzip { level: 6 }, Codec::None].into_iter().enumerate() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Removal::Delete));
        let request = DumpRequest { codec, ..dump_request("bytes")? };
        let manifest = cluster.dump("bytes", &store, &request, &run(10 + number as u64)).await?.manifest;
        flipped += flip_every_byte(&store, &manifest, &Arc::default()).await?;
    }
    ensure!(flipped > 10_000, "only {flipped} bytes");
    eprintln!("{flipped} bytes of objects flipped, one at a time");
    Ok(())
}

#[tokio::test]
async fn every_flipped_byte_of_an_encrypted_backup_is_found_with_the_key_and_without() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("sealed")?;
    cluster.sql("sealed", SMALL)?;
    let (identities, public, _) = Identities::generate();
    let identities = Arc::new(identities);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Removal::Delete));
    let encryption = Some(Arc::new(Recipients::parse([public.as_str()])?));
    let request = DumpRequest { encryption, ..dump_request("sealed")? };
    let manifest = cluster.dump("sealed", &store, &request, &run(16)).await?.manifest;
    ensure!(manifest.encryption.is_some() && manifest.format_version == 2);
    for keys in [&identities, &Arc::default()] {
        let flipped = flip_every_byte(&store, &manifest, keys).await?;
        ensure!(flipped > 10_000, "only {flipped} bytes");
    }
    Ok(())
}

#[tokio::test]
async fn every_flipped_byte_of_a_manifest_makes_it_unreadable() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("manifest")?;
    cluster.sql("manifest", SMALL)?;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Removal::Delete));
    let manifest = cluster.dump("manifest", &store, &dump_request("manifest")?, &run(20)).await?.manifest;
    let key = format!("{}{MANIFEST_NAME}", manifest.folder());
    let size = store.read(&key, MANIFEST_LIMIT).await?.1.size;
    for at in 0..size {
        let damaged = Damaged::new(Arc::clone(&store), key.clone(), at, u8::try_from(at % 8)?);
        let Err(error) = catalog::open(&damaged, &manifest.database, &manifest.backup_id).await else {
            bail!("byte {at} of the manifest went unseen");
        };
        ensure!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("manifest"), "byte {at}: {error}");
    }
    eprintln!("{size} bytes of the manifest flipped, one at a time");
    Ok(())
}

/// Numbers that look random and are the same in every run (splitmix64).
fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[tokio::test]
async fn the_negative_control_rejects_damage_at_any_place_of_any_object() -> Result<()> {
    let cluster = cluster("control").await?;
    let backups = Backups::make(&cluster, "control").await?;
    let manifest = &backups.manifest;
    let store: Arc<dyn Store> = Arc::new(backups.store());
    for check in checks(manifest) {
        let record = check.record(manifest);
        for number in 0..60 {
            let (at, bit) = (scrambled(number) % record.size, u8::try_from(number % 8)?);
            let key = format!("{}{}", manifest.folder(), record.key);
            let damaged = Damaged::new(Arc::clone(&store), key, at, bit);
            let error = check_object(BackupReader::new(&damaged, manifest, &Arc::default()), check).await.err();
            let rejected = error.is_some_and(|e| e.kind() == ErrorKind::Corrupt && e.to_string().contains(&record.key));
            ensure!(rejected, "bit {bit} of byte {at} of {}", record.key);
        }
    }
    Ok(())
}
