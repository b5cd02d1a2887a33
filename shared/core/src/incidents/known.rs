//! What still protects a database, read from the store where no event told.

use std::time::Duration;

use crate::{catalog, ids::DatabaseSlug, messages::Protection, ports::Store};

/// Backups that are looked at, newest first.
const LOOKED_AT: usize = 8;
/// How long the store may take: a message must not wait for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// The newest good backup; `None` where there is none, or the store does not say in time.
pub(super) async fn newest_good(
    store: &dyn Store,
    database: &DatabaseSlug,
    patience: Option<Duration>,
) -> Option<Protection> {
    tokio::time::timeout(patience.unwrap_or(PATIENCE).min(PATIENCE), look(store, database)).await.unwrap_or_else(|_| {
        tracing::warn!(%database, "the store did not say in time what protects the database");
        None
    })
}

async fn look(store: &dyn Store, database: &DatabaseSlug) -> Option<Protection> {
    let folders = store.folders(&format!("{database}/")).await;
    let folders =
        folders.inspect_err(|error| tracing::warn!(%error, %database, "what protects it is not known")).ok()?;
    let ids = folders.iter().rev().filter_map(|name| name.parse().ok());
    for id in ids.take(LOOKED_AT) {
        if let Ok(backup) = catalog::open(store, database, &id).await
            && backup.state.good
        {
            let restored = backup.state.restored_at().is_some();
            return Some(Protection { backup_id: id, snapshot_at: backup.state.at(), restored });
        }
    }
    None
}
