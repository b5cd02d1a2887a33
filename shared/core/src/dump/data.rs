//! The data phase: workers take units and large objects, largest first, until none is left or one fails.

use std::{cmp::Reverse, sync::Arc};

use lifeboat_archive::{checksum::TableChecksum, chunk, data_file, large_objects::file_name};
use tokio::task::JoinSet;

use super::{chunk_writer::Landing, run::Writing, tables};
use crate::{
    Error, ErrorKind, Result,
    manifest::{LargeObjectRecord, TableRecord},
    ports::{Snapshot, SnapshotWorker, Unit, in_brief},
    workers::{self, Queue},
};

/// What a worker takes.
enum Piece {
    Rows(Unit),
    /// OID and about how many bytes.
    LargeObject(u32, u64),
}

impl Piece {
    fn bytes(&self) -> u64 {
        match self {
            Self::Rows(unit) => unit.bytes,
            Self::LargeObject(_, bytes) => *bytes,
        }
    }
}

/// A piece that is in the store.
enum Done {
    Rows(tables::Done),
    LargeObject(LargeObjectRecord),
}

/// All pieces.
pub(super) struct Copied {
    pub(super) tables: Vec<TableRecord>,
    /// Ascending by OID.
    pub(super) large_objects: Vec<LargeObjectRecord>,
}

/// Copies everything; on the first failure the others stop at their next block and their uploads are aborted.
pub(super) async fn copy(
    snapshot: &Arc<Box<dyn Snapshot>>,
    units: Vec<Unit>,
    large_objects: &[(u32, u64)],
    jobs: u32,
    writing: &Writing,
) -> Result<Copied> {
    let pieces = pieces(units, large_objects);
    let (shared, writing) = (Arc::clone(snapshot), writing.clone());
    let done = workers::run(pieces, jobs, &writing.cancel.clone(), move |queue, cancel| {
        let (snapshot, writing) = (Arc::clone(&shared), Writing { cancel, ..writing.clone() });
        async move { work(&**snapshot, &queue, &writing).await }
    })
    .await?;
    let (mut rows, mut large_objects) = (Vec::new(), Vec::new());
    for one in done {
        match one {
            Done::Rows(done) => rows.push(done),
            Done::LargeObject(record) => large_objects.push(record),
        }
    }
    large_objects.sort_by_key(|record| record.oid);
    Ok(Copied { tables: tables::records(snapshot.tables(), rows), large_objects })
}

/// Everything there is to copy, largest first.
fn pieces(units: Vec<Unit>, large_objects: &[(u32, u64)]) -> Vec<Piece> {
    let large_objects = large_objects.iter().map(|(oid, bytes)| Piece::LargeObject(*oid, *bytes));
    let mut pieces: Vec<Piece> = units.into_iter().map(Piece::Rows).chain(large_objects).collect();
    pieces.sort_by_key(|piece| Reverse(piece.bytes()));
    pieces
}

/// What one worker has copied. Where it fails, what it has on its way comes to its end first, unless that takes long: an
/// object that appeared after the run's failure was told would be removed by nobody.
async fn work(snapshot: &dyn Snapshot, queue: &Queue<Piece>, writing: &Writing) -> Result<Vec<Done>> {
    let (mut landing, mut done) = (JoinSet::new(), Vec::new());
    let copied = async {
        read(snapshot, queue, writing, &mut landing, &mut done).await?;
        writing.cancel.race(land(&mut landing, &mut done)).await
    };
    if let Err(error) = copied.await {
        // What they say of each of them is no news: the first failure is told.
        let ended = async {
            while landing.join_next().await.is_some() {}
            Ok(())
        };
        drop(in_brief("end uploads", ended).await);
        return Err(error);
    }
    Ok(done)
}

/// Waits until all that is on its way is in the store.
async fn land(landing: &mut JoinSet<Result<Done>>, done: &mut Vec<Done>) -> Result<()> {
    while let Some(landed) = landing.join_next().await {
        done.push(joined(landed)?);
    }
    Ok(())
}

fn joined(landed: std::result::Result<Result<Done>, tokio::task::JoinError>) -> Result<Done> {
    landed.unwrap_or_else(|e| Err(Error::new(ErrorKind::Unexpected, format!("an upload broke down: {e}"))))
}

/// Reads piece after piece.
async fn read(
    snapshot: &dyn Snapshot,
    queue: &Queue<Piece>,
    writing: &Writing,
    landing: &mut JoinSet<Result<Done>>,
    done: &mut Vec<Done>,
) -> Result<()> {
    let mut session: Option<Box<dyn SnapshotWorker>> = None;
    while let Some(piece) = queue.next().await {
        let worker = match &mut session {
            Some(worker) => worker,
            none => none.insert(writing.cancel.race(snapshot.worker()).await?),
        };
        match piece {
            Piece::Rows(unit) => {
                let (checksum, written) = copy_unit(worker.as_mut(), &unit, writing).await?;
                landing.spawn(async move {
                    Ok(Done::Rows(tables::Done { unit, checksum, written: written.land().await? }))
                });
            }
            Piece::LargeObject(oid, _) => {
                let written = copy_large_object(worker.as_mut(), oid, writing).await?;
                landing.spawn(async move {
                    let written = written.land().await?;
                    Ok(Done::LargeObject(LargeObjectRecord {
                        oid,
                        raw_bytes: written.raw_bytes,
                        content_sha256: written.content_sha256.unwrap_or_default(),
                        object: written.object,
                    }))
                });
            }
        }
        while let Some(landed) = landing.try_join_next() {
            done.push(joined(landed)?);
        }
    }
    Ok(())
}

async fn copy_unit(
    worker: &mut dyn SnapshotWorker,
    unit: &Unit,
    writing: &Writing,
) -> Result<(TableChecksum, Landing)> {
    let key = format!("archive/{}", chunk::chunk_name(unit.dump_id, &writing.codec, unit.chunk));
    let mut writer = writing.begin(key, false).await?;
    let filled = async {
        let checksum = worker.copy_out(unit, &mut writer).await?;
        if unit.last {
            writer.end_marker(data_file::END).await?;
        }
        writer.end().await?;
        Ok(checksum)
    };
    match writing.cancel.race(filled).await {
        Ok(checksum) => Ok((checksum, writer.landing())),
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

async fn copy_large_object(worker: &mut dyn SnapshotWorker, oid: u32, writing: &Writing) -> Result<Landing> {
    let mut writer = writing.begin(format!("archive/{}", file_name(oid, &writing.codec)), true).await?;
    let filled = async {
        worker.large_object(oid, &mut writer).await?;
        writer.end().await
    };
    match writing.cancel.race(filled).await {
        Ok(()) => Ok(writer.landing()),
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_largest_is_taken_first_rows_and_large_objects_alike() {
        let unit = |dump_id, bytes| Unit { dump_id, range: None, chunk: None, last: true, bytes };
        let pieces = pieces(vec![unit(1, 10), unit(2, 30), unit(3, 20)], &[(7, 5), (8, 25)]);
        let sizes: Vec<u64> = pieces.iter().map(Piece::bytes).collect();
        assert_eq!(sizes, [30, 25, 20, 10, 5]);
    }
}
