//! The data phase of a restore: chunks and large objects streamed from the store into the target, several at a time.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use lifeboat_archive::{checksum::TableChecksum, encryption::Identities, toc::Toc};

use super::{RestorePorts, ahead::Ahead, plan::RestorePlan, resume::Kept};
use crate::{
    Error, ErrorKind, Result,
    cancel::Cancel,
    manifest::{Manifest, ObjectRecord},
    ports::{BlockSource, LoadStatement, RunContext, Store, Target, TargetWorker},
    reading::{BackupReader, CheckedReader, RowsReader},
    workers::{self, Queue},
};

/// Pieces whose objects have at most so many bytes are read ahead, so many of them by each worker.
const SMALL: u64 = 256 << 10;
const AHEAD: usize = 4;

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
    kept: Arc<Kept>,
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
    kept: &Arc<Kept>,
    context: &RunContext,
) -> Result<()> {
    let loading = Arc::new(Loading {
        store: Arc::clone(&ports.store),
        identities: Arc::clone(&ports.identities),
        target: Arc::clone(target),
        manifest: Arc::clone(manifest),
        statements: statements(manifest, toc, disable_triggers)?,
        role: role.map(str::to_owned),
        kept: Arc::clone(kept),
        context: context.clone(),
    });
    let pieces = pieces(manifest, toc, plan, kept);
    let loaded = workers::run(pieces, jobs, &context.cancel, move |queue, cancel| {
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
        // What another run has loaded, the comparison sees.
        if table.chunks.iter().any(|chunk| kept.is_done(&chunk.key)) {
            continue;
        }
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

/// Everything the plan names and nobody has loaded yet, largest first. Pieces that must not overtake each other are together.
fn pieces(manifest: &Manifest, toc: &Toc, plan: &RestorePlan, kept: &Kept) -> Vec<Vec<Piece>> {
    let of_extensions: HashSet<i32> = toc.data_of_extensions().into_iter().collect();
    let mut queue = Vec::new();
    let mut in_order = Vec::new();
    for &table in &plan.tables {
        let chunks = (0..manifest.tables[table].chunks.len())
            .map(|chunk| Piece::Chunk { table, chunk })
            .filter(|piece| !kept.is_done(key(manifest, *piece)));
        if of_extensions.contains(&manifest.tables[table].dump_id) {
            in_order.extend(chunks);
        } else {
            queue.extend(chunks.map(|piece| vec![piece]));
        }
    }
    for (index, large) in manifest.large_objects.iter().enumerate() {
        if plan.large_objects.binary_search(&large.oid).is_ok() && !kept.is_done(&large.object.key) {
            queue.push(vec![Piece::LargeObject(index)]);
        }
    }
    if !in_order.is_empty() {
        queue.push(in_order);
    }
    queue.sort_by_key(|pieces| std::cmp::Reverse(pieces.iter().map(|piece| size(manifest, *piece)).sum::<u64>()));
    queue
}

fn object(manifest: &Manifest, piece: Piece) -> &ObjectRecord {
    match piece {
        Piece::Chunk { table, chunk } => &manifest.tables[table].chunks[chunk],
        Piece::LargeObject(index) => &manifest.large_objects[index].object,
    }
}

fn size(manifest: &Manifest, piece: Piece) -> u64 {
    object(manifest, piece).size
}

/// By which the ledger knows it.
fn key(manifest: &Manifest, piece: Piece) -> &str {
    &object(manifest, piece).key
}

/// A piece whose object is being read.
struct Begun {
    piece: Piece,
    read: Ahead,
}

impl Begun {
    fn of(loading: &Arc<Loading>, piece: Piece) -> Self {
        let of = Arc::clone(loading);
        let read = match piece {
            Piece::Chunk { table, chunk } => Ahead::begin(
                async move { of.reader().rows(&of.manifest.tables[table], chunk).await },
                RowsReader::checksum,
            ),
            Piece::LargeObject(index) => Ahead::begin(
                async move { of.reader().open(&of.manifest.large_objects[index].object, true).await },
                |_: &CheckedReader| None,
            ),
        };
        Self { piece, read }
    }
}

/// What one worker has taken from the queue.
struct Taken<'a> {
    loading: &'a Arc<Loading>,
    queue: &'a Queue<Vec<Piece>>,
    waiting: VecDeque<Piece>,
    begun: VecDeque<Begun>,
}

impl Taken<'_> {
    /// The next piece, in order. Small ones behind it are begun to be read as well: each costs a question to the store.
    async fn next(&mut self) -> Option<Begun> {
        let small = |piece: &Piece| size(&self.loading.manifest, *piece) <= SMALL;
        while self.begun.len() <= AHEAD && self.begun.iter().all(|begun| small(&begun.piece)) {
            if self.waiting.is_empty() {
                self.waiting.extend(self.queue.next().await.into_iter().flatten());
            }
            let Some(piece) = self.waiting.pop_front() else { break };
            self.begun.push_back(Begun::of(self.loading, piece));
        }
        self.begun.pop_front()
    }
}

/// The pieces of one entry of the queue are worked in order.
async fn work(
    loading: &Arc<Loading>,
    queue: &Queue<Vec<Piece>>,
    cancel: &Cancel,
) -> Result<Vec<(usize, TableChecksum)>> {
    let mut done = Vec::new();
    let mut session: Option<Box<dyn TargetWorker>> = None;
    let mut taken = Taken { loading, queue, waiting: VecDeque::new(), begun: VecDeque::new() };
    while let Some(Begun { piece, mut read }) = taken.next().await {
        match piece {
            // Nothing is to be loaded, but all that was stored is to be right: a huge catalog has thousands of these.
            Piece::Chunk { table, .. } if loading.manifest.tables[table].rows == 0 => {
                while cancel.race(read.next_block()).await?.is_some() {}
                done.push((table, summed(&read)?));
            }
            Piece::Chunk { table, chunk } => {
                let worker = worker(loading, &mut session, cancel).await?;
                done.push((table, cancel.race(load_chunk(loading, worker, table, chunk, &mut read)).await?));
            }
            Piece::LargeObject(index) => {
                let worker = worker(loading, &mut session, cancel).await?;
                cancel.race(load_large_object(loading, worker, index, &mut read)).await?;
            }
        }
        tracing::debug!(key = key(&loading.manifest, piece), "loaded");
        loading.context.progress.advance(size(&loading.manifest, piece));
    }
    Ok(done)
}

fn summed(read: &Ahead) -> Result<TableChecksum> {
    read.checksum().ok_or_else(|| Error::new(ErrorKind::Unexpected, "the load ended before the chunk did"))
}

/// The worker's session, opened when it is first needed.
async fn worker<'a>(
    loading: &Loading,
    session: &'a mut Option<Box<dyn TargetWorker>>,
    cancel: &Cancel,
) -> Result<&'a mut dyn TargetWorker> {
    let worker = match session {
        Some(worker) => worker,
        none => none.insert(cancel.race(loading.target.worker(loading.role.as_deref())).await?),
    };
    Ok(worker.as_mut())
}

async fn load_chunk(
    loading: &Loading,
    worker: &mut dyn TargetWorker,
    table: usize,
    chunk: usize,
    rows: &mut Ahead,
) -> Result<TableChecksum> {
    let record = &loading.manifest.tables[table];
    let statement = loading
        .statements
        .get(&record.dump_id)
        .ok_or_else(|| Error::new(ErrorKind::Unexpected, format!("{} has no COPY statement", record.qualified())))?;
    let entry = loading.kept.entry(&record.chunks[chunk].key);
    let loading_it = worker.copy_in(statement, rows, entry);
    let loaded = loading_it.await.map_err(|e| e.context(format!("load {}", record.qualified())))?;
    let sum = summed(rows)?;
    // A trigger or rule that drops rows has no place in a restore; better to know.
    if loaded != sum.rows {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("{}: the server kept {loaded} of {} rows", record.qualified(), sum.rows),
        ));
    }
    Ok(sum)
}

async fn load_large_object(
    loading: &Loading,
    worker: &mut dyn TargetWorker,
    index: usize,
    content: &mut Ahead,
) -> Result<()> {
    let large = &loading.manifest.large_objects[index];
    let bytes = worker.load_large_object(large.oid, content, loading.kept.entry(&large.object.key)).await?;
    if bytes != large.raw_bytes {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("{}: large object {} has {bytes} bytes, not {}", large.object.key, large.oid, large.raw_bytes),
        ));
    }
    Ok(())
}
