//! Every kind of object with every kind of damage, against verify and restore.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use lifeboat_core::{
    Error, ErrorKind, catalog,
    ports::{LEDGER_SCHEMA, Store, Target},
    restore::{self, RestoreOutcome, RestorePorts, RestoreRequest},
    verify,
};
use lifeboat_postgres::target::PgTarget;
use lifeboat_testkit::{Action, Fault, Gate, MemoryStore, Operation};
use lifeboat_tests::{Cluster, library::tool_search};

use super::kinds::{Backups, DAMAGES, Damage, Kind, cluster, run};

/// A restore that does not come to the object by then will not come to it any more.
const COMES_TO_IT: Duration = Duration::from_secs(30);

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

/// It fails with the code of damage and names the object, or what it was swapped with.
fn expect_named(outcome: Result<RestoreOutcome, Error>, backups: &Backups, kind: &Kind, place: &str) -> Result<String> {
    let error = outcome.err().with_context(|| format!("{place}: it was restored"))?;
    ensure!(error.kind().exit_code() == 7, "{place}: {error}");
    let named = relative(backups, kind);
    let sibling = kind.sibling.strip_prefix(&backups.manifest.folder()).unwrap_or(named);
    let words = error.to_string();
    ensure!(words.contains(named) || words.contains(sibling), "{place}: {words}");
    Ok(words)
}

#[tokio::test]
async fn a_restore_of_a_damaged_backup_fails_before_the_target_is_touched() -> Result<()> {
    let cluster = cluster("refused").await?;
    let backups = Backups::make(&cluster, "refused").await?;
    let manifest = Arc::new(backups.manifest.clone());
    let request = RestoreRequest { jobs: 2, ..RestoreRequest::default() };
    let target = empty_target(&cluster).await?;
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
            let outcome = restore::run(&ports, &manifest, &request, None, &run(4)).await;
            expect_named(outcome, &backups, kind, &place)?;
            let contents = target.facts().await?.contents;
            ensure!(contents.is_empty(), "{place}: the target holds {contents:?}");
        }
    }
    Ok(())
}

/// Schemas, relations (made anew, they have other oids), rows and large objects of the target.
fn held(cluster: &Cluster) -> Result<String> {
    cluster.sql(
        "target",
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1;
         SELECT oid, relkind, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1;
         SELECT id FROM public.short ORDER BY 1;
         SELECT count(*), md5(string_agg(l::text, ',' ORDER BY id)) FROM public.long l;
         SELECT oid, lo_get(oid) FROM pg_largeobject_metadata ORDER BY 1",
    )
}

#[tokio::test]
async fn a_clean_restore_of_a_damaged_backup_fails_before_anything_is_dropped() -> Result<()> {
    let cluster = cluster("replaced").await?;
    let backups = Backups::make(&cluster, "replaced").await?;
    let manifest = Arc::new(backups.manifest.clone());
    let target = empty_target(&cluster).await?;
    let over = |memory: MemoryStore| RestorePorts {
        store: Arc::new(memory),
        identities: Arc::default(),
        target: Arc::clone(&target) as Arc<dyn Target>,
    };
    let first = RestoreRequest { jobs: 2, ..RestoreRequest::default() };
    restore::run(&over(backups.store()), &manifest, &first, None, &run(4)).await?;
    cluster.sql("target", "INSERT INTO public.short VALUES (4), (5)")?;
    let before = held(&cluster)?;
    ensure!(!before.contains(LEDGER_SCHEMA), "{before}");

    // What `restore --force --clean --no-safety-backup` asks for.
    let clean = RestoreRequest { clean: true, force: true, keep_ledger: true, ..first };
    for kind in backups.kinds()?.iter().filter(|k| k.name.ends_with("chunk") || k.name == "large object") {
        let memory = backups.store();
        Damage::Flip.apply(&memory, kind)?;
        let outcome = restore::run(&over(memory), &manifest, &clean, None, &run(5)).await;
        let words = expect_named(outcome, &backups, kind, kind.name)?;
        ensure!(!words.contains("do not use the target"), "{}: {words}", kind.name);
        let after = held(&cluster)?;
        ensure!(after == before, "the flipped {} changed the target to {after}", kind.name);
    }

    // The same request with the whole backup does replace what is there.
    restore::run(&over(backups.store()), &manifest, &clean, None, &run(6)).await?;
    let rows = cluster.sql("target", "SELECT count(*) FROM public.short")?;
    ensure!(rows.trim() == "3", "{rows} rows");
    Ok(())
}

#[tokio::test]
async fn a_backup_that_is_damaged_after_it_was_checked_fails_as_an_incomplete_restore() -> Result<()> {
    let cluster = cluster("struck").await?;
    let backups = Backups::make(&cluster, "struck").await?;
    let manifest = Arc::new(backups.manifest.clone());
    let request = RestoreRequest { jobs: 2, ..RestoreRequest::default() };
    for kind in backups.kinds()?.iter().filter(|k| k.name.ends_with("chunk") || k.name == "large object") {
        for damage in [Damage::Flip, Damage::CutInHalf, Damage::Delete, Damage::Swap] {
            let place = format!("{damage:?} of the {}", kind.name);
            let (memory, gate) = (backups.store(), Gate::new());
            memory.fault(Fault::on([Operation::Open], Action::Hold(gate.clone())).key(&kind.key).after(1));
            let ports = RestorePorts {
                store: Arc::new(memory.clone()),
                identities: Arc::default(),
                target: empty_target(&cluster).await?,
            };
            let context = run(4);
            let striking = async {
                let reached = tokio::time::timeout(COMES_TO_IT, gate.reached()).await;
                let done = damage.apply(&memory, kind);
                gate.open();
                reached.context("the restore did not come to the object").and(done)
            };
            let (outcome, struck) = tokio::join!(restore::run(&ports, &manifest, &request, None, &context), striking);
            struck.with_context(|| format!("{place}: {outcome:?}"))?;
            let words = expect_named(outcome, &backups, kind, &place)?;
            ensure!(words.contains("is incomplete, do not use the target"), "{place}: {words}");
        }
    }
    Ok(())
}
