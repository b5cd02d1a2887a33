//! Large objects of a dump: one stored object each, and the lists that pg_restore reads them by.

use std::sync::Arc;

use super::run::Writing;
use crate::{
    Error, ErrorKind, Result, ResultExt,
    manifest::{LargeObjectRecord, ObjectRecord},
    ports::{Snapshot, SnapshotWorker},
    workers::{self, Queue},
};
use lifeboat_archive::large_objects as layout;

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
    let held = writing.cancel.race(async { snapshot.worker().await?.large_objects().await }).await?;
    if held != oids {
        return Err(Error::new(
            ErrorKind::Database,
            format!("pg_dump lists {} large objects, the snapshot holds {}", oids.len(), held.len()),
        )
        .with_hint("the role must see all of them: GRANT pg_read_all_data, or dump as a superuser"));
    }
    let (shared, sharing) = (Arc::clone(snapshot), writing.clone());
    let mut objects = workers::run(oids, jobs, &writing.cancel, move |queue, cancel| {
        let (snapshot, writing) = (Arc::clone(&shared), Writing { cancel, ..sharing.clone() });
        async move { work(&**snapshot, &queue, &writing).await }
    })
    .await?;
    objects.sort_by_key(|o| o.oid);
    let mut stored = Vec::new();
    for (name, content) in lists {
        stored.push(writing.put(format!("archive/{name}"), content).await?);
    }
    Ok(Stored { lists: stored, objects })
}

async fn work(snapshot: &dyn Snapshot, queue: &Queue<u32>, writing: &Writing) -> Result<Vec<LargeObjectRecord>> {
    let mut done = Vec::new();
    let mut session: Option<Box<dyn SnapshotWorker>> = None;
    while let Some(oid) = queue.next().await {
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
    Ok(done)
}
