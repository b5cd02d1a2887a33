//! Every kind of object with every kind of damage, against verify and restore.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use lifeboat_core::{
    ErrorKind, catalog,
    ports::{Store, Target},
    restore::{self, RestorePorts, RestoreRequest},
    verify,
};
use lifeboat_postgres::target::PgTarget;
use lifeboat_tests::{Cluster, library::tool_search};

use super::kinds::{Backups, DAMAGES, Damage, Kind, cluster, run};

/// The name that a message must contain: the key relative to the backup.
fn relative<'a>(backups: &Backups, kind: &'a Kind) -> &'a str {
    kind.key.strip_prefix(&backups.manifest.folder()).unwrap_or(&kind.key)
}

#[tokio::test]
async fn every_damage_to_every_kind_of_object_is_corrupt_and_named() -> Result<()> {
    let cluster = cluster("named").await?;
    let backups = Backups::make(&cluster, "named").await?;
    let (database, id) = (&backups.manifest.database, &backups.manifest.backup_id);
    for kind in backups.kinds()? {
        for damage in DAMAGES {
            let place = format!("{damage:?} of the {}", kind.name);
            let memory = backups.store();
            damage.apply(&memory, &kind)?;
            let store: Arc<dyn Store> = Arc::new(memory);
            let opened = catalog::open(&*store, database, id).await;
            let listed = catalog::list(&*store, Some(database)).await?;
            let here = listed.iter().find(|state| state.backup_id == *id);
            if kind.name == "manifest" {
                let error = opened.err().with_context(|| format!("{place}: it opens"))?;
                if damage == Damage::Delete {
                    ensure!(error.kind() == ErrorKind::NotFound && here.is_none(), "{place}: {error}");
                } else {
                    ensure!(error.kind() == ErrorKind::Corrupt, "{place}: {error}");
                    ensure!(error.to_string().contains("manifest"), "{place}: {error}");
                    ensure!(here.is_some_and(|s| !s.usable() && !s.good), "{place}: it is shown as damaged");
                }
                continue;
            }
            let outcome = verify::run(&store, &opened?, &Arc::default(), 2, &run(3)).await?;
            let named = relative(&backups, &kind);
            ensure!(outcome.damage.iter().any(|d| d.object == named), "{place}: {:?}", outcome.damage);
            let expected =
                if damage == Damage::Swap && kind.sibling.starts_with(&backups.manifest.folder()) { 2 } else { 1 };
            ensure!(outcome.damage.len() == expected, "{place}: {:?}", outcome.damage);
            let error = outcome.into_result().err().with_context(|| format!("{place}: it passes"))?;
            ensure!(error.kind().exit_code() == 7 && error.to_string().contains(named), "{place}: {error}");
            let state = catalog::open(&*store, database, id).await?.state;
            ensure!(state.corrupt && !state.good, "{place}: {}", state.standing());
        }
    }
    Ok(())
}

async fn empty_target(cluster: &Cluster) -> Result<Arc<PgTarget>> {
    cluster.sql("postgres", "DROP DATABASE IF EXISTS target")?;
    cluster.sql("postgres", "CREATE DATABASE target TEMPLATE template0")?;
    let target = cluster.server.tcp_target("target");
    Ok(Arc::new(PgTarget::new(target, tool_search(&cluster.bin), std::env::temp_dir()).await?))
}

#[tokio::test]
async fn a_restore_of_a_damaged_backup_fails_before_the_target_is_touched_or_says_that_it_is_incomplete() -> Result<()>
{
    let cluster = cluster("refused").await?;
    let backups = Backups::make(&cluster, "refused").await?;
    let manifest = Arc::new(backups.manifest.clone());
    let request = RestoreRequest { jobs: 2, ..RestoreRequest::default() };
    let mut target = empty_target(&cluster).await?;
    let (mut untouched, mut incomplete) = (0, 0);
    for kind in backups.kinds()?.iter().skip_while(|k| k.name == "manifest") {
        for damage in DAMAGES {
            let place = format!("{damage:?} of the {}", kind.name);
            let memory = backups.store();
            damage.apply(&memory, kind)?;
            let ports = RestorePorts {
                store: Arc::new(memory),
                identities: Arc::default(),
                target: Arc::clone(&target) as Arc<dyn Target>,
            };
            let error = restore::run(&ports, &manifest, &request, None, &run(4))
                .await
                .err()
                .with_context(|| format!("{place}: it was restored"))?;
            ensure!(error.kind().exit_code() == 7, "{place}: {error}");
            let named = relative(&backups, kind);
            let sibling = kind.sibling.strip_prefix(&backups.manifest.folder()).unwrap_or(named);
            let words = error.to_string();
            ensure!(words.contains(named) || words.contains(sibling), "{place}: {words}");
            if words.contains("is incomplete, do not use the target") {
                incomplete += 1;
                target = empty_target(&cluster).await?;
            } else {
                untouched += 1;
                let contents = target.facts().await?.contents;
                ensure!(contents.is_empty(), "{place}: the target holds {contents:?}");
            }
        }
    }
    ensure!(untouched > incomplete && incomplete > 0, "{untouched} untouched, {incomplete} incomplete");
    Ok(())
}
