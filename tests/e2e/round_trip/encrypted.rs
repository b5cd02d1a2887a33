//! Encrypted backups there and back: by the program with the key, by fetch, and by the stock programs `age` and `gpg` as
//! RESTORE.md says.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::Value;

use super::{
    backup::Backup,
    drilled::expect_drill_to_pass,
    every_kind::every_kind,
    lock::Kind,
    trip::{Servers, Trip},
};

/// Every object but the manifest and the kit.
fn sealed(manifest: &Value) -> Result<Vec<&str>> {
    let mut keys = vec![&manifest["toc"]["key"], &manifest["globals"]["key"]];
    keys.extend(manifest["large_object_lists"].as_array().context("lists")?.iter().map(|o| &o["key"]));
    keys.extend(manifest["large_objects"].as_array().context("large objects")?.iter().map(|o| &o["object"]["key"]));
    for table in manifest["tables"].as_array().context("tables")? {
        keys.extend(table["chunks"].as_array().context("chunks")?.iter().map(|o| &o["key"]));
    }
    keys.into_iter().map(|key| key.as_str().context("a key that is text")).collect()
}

/// Nobody who reads the store reads the data: every object of the archive, and the roles, are files of `age`.
fn expect_all_sealed(backup: &Backup) -> Result<()> {
    let manifest = backup.manifest()?;
    ensure!(manifest["format_version"] == 2, "{}", manifest["format_version"]);
    let keys = sealed(&manifest)?;
    ensure!(keys.len() > 120, "{} objects", keys.len());
    for key in keys {
        ensure!(key.strip_suffix(".age").is_some(), "{key} is not encrypted by its name");
        let bytes = backup.read_bytes(key)?;
        ensure!(bytes.starts_with(b"age-encryption.org/v1\n"), "{key} is not encrypted");
    }
    Ok(())
}

async fn encrypted_backups_survive(major: u32) -> Result<()> {
    let servers = Servers::start(major).await?;
    let trip = every_kind(&servers)?;
    encrypted_backup_survives(&servers, &trip)?;
    trip.encrypted_by_all_ways(Kind::Age, StoreUnderTest::minio()?, "gzip:1").map(drop)
}

fn encrypted_backup_survives(servers: &Servers, trip: &Trip<'_>) -> Result<()> {
    let backup = trip.encrypted_by_all_ways(Kind::Age, StoreUnderTest::folder()?, "zstd:1")?;
    expect_all_sealed(&backup)?;
    ensure!(backup.answer["verified"]["decoded"] == false, "{}", backup.answer["verified"]);
    expect_drill_to_pass(&backup, &servers.source)?;
    let name = trip.by_restore(&backup)?;
    trip.by_restore_over(&backup, &name)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_backup_survives_all_ways_on_15_the_stock_program_age_among_them() -> Result<()> {
    let servers = Servers::start(15).await?;
    encrypted_backup_survives(&servers, &every_kind(&servers)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_sealed_by_openpgp_or_a_passphrase_come_back_by_the_stock_programs_gpg_and_age_too() -> Result<()> {
    let servers = Servers::start(15).await?;
    servers.source.create_database("plain")?;
    servers.source.sql(
        "plain",
        "CREATE TABLE big AS SELECT i AS id, repeat(md5(i::text), 20) AS text FROM generate_series(1, 6000) AS i;
         CREATE TABLE empty (id int PRIMARY KEY);
         SELECT lo_from_bytea(0, 'a large object')",
    )?;
    let trip = Trip::begin(&servers, "plain", "")?;
    for (kind, store, codec) in [
        (Kind::OpenPgp, StoreUnderTest::folder()?, "zstd:1"),
        (Kind::OpenPgp, StoreUnderTest::minio()?, "none"),
        (Kind::Passphrase, StoreUnderTest::folder()?, "gzip:1"),
    ] {
        let backup = trip.encrypted_by_all_ways(kind, store, codec)?;
        ensure!(backup.manifest()?["format_version"] == 2, "{kind:?}");
        // Who knows the passphrase reads what it made; whoever has a public key alone does not.
        let decoded = &backup.answer["verified"]["decoded"];
        ensure!(*decoded == (kind == Kind::Passphrase), "{kind:?}: {decoded}");
        expect_drill_to_pass(&backup, &servers.source)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "every major version: run by `make soak`"]
async fn an_encrypted_backup_survives_all_ways_whatever_the_major_version() -> Result<()> {
    for major in [15, 16, 17, 18] {
        encrypted_backups_survive(major).await?;
    }
    Ok(())
}
