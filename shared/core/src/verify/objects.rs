//! What there is to check of a backup, one object at a time, and how each is checked.

use lifeboat_archive::{checksum::TableChecksum, large_objects, toc};

use crate::{
    Error, ErrorKind, Result,
    manifest::{Manifest, ObjectRecord},
    reading::{self, BackupReader},
};

/// One object and what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check<'a> {
    /// `archive/toc.dat`: parses, and lists exactly the tables and large objects that the manifest lists.
    Toc(&'a ObjectRecord),
    /// Globals, recovery kit, or the key that a passphrase keeps: bytes only.
    Plain(&'a ObjectRecord),
    /// A list of large objects: parses, and every one is in the manifest.
    LargeObjectList(&'a ObjectRecord),
    /// Chunk `chunk` of table `table`: decodes to whole rows.
    Chunk {
        /// Index into the manifest's tables.
        table: usize,
        /// Index into the table's chunks.
        chunk: usize,
    },
    /// A large object: decodes to the content that the manifest describes. Index into the manifest's large objects.
    LargeObject(usize),
}

impl<'a> Check<'a> {
    /// The object's record.
    pub fn record(self, manifest: &'a Manifest) -> &'a ObjectRecord {
        match self {
            Self::Toc(record) | Self::Plain(record) | Self::LargeObjectList(record) => record,
            Self::Chunk { table, chunk } => &manifest.tables[table].chunks[chunk],
            Self::LargeObject(index) => &manifest.large_objects[index].object,
        }
    }
}

/// Every object of a backup with its check.
pub fn checks(manifest: &Manifest) -> Vec<Check<'_>> {
    let mut all = vec![Check::Toc(&manifest.toc), Check::Plain(&manifest.globals), Check::Plain(&manifest.kit)];
    all.extend(manifest.encryption.iter().filter_map(|encryption| encryption.key.as_ref()).map(Check::Plain));
    all.extend(manifest.large_object_lists.iter().map(Check::LargeObjectList));
    for (table, record) in manifest.tables.iter().enumerate() {
        all.extend((0..record.chunks.len()).map(|chunk| Check::Chunk { table, chunk }));
    }
    all.extend((0..manifest.large_objects.len()).map(Check::LargeObject));
    all
}

fn corrupt(record: &ObjectRecord, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{}: {what}", record.key))
}

/// Checks one object; a chunk gives its rows and checksum. Where it is encrypted and there is no key, it is hashed as it is
/// stored, and nothing more is known of it.
pub async fn check_object(backup: BackupReader<'_>, check: Check<'_>) -> Result<Option<TableChecksum>> {
    let manifest = backup.manifest();
    if !backup.can_be_opened() {
        return reading::drain(backup.stored(check.record(manifest)).await?).await.map(|_| None);
    }
    match check {
        Check::Plain(record) => reading::drain(backup.open(record, false).await?).await.map(|_| None),
        Check::Toc(record) => {
            check_toc(manifest, &backup.toc().await?).map_err(|what| corrupt(record, what))?;
            Ok(None)
        }
        Check::LargeObjectList(record) => {
            let bytes = backup.whole(record).await?;
            let oids = large_objects::parse_blobs_toc(&bytes).map_err(|e| corrupt(record, e))?;
            match oids.iter().find(|oid| manifest.large_objects.binary_search_by_key(*oid, |l| l.oid).is_err()) {
                Some(oid) => Err(corrupt(record, format!("lists large object {oid}, which the manifest does not"))),
                None => Ok(None),
            }
        }
        Check::Chunk { table, chunk } => backup.rows(&manifest.tables[table], chunk).await?.drain().await.map(Some),
        Check::LargeObject(index) => {
            let large = &manifest.large_objects[index];
            let (size, sha256) = reading::drain(backup.open(&large.object, true).await?).await?;
            if size != large.raw_bytes || sha256 != large.content_sha256 {
                return Err(corrupt(&large.object, "its content is not what was read from the database"));
            }
            Ok(None)
        }
    }
}

/// The TOC and the manifest must list the same data.
fn check_toc(manifest: &Manifest, toc: &toc::Toc) -> std::result::Result<(), String> {
    let mut listed: Vec<i32> = toc.entries.iter().filter(|e| e.is_table_data()).map(|e| e.dump_id).collect();
    let mut held: Vec<i32> = manifest.tables.iter().map(|t| t.dump_id).collect();
    listed.sort_unstable();
    held.sort_unstable();
    if listed != held {
        return Err(format!("lists data of {} tables, the manifest of {}", listed.len(), held.len()));
    }
    if let Some(table) = manifest.tables.iter().find(|t| t.chunks.is_empty()) {
        return Err(format!("lists data of {}, of which the manifest has no chunk", table.qualified()));
    }
    let mut oids = Vec::new();
    for entry in toc.entries.iter().filter(|e| e.is_blobs()) {
        oids.extend(large_objects::oids_of(toc, entry).map_err(|e| e.to_string())?);
    }
    oids.sort_unstable();
    if !oids.iter().copied().eq(manifest.large_objects.iter().map(|l| l.oid)) {
        return Err("lists other large objects than the manifest".to_owned());
    }
    Ok(())
}
