//! The data phase: workers take units, largest first, until none is left or one fails.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use lifeboat_archive::{checksum::TableChecksum, chunk, data_file};
use tokio::task::JoinSet;

use super::{
    DumpPlan,
    chunk_writer::{ChunkWriter, Written},
    run::Writing,
};
use crate::{
    Error, ErrorKind, Result, ResultExt,
    manifest::TableRecord,
    ports::{Snapshot, SnapshotWorker, SourceTable, Unit},
};

/// One unit done.
struct Done {
    unit: Unit,
    checksum: TableChecksum,
    written: Written,
}

/// Copies every unit; on the first failure the others stop at their next block and their uploads are aborted.
pub(super) async fn copy(
    snapshot: &Arc<Box<dyn Snapshot>>,
    plan: DumpPlan,
    jobs: u32,
    writing: &Writing,
) -> Result<Vec<TableRecord>> {
    let workers = usize::try_from(jobs).unwrap_or(1).clamp(1, plan.units.len().max(1));
    let queue = Arc::new(Mutex::new(VecDeque::from(plan.units)));
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let (snapshot, queue, writing) = (Arc::clone(snapshot), Arc::clone(&queue), writing.clone());
        tasks.spawn(async move {
            let result = work(&**snapshot, &queue, &writing).await;
            if result.is_err() {
                writing.stopper.cancel(ErrorKind::Interrupted);
            }
            result
        });
    }
    let done = collect(tasks).await?;
    Ok(records(snapshot.tables(), done))
}

/// Waits for all tasks; of several errors the first that is not the echo of another's failure is told.
pub(super) async fn collect<T: 'static>(mut tasks: JoinSet<Result<Vec<T>>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut failure: Option<Error> = None;
    while let Some(joined) = tasks.join_next().await {
        match joined.or_error(ErrorKind::Unexpected, "run a worker").and_then(|r| r) {
            Ok(done) => all.extend(done),
            Err(error) => {
                let echo = failure.as_ref().is_some_and(|f| f.kind() != ErrorKind::Interrupted);
                if !echo {
                    failure = Some(error);
                }
            }
        }
    }
    failure.map_or(Ok(all), Err)
}

async fn work(snapshot: &dyn Snapshot, queue: &Mutex<VecDeque<Unit>>, writing: &Writing) -> Result<Vec<Done>> {
    let mut done = Vec::new();
    let mut session: Option<Box<dyn SnapshotWorker>> = None;
    loop {
        let next = queue.lock().map_err(|_| Error::new(ErrorKind::Unexpected, "a worker panicked"))?.pop_front();
        let Some(unit) = next else { return Ok(done) };
        let worker = match &mut session {
            Some(worker) => worker,
            none => none.insert(writing.cancel.race(snapshot.worker()).await?),
        };
        done.push(copy_unit(worker.as_mut(), unit, writing).await?);
    }
}

async fn copy_unit(worker: &mut dyn SnapshotWorker, unit: Unit, writing: &Writing) -> Result<Done> {
    let key = format!("archive/{}", chunk::chunk_name(unit.dump_id, &writing.codec, unit.chunk));
    let mut writer = writing.begin(key, false).await?;
    match writing.cancel.race(fill(worker, &unit, &mut writer)).await {
        Ok(checksum) => Ok(Done { unit, checksum, written: writer.finish().await? }),
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

async fn fill(worker: &mut dyn SnapshotWorker, unit: &Unit, writer: &mut ChunkWriter<'_>) -> Result<TableChecksum> {
    let checksum = worker.copy_out(unit, writer).await?;
    if unit.last {
        writer.end_marker(data_file::END).await?;
    }
    Ok(checksum)
}

fn records(tables: &[SourceTable], done: Vec<Done>) -> Vec<TableRecord> {
    let mut by_table: HashMap<i32, Vec<Done>> = HashMap::new();
    for one in done {
        by_table.entry(one.unit.dump_id).or_default().push(one);
    }
    tables
        .iter()
        .map(|table| {
            let mut parts = by_table.remove(&table.dump_id).unwrap_or_default();
            parts.sort_by_key(|d| d.unit.chunk);
            let mut checksum = TableChecksum::default();
            for part in &parts {
                checksum.merge(part.checksum);
            }
            TableRecord {
                oid: table.oid,
                dump_id: table.dump_id,
                schema: table.schema.clone(),
                name: table.name.clone(),
                columns: table.columns.clone(),
                loads_into: table.loads_into.clone(),
                rows: checksum.rows,
                checksum: checksum.sum_hex(),
                raw_bytes: parts.iter().map(|d| d.written.raw_bytes).sum(),
                stored_bytes: parts.iter().map(|d| d.written.object.size).sum(),
                chunks: parts.into_iter().map(|d| d.written.object).collect(),
            }
        })
        .collect()
}
