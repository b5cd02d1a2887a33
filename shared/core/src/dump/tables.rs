//! The data phase: workers take units, largest first, until none is left or one fails.

use std::{collections::HashMap, sync::Arc};

use lifeboat_archive::{checksum::TableChecksum, chunk, data_file};

use super::{
    DumpPlan,
    chunk_writer::{ChunkWriter, Written},
    run::Writing,
};
use crate::{
    Result,
    manifest::TableRecord,
    ports::{Snapshot, SnapshotWorker, SourceTable, Unit},
    workers::{self, Queue},
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
    let (shared, writing) = (Arc::clone(snapshot), writing.clone());
    let done = workers::run(plan.units, jobs, &writing.cancel.clone(), move |queue, cancel| {
        let (snapshot, writing) = (Arc::clone(&shared), Writing { cancel, ..writing.clone() });
        async move { work(&**snapshot, &queue, &writing).await }
    })
    .await?;
    Ok(records(snapshot.tables(), done))
}

async fn work(snapshot: &dyn Snapshot, queue: &Queue<Unit>, writing: &Writing) -> Result<Vec<Done>> {
    let mut done = Vec::new();
    let mut session: Option<Box<dyn SnapshotWorker>> = None;
    while let Some(unit) = queue.next().await {
        let worker = match &mut session {
            Some(worker) => worker,
            none => none.insert(writing.cancel.race(snapshot.worker()).await?),
        };
        done.push(copy_unit(worker.as_mut(), unit, writing).await?);
    }
    Ok(done)
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
