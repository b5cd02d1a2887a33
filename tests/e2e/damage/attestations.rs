//! Damage to what was said of a backup: a damaged attestation never makes a backup good, and hides no bad news.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use lifeboat_core::{
    attestation::{Rung, Statement},
    catalog::{self, BackupState},
    manifest::Manifest,
    ports::{RunContext, Store},
    verify,
};
use lifeboat_testkit::MemoryStore;

use super::kinds::{Backups, cluster, run};

async fn state(memory: &MemoryStore, manifest: &Manifest) -> Result<BackupState> {
    Ok(catalog::open(memory, &manifest.database, &manifest.backup_id).await?.state)
}

async fn attest(memory: &MemoryStore, manifest: &Manifest, statement: Statement, by: &RunContext) -> Result<String> {
    let state = state(memory, manifest).await?;
    let attestation = catalog::attest(memory, &state, statement, by).await?;
    Ok(format!("{}{}", manifest.folder(), attestation.key()))
}

#[tokio::test]
async fn a_damaged_attestation_is_never_taken_as_verified() -> Result<()> {
    let cluster = cluster("attested").await?;
    let backups = Backups::make(&cluster, "attested").await?;
    let memory = backups.store();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let manifest = &backups.manifest;
    let backup = catalog::open(&memory, &manifest.database, &manifest.backup_id).await?;
    verify::run(&store, &backup, &Arc::default(), 2, &run(5)).await?.into_result()?;
    ensure!(state(&memory, manifest).await?.good, "a verified backup is good");
    let key = memory.keys().into_iter().find(|k| k.ends_with("-verified.json")).context("the attestation")?;
    let whole = memory.body(&key).context("the attestation")?;
    for length in 0..whole.len() {
        memory.truncate(&key, length);
        let state = state(&memory, manifest).await?;
        ensure!(!state.good && state.rung == Rung::Uploaded, "cut to {length} bytes");
        memory.tamper(&key, whole.clone());
    }
    let mut same = Vec::new();
    for at in 0..whole.len() {
        memory.flip(&key, at);
        let state = state(&memory, manifest).await?;
        if state.good {
            // Only the figures of what was read may differ: who says what of which backup, and when, is all checked.
            same.push(at);
        }
        memory.tamper(&key, whole.clone());
    }
    let document: serde_json::Value = serde_json::from_slice(&whole)?;
    let digits = |name: &str| document[name].to_string().len();
    // How long it took may be missing: so may its name.
    let figures = digits("objects") + digits("bytes") + digits("seconds") + "\"seconds\": ".len();
    ensure!(same.len() <= figures, "taken as verified with other bytes at {same:?}");
    Ok(())
}

#[tokio::test]
async fn no_flipped_byte_hides_that_a_backup_is_corrupt() -> Result<()> {
    let cluster = cluster("bad-news").await?;
    let backups = Backups::make(&cluster, "bad-news").await?;
    let (memory, manifest) = (backups.store(), &backups.manifest);
    let (objects, bytes) = (manifest.totals.objects, manifest.totals.stored_bytes);
    attest(&memory, manifest, Statement::Verified { objects, bytes, seconds: None, decoded: true }, &run(6)).await?;
    let corrupt = Statement::Corrupt { objects: vec![manifest.toc.key.clone()] };
    let key = attest(&memory, manifest, corrupt, &run(7)).await?;
    let whole = memory.body(&key).context("the attestation")?;
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << bit;
            memory.tamper(&key, bytes);
            ensure!(!state(&memory, manifest).await?.good, "bit {bit} of byte {at} hides the damage");
        }
    }
    Ok(())
}
