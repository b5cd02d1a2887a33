//! Reads the store: databases, backups, one backup, and what unfinished dumps left behind.

use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    Error, ErrorKind, Result,
    attestation::Attestation,
    catalog::{
        ATTESTATION_LIMIT, Backup, BackupReference, BackupState, MANIFEST_LIMIT, Which, state_of, state_of_damaged,
    },
    ids::{BackupId, DatabaseSlug},
    manifest::{MANIFEST_NAME, Manifest, backup_folder},
    ports::Store,
    report::words::counted,
};

/// Backups that are read at the same time: manifests may be large, memory is not.
const AT_ONCE: usize = 8;

/// How much earlier than the time it was scheduled for a backup may seem to have begun.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);

/// A folder of a backup without a manifest: a dump that runs, or one that died. It is no backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// The database.
    pub database: DatabaseSlug,
    /// The backup that never came to be, or whose manifest is gone.
    pub backup_id: BackupId,
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last of them was written, by the store's clock.
    pub last_written: Timestamp,
}

/// The databases that have a folder in the store, sorted.
pub async fn databases(store: &dyn Store) -> Result<Vec<DatabaseSlug>> {
    // What is no slug (`.control`, `drills`) is not a database's folder.
    Ok(store.folders("").await?.iter().filter_map(|name| name.parse().ok()).collect())
}

/// Every backup, newest first; damaged ones too. An error of the store is an error: what cannot be read is not absent.
pub async fn list(store: &dyn Store, database: Option<&DatabaseSlug>) -> Result<Vec<BackupState>> {
    let mut states = Vec::new();
    for database in among(store, database).await? {
        let ids = folders(store, &database).await?;
        for ids in ids.chunks(AT_ONCE) {
            let read = try_join_all(ids.iter().map(|id| state(store, &database, id))).await?;
            states.extend(read.into_iter().flatten());
        }
    }
    states.sort_by(|a, b| (b.at(), &b.backup_id, &b.database).cmp(&(a.at(), &a.backup_id, &a.database)));
    Ok(states)
}

/// Opens one backup. `NotFound` where there is none, `Corrupt` where its manifest is damaged.
pub async fn open(store: &dyn Store, database: &DatabaseSlug, id: &BackupId) -> Result<Backup> {
    let folder = backup_folder(database, id);
    let Some(manifest) = manifest(store, database, id).await? else {
        let message = if store.list(&folder).await?.is_empty() {
            format!("there is no backup {database}/{id} in {}", store.url())
        } else {
            format!("{database}/{id} has no manifest: the dump never ended, or the backup has expired")
        };
        return Err(Error::new(ErrorKind::NotFound, message));
    };
    let manifest = manifest.map_err(|e| e.context(format!("open {database}/{id}")))?;
    let mut state = state_of(&manifest, Vec::new());
    match attestations(store, &manifest).await? {
        Ok(attestations) => state = state_of(&manifest, attestations),
        Err(problem) => state.problem = Some(problem.to_string()),
    }
    Ok(Backup { manifest, state })
}

/// Finds the backup that a person named.
///
/// `latest` is the newest good backup; where none is good, the newest that is readable and neither corrupt nor
/// expiring, and its state says its rung. Without a database, in the reference or by default, the store must hold
/// backups of one only. A bare id is looked for in the default database first, then in all.
pub async fn find(
    store: &dyn Store,
    reference: &BackupReference,
    default_database: Option<&DatabaseSlug>,
) -> Result<Backup> {
    let database = reference.database.as_ref();
    match &reference.which {
        Which::Latest => latest(store, database.or(default_database)).await,
        Which::Id(id) => {
            if let Some(database) = database {
                return open(store, database, id).await;
            }
            let mut holders = holders(store, id).await?;
            if let Some(default) = default_database.filter(|d| holders.contains(*d)) {
                holders = vec![default.clone()];
            }
            match holders.as_slice() {
                [] => match default_database {
                    Some(database) => open(store, database, id).await,
                    None => Err(Error::new(
                        ErrorKind::NotFound,
                        format!("there is no backup {id} of any database in {}", store.url()),
                    )),
                },
                [database] => open(store, database, id).await,
                several => Err(ambiguous(&format!("the id {id}"), several, &format!("{}/{id}", several[0]))),
            }
        }
    }
}

async fn latest(store: &dyn Store, database: Option<&DatabaseSlug>) -> Result<Backup> {
    let mut states = list(store, database).await?;
    if database.is_none() {
        // What a target held before a restore is nobody's newest backup, unless it is asked for by name.
        states.retain(|s| !s.database.is_safety());
    }
    let mut holders: Vec<DatabaseSlug> = states.iter().map(|s| s.database.clone()).collect();
    holders.sort();
    holders.dedup();
    if holders.len() > 1 {
        return Err(ambiguous("`latest`", &holders, &format!("{}/latest", holders[0])));
    }
    let of = database.map_or_else(String::new, |d| format!(" of {d}"));
    if states.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no backup{of} in {}", store.url())));
    }
    let chosen = states.iter().find(|s| s.good).or_else(|| states.iter().find(|s| s.usable())).ok_or_else(|| {
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "of {}{of} in {} none can be relied on: the newest is {}",
                counted(states.len() as u64, "backup"),
                store.url(),
                states[0].standing()
            ),
        )
        .with_hint("`lifeboat list` shows them all; one can still be named by its id")
    })?;
    open(store, &chosen.database, &chosen.backup_id).await
}

/// The manifest of the backup that was made for a scheduled time, if there is one. A damaged manifest is none.
pub async fn scheduled_for(store: &dyn Store, database: &DatabaseSlug, at: Timestamp) -> Result<Option<Manifest>> {
    let since = at.checked_sub(CLOCKS_DIFFER).unwrap_or(at);
    for id in folders(store, database).await?.into_iter().rev().take_while(|id| id.started_at() >= since) {
        let found = manifest(store, database, &id).await?.and_then(Result::ok);
        if let Some(found) = found.filter(|manifest| manifest.scheduled_at == Some(at)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Folders without a manifest, oldest first.
pub async fn unfinished(store: &dyn Store, database: Option<&DatabaseSlug>) -> Result<Vec<Leftover>> {
    let mut found = Vec::new();
    for database in among(store, database).await? {
        for backup_id in folders(store, &database).await? {
            let folder = backup_folder(&database, &backup_id);
            let objects = store.list(&folder).await?;
            let manifest = format!("{folder}{MANIFEST_NAME}");
            let Some(last_written) = objects.iter().map(|o| o.modified).max() else { continue };
            if objects.iter().all(|o| o.key != manifest) {
                found.push(Leftover {
                    database: database.clone(),
                    backup_id,
                    objects: objects.len() as u64,
                    bytes: objects.iter().map(|o| o.size).sum(),
                    last_written,
                });
            }
        }
    }
    Ok(found)
}

async fn among(store: &dyn Store, database: Option<&DatabaseSlug>) -> Result<Vec<DatabaseSlug>> {
    match database {
        Some(database) => Ok(vec![database.clone()]),
        None => databases(store).await,
    }
}

async fn folders(store: &dyn Store, database: &DatabaseSlug) -> Result<Vec<BackupId>> {
    Ok(store.folders(&format!("{database}/")).await?.iter().filter_map(|name| name.parse().ok()).collect())
}

async fn holders(store: &dyn Store, id: &BackupId) -> Result<Vec<DatabaseSlug>> {
    let mut holders = Vec::new();
    for database in databases(store).await? {
        let key = format!("{}{MANIFEST_NAME}", backup_folder(&database, id));
        if store.list(&key).await?.iter().any(|o| o.key == key) {
            holders.push(database);
        }
    }
    Ok(holders)
}

fn ambiguous(what: &str, databases: &[DatabaseSlug], example: &str) -> Error {
    let names: Vec<&str> = databases.iter().map(DatabaseSlug::as_str).collect();
    Error::new(ErrorKind::Usage, format!("{what} could be of several databases: {}", names.join(", ")))
        .with_hint(format!("say which, such as `{example}`"))
}

/// `None`: no backup. An inner error: a backup whose manifest cannot be read.
async fn manifest(store: &dyn Store, database: &DatabaseSlug, id: &BackupId) -> Result<Option<Result<Manifest>>> {
    let key = format!("{}{MANIFEST_NAME}", backup_folder(database, id));
    let bytes = match store.read(&key, MANIFEST_LIMIT).await {
        Ok((bytes, _)) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == ErrorKind::Corrupt => return Ok(Some(Err(e))),
        Err(e) => return Err(e.context(format!("read the manifest of {database}/{id}"))),
    };
    Ok(Some(Manifest::open(&bytes).and_then(|manifest| {
        if manifest.database == *database && manifest.backup_id == *id {
            Ok(manifest)
        } else {
            let claims = format!("{}/{}", manifest.database, manifest.backup_id);
            Err(Error::new(ErrorKind::Corrupt, format!("manifest.json is that of {claims}, not of {database}/{id}")))
        }
    })))
}

/// An inner error: one of them cannot be read, or is not what its key says, and might have said "corrupt".
async fn attestations(store: &dyn Store, manifest: &Manifest) -> Result<Result<Vec<Attestation>>> {
    let folder = manifest.folder();
    let mut found = Vec::new();
    for listed in store.list(&format!("{folder}attestations/")).await? {
        if listed.key.strip_suffix(".json").is_none() {
            continue;
        }
        let bytes = match store.read(&listed.key, ATTESTATION_LIMIT).await {
            Ok((bytes, _)) => bytes,
            // Removed since it was listed: the backup is expiring under our eyes.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) if e.kind() == ErrorKind::Corrupt => return Ok(Err(e)),
            Err(e) => return Err(e.context(format!("read {}", listed.key))),
        };
        match Attestation::from_json(&bytes) {
            Ok(attestation)
                if attestation.is_of(manifest) && listed.key == format!("{folder}{}", attestation.key()) =>
            {
                found.push(attestation);
            }
            Ok(_) => {
                let what = format!("{}: speaks of another backup, time or run than its key says", listed.key);
                return Ok(Err(Error::new(ErrorKind::Corrupt, what)));
            }
            Err(e) => return Ok(Err(e.context(&listed.key))),
        }
    }
    Ok(Ok(found))
}

async fn state(store: &dyn Store, database: &DatabaseSlug, id: &BackupId) -> Result<Option<BackupState>> {
    let Some(manifest) = manifest(store, database, id).await? else { return Ok(None) };
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(e) => return Ok(Some(state_of_damaged(database.clone(), id.clone(), e.to_string()))),
    };
    Ok(Some(match attestations(store, &manifest).await? {
        Ok(attestations) => state_of(&manifest, attestations),
        Err(e) => {
            let mut state = state_of(&manifest, Vec::new());
            state.problem = Some(e.to_string());
            state
        }
    }))
}
