//! Two backups of a real database, the kinds of their objects, and what can happen to an object.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use lifeboat_core::{
    dump::DumpRequest,
    manifest::{MANIFEST_NAME, Manifest},
    ports::{Removal, RunContext, Store},
};
use lifeboat_testkit::{MemoryStore, context};
use lifeboat_tests::{Cluster, library::dump_request};

/// A table of several chunks, a small and an empty one, definitions of every section, and large objects.
pub(super) const SCHEMA: &str = "
    CREATE TABLE public.long AS SELECT g AS id, md5(g::text) || repeat('.', 200) AS text FROM generate_series(1, 2000) g;
    ALTER TABLE public.long ADD PRIMARY KEY (id);
    CREATE TABLE public.short AS SELECT g AS id FROM generate_series(1, 3) g;
    CREATE TABLE public.empty (id int);
    CREATE VIEW public.v AS SELECT id FROM public.short;
    SELECT lo_from_bytea(0, 'the first large object'), lo_from_bytea(0, 'the second large object');";

/// Chunks of this size give the long table seven.
pub(super) const CHUNK_BYTES: u64 = 64 << 10;

/// A database with [`SCHEMA`] in it.
pub(super) async fn cluster(database: &str) -> Result<Cluster> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database(database)?;
    cluster.sql(database, SCHEMA)?;
    Ok(cluster)
}

/// Two backups of one database, whole.
pub(super) struct Backups {
    objects: BTreeMap<String, Bytes>,
    /// The one that is damaged.
    pub(super) manifest: Manifest,
    /// What is taken for it where an object is swapped with one of another backup.
    pub(super) other: Manifest,
}

/// One object of a backup, and a sibling that it can be swapped with; full keys.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) key: String,
    pub(super) sibling: String,
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Flip,
    CutLastByte,
    CutInHalf,
    Empty,
    Delete,
    Swap,
}

pub(super) const DAMAGES: [Damage; 6] =
    [Damage::Flip, Damage::CutLastByte, Damage::CutInHalf, Damage::Empty, Damage::Delete, Damage::Swap];

/// A run of its own number, so that no two write the same keys.
pub(super) fn run(number: u64) -> RunContext {
    context().run(number).entropy(Arc::new(lifeboat_testkit::FixedEntropy::starting_at(number * 1000))).build()
}

impl Backups {
    /// Dumps the database twice.
    pub(super) async fn make(cluster: &Cluster, database: &str) -> Result<Self> {
        let request = DumpRequest { chunk_bytes: CHUNK_BYTES, ..dump_request(database)? };
        let memory = MemoryStore::new(Removal::Delete);
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let manifest = cluster.dump(database, &store, &request, &run(1)).await?.manifest;
        // So that its table of contents differs too, but for nothing that is compared with the manifest.
        cluster.sql(database, "COMMENT ON TABLE public.short IS 'short'")?;
        let other = cluster.dump(database, &store, &request, &run(2)).await?.manifest;
        let objects = memory.keys().into_iter().filter_map(|k| memory.body(&k).map(|body| (k, body))).collect();
        Ok(Self { objects, manifest, other })
    }

    /// A store of its own that holds both.
    pub(super) fn store(&self) -> MemoryStore {
        let store = MemoryStore::new(Removal::Delete);
        for (key, body) in &self.objects {
            store.tamper(key, body.clone());
        }
        store
    }

    /// Every kind of object that a backup has.
    pub(super) fn kinds(&self) -> Result<Vec<Kind>> {
        let (manifest, other) = (&self.manifest, &self.other);
        let full = |key: &str| format!("{}{key}", manifest.folder());
        let elsewhere = |key: &str| format!("{}{key}", other.folder());
        let long = manifest.tables.iter().find(|t| t.name == "long").context("the long table")?;
        let chunk = |at: usize| full(&long.chunks[at].key);
        let (middle, last) = (long.chunks.len() / 2, long.chunks.len() - 1);
        ensure!(middle > 0 && middle < last, "the long table has chunks between the first and the last");
        let short = manifest.tables.iter().find(|t| t.name == "short").context("the short table")?;
        let blobs = manifest.large_object_lists.first().context("the list of large objects")?;
        let [blob, blob_2] = manifest.large_objects.as_slice() else { anyhow::bail!("two large objects") };
        let kind = |name, key: String, sibling: String| Kind { name, key, sibling };
        Ok(vec![
            kind("manifest", full(MANIFEST_NAME), elsewhere(MANIFEST_NAME)),
            kind("table of contents", full(&manifest.toc.key), elsewhere(&other.toc.key)),
            kind("globals", full(&manifest.globals.key), full(&manifest.kit.key)),
            kind("recovery kit", full(&manifest.kit.key), elsewhere(&other.kit.key)),
            kind("first chunk", chunk(0), chunk(middle)),
            kind("middle chunk", chunk(middle), chunk(last)),
            kind("last chunk", chunk(last), chunk(0)),
            kind("only chunk", full(&short.chunks[0].key), chunk(last)),
            kind("list of large objects", full(&blobs.key), full(&manifest.globals.key)),
            kind("large object", full(&blob.object.key), full(&blob_2.object.key)),
        ])
    }
}

impl Damage {
    /// Does it.
    pub(super) fn apply(self, store: &MemoryStore, kind: &Kind) -> Result<()> {
        let body = store.body(&kind.key).with_context(|| format!("{} is there", kind.key))?;
        match self {
            Self::Flip => ensure!(store.flip(&kind.key, body.len() / 2), "there is a byte to flip"),
            Self::CutLastByte => store.truncate(&kind.key, body.len() - 1),
            Self::CutInHalf => store.truncate(&kind.key, body.len() / 2),
            Self::Empty => store.truncate(&kind.key, 0),
            Self::Delete => store.remove(&kind.key),
            Self::Swap => {
                let sibling = store.body(&kind.sibling).with_context(|| format!("{} is there", kind.sibling))?;
                ensure!(sibling != body, "the siblings differ");
                store.tamper(&kind.key, sibling);
                store.tamper(&kind.sibling, body);
            }
        }
        Ok(())
    }
}
