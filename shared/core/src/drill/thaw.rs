//! Thaws a backup from an archive storage class, so that a drill can read it.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::rehearsal::Thawed;
use crate::{
    Result,
    catalog::BackupState,
    ports::{Listed, Store, Thaw},
};

/// How long a thawed copy stays: longer than a drill may take, with its waits.
pub(super) const DAYS: u32 = 3;
/// Requests at the same time.
const AT_ONCE: usize = 16;

/// Whether objects of a class cannot be read before they are thawed.
pub(super) fn is_frozen(class: &str) -> bool {
    matches!(class, "GLACIER" | "DEEP_ARCHIVE")
}

/// The storage classes of a backup's objects, sorted, each once; and its objects in archive classes.
pub(super) async fn classes(store: &dyn Store, state: &BackupState) -> Result<(Vec<String>, Vec<Listed>)> {
    let objects = store.list(&state.folder()).await?;
    let mut classes: Vec<String> = objects.iter().map(|o| o.storage_class.clone()).collect();
    classes.sort();
    classes.dedup();
    let frozen = objects.into_iter().filter(|o| is_frozen(&o.storage_class)).collect();
    Ok((classes, frozen))
}

/// The first of these objects that cannot be read now; none where all were thawed before.
pub(super) async fn unreadable<'a>(store: &dyn Store, frozen: &'a [Listed]) -> Result<Option<&'a Listed>> {
    for object in frozen {
        if !store.is_readable(&object.key).await? {
            return Ok(Some(object));
        }
    }
    Ok(None)
}

/// Asks for every object that is frozen; whether all can be read, and what was asked for in all.
pub(super) async fn ask(store: &Arc<dyn Store>, frozen: &[Listed]) -> Result<(bool, Thawed)> {
    let asked: Vec<Thaw> = stream::iter(frozen.iter().map(|object| {
        let store = Arc::clone(store);
        async move { store.thaw(&object.key, DAYS).await }
    }))
    .buffered(AT_ONCE)
    .try_collect()
    .await?;
    let deep = || frozen.iter().filter(|o| o.storage_class == "DEEP_ARCHIVE");
    let thawed = Thawed {
        objects: frozen.len() as u64,
        bytes: frozen.iter().map(|o| o.size).sum(),
        deep_bytes: deep().map(|o| o.size).sum(),
        deep_objects: deep().count() as u64,
    };
    Ok((asked.iter().all(|one| *one == Thaw::Readable), thawed))
}
