//! Large objects of a dump: which there are, and the lists that pg_restore reads them by.

use lifeboat_archive::large_objects as layout;

use super::run::Writing;
use crate::{Error, ErrorKind, Result, ResultExt, manifest::ObjectRecord, ports::Snapshot};

/// What is to be copied, and the lists of it.
pub(super) struct Listed {
    /// OID and size, ascending by OID.
    pub(super) objects: Vec<(u32, u64)>,
    /// Name and content of each list.
    lists: Vec<(String, Vec<u8>)>,
}

/// Lists every large object that the TOC lists; the snapshot must hold exactly the same.
pub(super) async fn list(snapshot: &dyn Snapshot, writing: &Writing) -> Result<Listed> {
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
    let objects = writing.cancel.race(async { snapshot.worker().await?.large_objects().await }).await?;
    if !objects.iter().map(|(oid, _)| *oid).eq(oids.iter().copied()) {
        let message = format!("pg_dump lists {} large objects, the snapshot holds {}", oids.len(), objects.len());
        return Err(Error::new(ErrorKind::Database, message)
            .with_hint("the role must see all of them: GRANT pg_read_all_data, or dump as a superuser"));
    }
    Ok(Listed { objects, lists })
}

impl Listed {
    /// Stores the lists.
    pub(super) async fn put(self, writing: &Writing) -> Result<Vec<ObjectRecord>> {
        let mut stored = Vec::new();
        for (name, content) in self.lists {
            stored.push(writing.put(format!("archive/{name}"), content).await?);
        }
        Ok(stored)
    }
}
