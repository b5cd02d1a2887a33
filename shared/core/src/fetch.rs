//! Fetch: writes a backup as the plain pg_dump directory archive that stock pg_restore reads.

use std::sync::Arc;

use bytes::Bytes;
use lifeboat_archive::{chunk, codec::Codec, encryption::Kind, large_objects, toc};
use serde::Serialize;

use crate::{
    Error, ErrorKind, Result,
    ids::{BackupId, DatabaseSlug},
    kit::KIT_NAME,
    manifest::{Manifest, ObjectRecord},
    phases::Phases,
    ports::{BlockSource, RunContext, Store, Stored, Upload, in_brief},
    reading::{self, BackupReader},
};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FetchOutcome {
    /// The database.
    pub database: DatabaseSlug,
    /// The backup.
    pub backup_id: BackupId,
    /// Files written.
    pub files: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Whether files are written decoded: asked for, or because no pg_restore of the archive's own age reads zstd.
fn decoded(manifest: &Manifest, codec: Codec, plain: bool) -> bool {
    plain || (matches!(codec, Codec::Zstd { .. }) && manifest.source.archive_version == "1.14")
}

/// Copies the archive into `folder` (a file store on an empty folder), opened where it is encrypted, a table's chunks
/// joined into one file, and the globals and the kit beside it. Nothing is written if no key opens it. Every object is
/// checked on the way; on damage, as on any error, what was written is removed again, and where that fails the error
/// says that the archive is incomplete. `plain` writes data files decompressed, for a pg_restore built without the
/// codec; zstd in an archive of version 1.14 always is, because pg_restore 15 knows no zstd.
pub async fn run(
    backup: BackupReader<'_>,
    folder: &Arc<dyn Store>,
    plain: bool,
    context: &RunContext,
) -> Result<FetchOutcome> {
    let mut phases = Phases::begin(context, "fetch", Some(backup.manifest().totals.stored_bytes));
    // Whether the key is right, and the table of contents whole, is known before anything is written.
    let toc = context.cancel.race(backup.whole(&backup.manifest().toc)).await?;
    let mut fetching = Fetching { backup, folder, context, files: Vec::new(), bytes: 0 };
    if let Err(error) = fetching.all(toc, plain).await {
        return Err(match in_brief("remove what was fetched", fetching.remove()).await {
            Ok(()) => error,
            Err(late) => {
                let place = format!("the archive in {}", folder.url());
                error.context(format!("{place} is incomplete, do not use it (it could not be removed: {late})"))
            }
        });
    }
    phases.end();
    Ok(FetchOutcome {
        database: backup.manifest().database.clone(),
        backup_id: backup.manifest().backup_id.clone(),
        files: fetching.files.len() as u64,
        bytes: fetching.bytes,
    })
}

/// An archive that is being written.
struct Fetching<'a> {
    backup: BackupReader<'a>,
    folder: &'a Arc<dyn Store>,
    context: &'a RunContext,
    /// Names of the files that are there, or may be.
    files: Vec<String>,
    /// Of all of them.
    bytes: u64,
}

impl Fetching<'_> {
    async fn all(&mut self, toc: Vec<u8>, plain: bool) -> Result<()> {
        let manifest = self.backup.manifest();
        let codec = reading::codec_of(manifest)?;
        let decode = decoded(manifest, codec, plain).then_some(codec);
        let written = if decode.is_some() { Codec::None } else { codec };
        let lists = manifest.large_object_lists.iter().map(|record| (archive_name(record), vec![record], false));
        let large = manifest
            .large_objects
            .iter()
            .map(|l| (large_objects::file_name(l.oid, &written), vec![&l.object], decode.is_some()));
        let tables = manifest.tables.iter().map(|table| {
            let name = chunk::chunk_name(table.dump_id, &written, None);
            (name, table.chunks.iter().collect::<Vec<_>>(), decode.is_some())
        });
        for (name, records, decode) in tables.chain(lists).chain(large) {
            let mut upload = self.folder.upload_new(&name, &self.context.run_id).await?;
            match join(self.backup, &records, decode, upload.as_mut(), self.context).await {
                Ok(bytes) => {
                    // Noted first: a write that fails may have landed all the same.
                    self.files.push(name);
                    let answer = upload.complete().await;
                    self.settle(answer)?;
                    self.bytes += bytes;
                }
                Err(error) => {
                    drop(upload.abort().await);
                    return Err(error);
                }
            }
        }
        for (name, record) in [("globals.sql", &manifest.globals), (KIT_NAME, &manifest.kit)] {
            self.put(name, self.backup.whole(record).await?).await?;
        }
        let toc = match decode {
            None => toc,
            Some(_) => toc::read(&toc)
                .map_err(|e| Error::new(ErrorKind::Corrupt, format!("{}: {e}", manifest.toc.key)))?
                .to_directory(&Codec::None)
                .write(),
        };
        // Last: without it pg_restore takes nothing for an archive.
        self.put("toc.dat", toc).await
    }

    async fn put(&mut self, name: &str, bytes: Vec<u8>) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.files.push(name.to_owned());
        let answer = self.folder.put_new(name, Bytes::from(bytes), &self.context.run_id).await;
        self.settle(answer)
    }

    /// Takes the answer to the write that was noted last: what existed already is another's, and stays.
    fn settle(&mut self, answer: Result<Stored>) -> Result<()> {
        if answer.as_ref().is_err_and(|e| e.kind() == ErrorKind::AlreadyExists) {
            self.files.pop();
        }
        answer.map(drop)
    }

    /// Removes as much as can be removed; the first failure is the answer.
    async fn remove(&self) -> Result<()> {
        let mut removed = Ok(());
        for name in self.files.iter().rev() {
            match self.folder.delete(name).await {
                // Not even the folder was made.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                done => removed = removed.and(done),
            }
        }
        removed
    }
}

fn archive_name(record: &ObjectRecord) -> String {
    let name = record.key.strip_prefix("archive/").unwrap_or(&record.key);
    Kind::strip(name).map_or(name, |(name, _)| name).to_owned()
}

async fn join(
    backup: BackupReader<'_>,
    records: &[&ObjectRecord],
    decode: bool,
    upload: &mut dyn Upload,
    context: &RunContext,
) -> Result<u64> {
    let mut bytes = 0;
    for record in records {
        let mut reader = backup.open(record, decode).await?;
        while let Some(block) = context.cancel.race(reader.next_block()).await? {
            context.progress.advance(block.len() as u64);
            bytes += block.len() as u64;
            upload.write(block).await?;
        }
    }
    if records.is_empty() {
        return Err(Error::new(ErrorKind::Corrupt, "a table has no chunk"));
    }
    Ok(bytes)
}
