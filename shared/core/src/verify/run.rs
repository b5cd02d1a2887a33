//! Runs a verify: all objects, several at a time; then the tables' sums; then an attestation.

use std::{cmp::Reverse, sync::Arc};

use lifeboat_archive::{checksum::TableChecksum, encryption::Identities};
use serde::Serialize;

use super::objects::{Check, check_object, checks};
use crate::{
    Error, ErrorKind, Result,
    attestation::Statement,
    catalog::{self, Backup},
    ids::{BackupId, DatabaseSlug},
    manifest::{Manifest, PhaseDuration},
    phases::Phases,
    ports::{RunContext, Store},
    reading::BackupReader,
    workers,
};

/// One damaged object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Key relative to the backup.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a verify found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifyOutcome {
    /// The database.
    pub database: DatabaseSlug,
    /// The backup.
    pub backup_id: BackupId,
    /// Objects read, the manifest aside.
    pub objects: u64,
    /// Bytes read, as stored.
    pub bytes: u64,
    /// Rows counted.
    pub rows: u64,
    /// Whether objects were opened and decoded too. Those of an encrypted backup are only hashed where no key is given.
    pub decoded: bool,
    /// Empty: the backup is what its manifest says.
    pub damage: Vec<Damage>,
    /// Durations.
    pub phases: Vec<PhaseDuration>,
}

impl VerifyOutcome {
    /// `Corrupt` naming the damaged objects, if there are any.
    pub fn into_result(self) -> Result<Self> {
        if self.damage.is_empty() {
            return Ok(self);
        }
        let mut named: Vec<String> = self.damage.iter().take(5).map(|d| d.what.clone()).collect();
        if self.damage.len() > named.len() {
            named.push(format!("and {} more", self.damage.len() - named.len()));
        }
        Err(Error::new(
            ErrorKind::Corrupt,
            format!("backup {}/{} is damaged: {}", self.database, self.backup_id, named.join("; ")),
        ))
    }
}

/// Reads the whole backup back in `jobs` tasks and writes what it found as an attestation. Damage is no `Err`: see
/// [`VerifyOutcome::into_result`]; an `Err` means that the backup could not be read to the end. Without `identities` an
/// encrypted backup is hashed as it is stored.
pub async fn run(
    store: &Arc<dyn Store>,
    backup: &Backup,
    identities: &Arc<Identities>,
    jobs: u32,
    context: &RunContext,
) -> Result<VerifyOutcome> {
    let manifest = Arc::new(backup.manifest.clone());
    let total = manifest.totals.stored_bytes;
    let mut phases = Phases::begin(context, "verify", Some(total));
    let began = context.clock.monotonic_seconds();
    let decoded = BackupReader::new(&**store, &manifest, identities).can_be_opened();
    let (mut damage, sums) = read_all(store, &manifest, identities, jobs, context).await?;
    if decoded {
        damage.extend(compare_sums(&manifest, &sums, &damage));
    }
    damage.sort_by(|a, b| a.object.cmp(&b.object));
    let objects = manifest.totals.objects;
    let statement = if damage.is_empty() {
        let seconds = Some(context.clock.monotonic_seconds() - began);
        Statement::Verified { objects, bytes: total, seconds, decoded }
    } else {
        Statement::Corrupt { objects: damage.iter().map(|d| d.object.clone()).collect() }
    };
    catalog::attest(&**store, &backup.state, statement, context).await?;
    phases.end();
    Ok(VerifyOutcome {
        database: manifest.database.clone(),
        backup_id: manifest.backup_id.clone(),
        objects,
        bytes: total,
        rows: sums.iter().map(|s| s.rows).sum(),
        decoded,
        damage,
        phases: phases.so_far(),
    })
}

type Found = (Option<(usize, TableChecksum)>, Option<Damage>);

async fn read_all(
    store: &Arc<dyn Store>,
    manifest: &Arc<Manifest>,
    identities: &Arc<Identities>,
    jobs: u32,
    context: &RunContext,
) -> Result<(Vec<Damage>, Vec<TableChecksum>)> {
    let sizes: Vec<u64> = checks(manifest).iter().map(|check| check.record(manifest).size).collect();
    let mut pieces: Vec<usize> = (0..sizes.len()).collect();
    // The largest first: what is left to one worker at the end is small.
    pieces.sort_by_key(|piece| Reverse(sizes[*piece]));
    let (sharing_store, sharing, progress) = (Arc::clone(store), Arc::clone(manifest), Arc::clone(&context.progress));
    let identities = Arc::clone(identities);
    let found = workers::run(pieces, jobs, &context.cancel, move |queue, cancel| {
        let (store, manifest, progress) = (Arc::clone(&sharing_store), Arc::clone(&sharing), Arc::clone(&progress));
        let identities = Arc::clone(&identities);
        async move {
            let mut found: Vec<Found> = Vec::new();
            let all = checks(&manifest);
            let backup = BackupReader::new(&*store, &manifest, &identities);
            while let Some(index) = queue.next().await {
                let check = all[index];
                let record = check.record(&manifest);
                match cancel.race(check_object(backup, check)).await {
                    Ok(sum) => {
                        let table = if let Check::Chunk { table, .. } = check { Some(table) } else { None };
                        found.push((table.zip(sum), None));
                    }
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        found.push((None, Some(Damage { object: record.key.clone(), what: error.to_string() })));
                    }
                    Err(error) => return Err(error),
                }
                progress.advance(record.size);
            }
            Ok(found)
        }
    })
    .await?;
    let mut damage = Vec::new();
    let mut sums = vec![TableChecksum::default(); manifest.tables.len()];
    for (sum, broken) in found {
        if let Some((table, sum)) = sum {
            sums[table].merge(sum);
        }
        damage.extend(broken);
    }
    Ok((damage, sums))
}

/// Rows and checksums of every table whose chunks were all readable.
fn compare_sums(manifest: &Manifest, sums: &[TableChecksum], damage: &[Damage]) -> Vec<Damage> {
    let mut wrong = Vec::new();
    for (table, sum) in manifest.tables.iter().zip(sums) {
        let unreadable = table.chunks.iter().any(|c| damage.iter().any(|d| d.object == c.key));
        if !unreadable && (sum.rows != table.rows || sum.sum_hex() != table.checksum) {
            let object = table.chunks.first().map(|c| c.key.clone()).unwrap_or_default();
            let what = format!(
                "{object}: table {} has {} rows with another checksum than the {} of the manifest",
                table.qualified(),
                sum.rows,
                table.rows
            );
            wrong.push(Damage { object, what });
        }
    }
    wrong
}
