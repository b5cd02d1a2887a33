//! Large objects of a dump: one stored object each, and the lists that pg_restore reads them by.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use lifeboat_archive::large_objects as layout;
use tokio::task::JoinSet;

use super::{run::Writing, tables::collect};
use crate::{
    Error, ErrorKind, Result, ResultExt,
    manifest::{LargeObjectRecord, ObjectRecord},
    ports::{Snapshot, SnapshotWorker},
};

/// Lists and contents as stored.
pub(super) struct Stored {
    pub(super) lists: Vec<ObjectRecord>,
    pub(super) objects: Vec<LargeObjectRecord>,
}

/// Copies every large object that the TOC lists; the snapshot must hold exactly the same.
pub(super) async fn copy(snapshot: &Arc<Box<dyn Snapshot>>, jobs: u32, writing: &Writing) -> Result<Stored> {
    let toc = snapshot.toc();
    let mut lists = Vec::new();
    let mut oids = Vec::new();
    for entry in toc.entries.iter().filter(|e| e.is_blobs()) {
        let listed =
            layout::oids_of(toc, entry).or_error(ErrorKind::ClientTool, "understand the list of large objects")?;
        lists.push((layout::toc_file_name(&toc.header, entry.dump_id), layout::blobs_toc(&listed)));
        oids.extend(listed);
    }
    oids.sort_unstable();
    let held: Vec<u32> = writing
        .cancel
        .race(async { snapshot.worker().await?.large_objects().await })
        .await?
        .into_iter()
        .map(|(oid, _)| oid)
        .collect();
    if held != oids {
        return Err(Error::new(
            ErrorKind::Database,
            format!("pg_dump lists {} large objects, the snapshot holds {}", oids.len(), held.len()),
        )
        .with_hint("the role must see all of them: GRANT pg_read_all_data, or dump as a superuser"));
    }
    let workers = usize::try_from(jobs).unwrap_or(1).clamp(1, oids.len().max(1));
    let queue = Arc::new(Mutex::new(VecDeque::from(oids)));
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
    let mut objects = collect(tasks).await?;
    objects.sort_by_key(|o| o.oid);
    let mut stored = Vec::new();
    for (name, content) in lists {
        stored.push(writing.put(format!("archive/{name}"), content).await?);
    }
    Ok(Stored { lists: stored, objects })
}

async fn work(
    snapshot: &dyn Snapshot,
    queue: &Mutex<VecDeque<u32>>,
    writing: &Writing,
) -> Result<Vec<LargeObjectRecord>> {
    let mut done = Vec::new();
    let mut session: Option<Box<dyn SnapshotWorker>> = None;
    loop {
        let next = queue.lock().map_err(|_| Error::new(ErrorKind::Unexpected, "a worker panicked"))?.pop_front();
        let Some(oid) = next else { return Ok(done) };
        let worker = match &mut session {
            Some(worker) => worker,
            none => none.insert(writing.cancel.race(snapshot.worker()).await?),
        };
        let mut writer = writing.begin(format!("archive/{}", layout::file_name(oid, &writing.codec)), true).await?;
        match writing.cancel.race(worker.large_object(oid, &mut writer)).await {
            Ok(_) => {
                let written = writer.finish().await?;
                done.push(LargeObjectRecord {
                    oid,
                    raw_bytes: written.raw_bytes,
                    content_sha256: written.content_sha256.unwrap_or_default(),
                    object: written.object,
                });
            }
            Err(error) => {
                writer.abort().await;
                return Err(error);
            }
        }
    }
}
