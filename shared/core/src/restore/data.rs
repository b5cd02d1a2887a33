//! The data phase of a restore: chunks and large objects streamed from the store into the target, several at a time.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use lifeboat_archive::{checksum::TableChecksum, encryption::Identities, toc::Toc};

use super::{RestorePorts, plan::RestorePlan};
use crate::{
    Error, ErrorKind, Result,
    cancel::Cancel,
    manifest::Manifest,
    ports::{LoadStatement, RunContext, Store, Target, TargetWorker},
    reading::BackupReader,
    workers::{self, Queue},
};

/// One piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// A chunk of a table, by indexes into the manifest.
    Chunk { table: usize, chunk: usize },
    /// A large object, by index into the manifest.
    LargeObject(usize),
}

/// What every worker needs.
struct Loading {
    store: Arc<dyn Store>,
    identities: Arc<Identities>,
    target: Arc<dyn Target>,
    manifest: Arc<Manifest>,
    statements: HashMap<i32, LoadStatement>,
    role: Option<String>,
    context: RunContext,
}

impl Loading {
    fn reader(&self) -> BackupReader<'_> {
        BackupReader::new(&*self.store, &self.manifest, &self.identities)
    }
}

/// The COPY statements of the tables that are loaded, by dump id.
pub(super) fn statements(
    manifest: &Manifest,
    toc: &Toc,
    disable_triggers: bool,
) -> Result<HashMap<i32, LoadStatement>> {
    let written: HashMap<i32, &Vec<u8>> =
        toc.entries.iter().filter_map(|e| Some((e.dump_id, e.copy_stmt.as_ref()?))).collect();
    manifest
        .tables
        .iter()
        .map(|table| {
            let copy_stmt = written.get(&table.dump_id).copied().cloned().ok_or_else(|| {
                let what = format!("archive/toc.dat: has no COPY statement for {}", table.qualified());
                Error::new(ErrorKind::Corrupt, what)
            })?;
            let encoding = manifest.source.encoding.clone();
            let lc_monetary = manifest.source.lc_monetary.clone();
            Ok((table.dump_id, LoadStatement { copy_stmt, encoding, lc_monetary, disable_triggers }))
        })
        .collect()
}

/// Loads everything the plan names. A chunk is committed only if its length, hash, framing and rows are right; a table's
/// sum over its chunks must be the manifest's.
#[allow(clippy::too_many_arguments, reason = "the steps share everything that run() has prepared")]
pub(super) async fn load(
    ports: &RestorePorts,
    target: &Arc<dyn Target>,
    manifest: &Arc<Manifest>,
    toc: &Toc,
    plan: &RestorePlan,
    jobs: u32,
    disable_triggers: bool,
    role: Option<&str>,
    context: &RunContext,
) -> Result<()> {
    let loading = Arc::new(Loading {
        store: Arc::clone(&ports.store),
        identities: Arc::clone(&ports.identities),
        target: Arc::clone(target),
        manifest: Arc::clone(manifest),
        statements: statements(manifest, toc, disable_triggers)?,
        role: role.map(str::to_owned),
        context: context.clone(),
    });
    let loaded = workers::run(pieces(manifest, toc, plan), jobs, &context.cancel, move |queue, cancel| {
        let loading = Arc::clone(&loading);
        async move { work(&loading, &queue, &cancel).await }
    })
    .await?;
    let mut sums: HashMap<usize, TableChecksum> = HashMap::new();
    for (table, sum) in loaded {
        sums.entry(table).or_default().merge(sum);
    }
    for &index in &plan.tables {
        let table = &manifest.tables[index];
        let sum = sums.get(&index).copied().unwrap_or_default();
        if sum.rows != table.rows || sum.sum_hex() != table.checksum {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{}: the backup's rows do not add up to the manifest's checksum", table.qualified()),
            ));
        }
    }
    Ok(())
}

/// Everything the plan names, largest first. Pieces that must not overtake each other are together.
fn pieces(manifest: &Manifest, toc: &Toc, plan: &RestorePlan) -> Vec<Vec<Piece>> {
    let of_extensions: HashSet<i32> = toc.data_of_extensions().into_iter().collect();
    let mut queue = Vec::new();
    let mut in_order = Vec::new();
    for &table in &plan.tables {
        let chunks = (0..manifest.tables[table].chunks.len()).map(|chunk| Piece::Chunk { table, chunk });
        if of_extensions.contains(&manifest.tables[table].dump_id) {
            in_order.extend(chunks);
        } else {
            queue.extend(chunks.map(|piece| vec![piece]));
        }
    }
    for (index, large) in manifest.large_objects.iter().enumerate() {
        if plan.large_objects.binary_search(&large.oid).is_ok() {
            queue.push(vec![Piece::LargeObject(index)]);
        }
    }
    if !in_order.is_empty() {
        queue.push(in_order);
    }
    queue.sort_by_key(|pieces| std::cmp::Reverse(pieces.iter().map(|piece| size(manifest, *piece)).sum::<u64>()));
    queue
}

fn size(manifest: &Manifest, piece: Piece) -> u64 {
    match piece {
        Piece::Chunk { table, chunk } => manifest.tables[table].chunks[chunk].size,
        Piece::LargeObject(index) => manifest.large_objects[index].object.size,
    }
}

/// The pieces of one entry of the queue are worked in order.
async fn work(loading: &Loading, queue: &Queue<Vec<Piece>>, cancel: &Cancel) -> Result<Vec<(usize, TableChecksum)>> {
    let mut done = Vec::new();
    let mut session: Option<Box<dyn TargetWorker>> = None;
    while let Some(pieces) = queue.next().await {
        let worker = match &mut session {
            Some(worker) => worker,
            none => none.insert(cancel.race(loading.target.worker(loading.role.as_deref())).await?),
        };
        for piece in pieces {
            match piece {
                Piece::Chunk { table, chunk } => {
                    let sum = cancel.race(load_chunk(loading, worker.as_mut(), table, chunk)).await?;
                    done.push((table, sum));
                }
                Piece::LargeObject(index) => {
                    cancel.race(load_large_object(loading, worker.as_mut(), index)).await?;
                }
            }
            loading.context.progress.advance(size(&loading.manifest, piece));
        }
    }
    Ok(done)
}

async fn load_chunk(
    loading: &Loading,
    worker: &mut dyn TargetWorker,
    table: usize,
    chunk: usize,
) -> Result<TableChecksum> {
    let record = &loading.manifest.tables[table];
    let statement = loading
        .statements
        .get(&record.dump_id)
        .ok_or_else(|| Error::new(ErrorKind::Unexpected, format!("{} has no COPY statement", record.qualified())))?;
    let mut rows = loading.reader().rows(record, chunk).await?;
    let loaded =
        worker.copy_in(statement, &mut rows).await.map_err(|e| e.context(format!("load {}", record.qualified())))?;
    let sum =
        rows.checksum().ok_or_else(|| Error::new(ErrorKind::Unexpected, "the load ended before the chunk did"))?;
    // A trigger or rule that drops rows has no place in a restore; better to know.
    if loaded != sum.rows {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("{}: the server kept {loaded} of {} rows", record.qualified(), sum.rows),
        ));
    }
    Ok(sum)
}

async fn load_large_object(loading: &Loading, worker: &mut dyn TargetWorker, index: usize) -> Result<()> {
    let large = &loading.manifest.large_objects[index];
    let mut reader = loading.reader().open(&large.object, true).await?;
    let bytes = worker.load_large_object(large.oid, &mut reader).await?;
    if bytes != large.raw_bytes {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("{}: large object {} has {bytes} bytes, not {}", large.object.key, large.oid, large.raw_bytes),
        ));
    }
    Ok(())
}
