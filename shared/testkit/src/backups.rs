//! Builds backups as they lie in a store, with content that verifies byte for byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lifeboat_archive::encryption::{Recipients, Sealer};
use lifeboat_core::{
    Result,
    attestation::{Attestation, Statement},
    ids::{BackupId, DatabaseSlug, DrillId, RunId},
    manifest::{
        Encryption, MANIFEST_NAME, Manifest, ObjectRecord, SourceFacts, TableRecord, Tier, Totals, format_version,
        sha256_hex,
    },
    ports::{Inventory, Store},
};

/// A backup to be stored: one table `public.notes` in one chunk, unless told otherwise.
#[derive(Debug, Clone)]
pub struct BackupBuilder {
    manifest: Manifest,
    bodies: BTreeMap<String, Bytes>,
}

fn record(key: &str, body: &[u8]) -> ObjectRecord {
    ObjectRecord { key: key.to_owned(), size: body.len() as u64, sha256: sha256_hex(body), version_id: None }
}

impl BackupBuilder {
    /// A backup of `database` that began at `at`, such as `2026-11-20T02:00:00Z`; its tier is the calendar's in UTC.
    ///
    /// # Panics
    /// If one of the texts is malformed.
    pub fn new(database: &str, at: &str) -> Self {
        #[expect(clippy::expect_used, reason = "a test wrote the literal")]
        Self::at(database, at.parse().expect("a time in UTC"))
    }

    /// The same with a time.
    ///
    /// # Panics
    /// If the slug is malformed.
    pub fn at(database: &str, at: Timestamp) -> Self {
        #[expect(clippy::expect_used, reason = "a test wrote the literal")]
        let database: DatabaseSlug = database.parse().expect("a database's slug");
        let toc = Bytes::from_static(b"PGDMP stand-in");
        let globals = Bytes::from_static(b"CREATE ROLE app;\n");
        let kit = Bytes::from_static(b"# Restore\n");
        let manifest = Manifest {
            format_version: format_version(None),
            backup_id: BackupId::new(at, 0),
            database,
            run_id: RunId::new(7),
            lifeboat_version: "0.1.0".to_owned(),
            scheduled_at: None,
            started_at: at,
            completed_at: at + SignedDuration::from_mins(5),
            tier: Tier::of(at, &TimeZone::UTC),
            timezone: "UTC".to_owned(),
            source: source_facts(at),
            omitted: Vec::new(),
            compression: "zstd:1".to_owned(),
            encryption: None,
            toc: record("archive/toc.dat", &toc),
            globals: record("globals.sql", &globals),
            kit: record("RESTORE.md", &kit),
            large_object_lists: Vec::new(),
            large_objects: Vec::new(),
            tables: Vec::new(),
            inventory: Inventory::default(),
            totals: Totals::default(),
            phases: Vec::new(),
            manifest_sha256: String::new(),
        };
        let bodies = [("archive/toc.dat", toc), ("globals.sql", globals), ("RESTORE.md", kit)];
        Self { manifest, bodies: bodies.map(|(key, body)| (key.to_owned(), body)).into() }.table(
            "notes",
            1,
            b"1\thello\n",
        )
    }

    /// Adds a table in `public` with this stored content, as one chunk.
    #[must_use]
    pub fn table(mut self, name: &str, rows: u64, content: &[u8]) -> Self {
        let dump_id = 100 + i32::try_from(self.manifest.tables.len()).unwrap_or(0);
        let key = format!("archive/{dump_id}.dat.zst");
        let chunk = record(&key, content);
        self.manifest.tables.push(TableRecord {
            oid: 16_000 + dump_id.unsigned_abs(),
            dump_id,
            schema: "public".to_owned(),
            name: name.to_owned(),
            columns: vec!["id".to_owned(), "text".to_owned()],
            loads_into: None,
            rows,
            checksum: "0".repeat(32),
            raw_bytes: content.len() as u64,
            stored_bytes: content.len() as u64,
            chunks: vec![chunk],
        });
        self.bodies.insert(key, Bytes::copy_from_slice(content));
        self
    }

    /// Encrypts every object but the recovery kit.
    ///
    /// # Errors
    /// If an object cannot be encrypted.
    pub fn encrypted_to(mut self, recipients: &Recipients) -> std::io::Result<Self> {
        let manifest = &mut self.manifest;
        let chunks = manifest.tables.iter_mut().flat_map(|table| &mut table.chunks);
        for object in [&mut manifest.toc, &mut manifest.globals].into_iter().chain(chunks) {
            let body = self.bodies.remove(&object.key).unwrap_or_default();
            let sealed = Sealer::seal(recipients, &body)?;
            *object = record(&format!("{}{}", object.key, recipients.kind().suffix()), &sealed);
            self.bodies.insert(object.key.clone(), sealed.into());
        }
        manifest.encryption = Some(Encryption::to(recipients));
        manifest.format_version = format_version(manifest.encryption.as_ref());
        Ok(self)
    }

    /// Changes the manifest in any way before it is sealed.
    #[must_use]
    pub fn change(mut self, change: impl FnOnce(&mut Manifest)) -> Self {
        change(&mut self.manifest);
        self
    }

    /// Another tier than the calendar's.
    #[must_use]
    pub fn tier(self, tier: Tier) -> Self {
        self.change(|m| m.tier = tier)
    }

    /// The manifest, sealed, and its bytes.
    pub fn seal(mut self) -> Result<(Manifest, Bytes)> {
        let manifest = &mut self.manifest;
        manifest.totals = Totals {
            tables: manifest.tables.len() as u64,
            rows: manifest.tables.iter().map(|t| t.rows).sum(),
            large_objects: manifest.large_objects.len() as u64,
            raw_bytes: manifest.tables.iter().map(|t| t.raw_bytes).sum(),
            stored_bytes: manifest.objects().map(|o| o.size).sum(),
            objects: manifest.objects().count() as u64,
        };
        let (bytes, _) = manifest.seal()?;
        Ok((self.manifest, bytes.into()))
    }

    /// Stores everything but the manifest: a leftover.
    pub async fn store_unfinished(&self, store: &dyn Store) -> Result<()> {
        for (key, body) in &self.bodies {
            let key = format!("{}{key}", self.manifest.folder());
            store.put_new(&key, body.clone(), &self.manifest.run_id).await?;
        }
        Ok(())
    }

    /// Stores the backup, the manifest last; its rung is *uploaded*.
    pub async fn store(self, store: &dyn Store) -> Result<Manifest> {
        self.store_unfinished(store).await?;
        let (manifest, bytes) = self.seal()?;
        store.put_new(&format!("{}{MANIFEST_NAME}", manifest.folder()), bytes, &manifest.run_id).await?;
        Ok(manifest)
    }

    /// Stores the backup and attests, a minute after its end, that it was verified.
    pub async fn store_verified(self, store: &dyn Store) -> Result<Manifest> {
        let manifest = self.store(store).await?;
        let statement = Statement::Verified {
            decoded: true,
            objects: manifest.totals.objects,
            bytes: manifest.totals.stored_bytes,
            seconds: None,
        };
        let at = manifest.completed_at + SignedDuration::from_mins(1);
        store_attestation(store, &attestation(&manifest, at, statement)).await?;
        Ok(manifest)
    }

    /// Stores the backup and attests that it was verified, and restored by a drill an hour later.
    pub async fn store_restored(self, store: &dyn Store) -> Result<Manifest> {
        let manifest = self.store_verified(store).await?;
        let at = manifest.completed_at + SignedDuration::from_hours(1);
        let statement = Statement::Restored { drill_id: DrillId::new(at, 0) };
        store_attestation(store, &attestation(&manifest, at, statement)).await?;
        Ok(manifest)
    }
}

/// An attestation of a backup.
pub fn attestation(manifest: &Manifest, at: Timestamp, statement: Statement) -> Attestation {
    Attestation {
        format_version: 1,
        database: manifest.database.clone(),
        backup_id: manifest.backup_id.clone(),
        run_id: RunId::new(8),
        at,
        manifest_sha256: manifest.manifest_sha256.clone(),
        statement,
    }
}

/// Stores an attestation beside its backup.
pub async fn store_attestation(store: &dyn Store, attestation: &Attestation) -> Result<()> {
    let key = format!("{}/{}/{}", attestation.database, attestation.backup_id, attestation.key());
    store.put_new(&key, attestation.to_json()?.into(), &attestation.run_id).await?;
    Ok(())
}

fn source_facts(at: Timestamp) -> SourceFacts {
    SourceFacts {
        owner: None,
        system_identifier: None,
        database_name: "shop".to_owned(),
        server: "localhost:5432".to_owned(),
        server_version: "15.18".to_owned(),
        server_version_num: 150_018,
        client_version: "15.18".to_owned(),
        archive_version: "1.14".to_owned(),
        snapshot_at: at,
        snapshot_lsn: Some("0/16B3748".to_owned()),
        standby: false,
        encoding: "UTF8".to_owned(),
        collate: "C.UTF-8".to_owned(),
        ctype: "C.UTF-8".to_owned(),
        locale_provider: "libc".to_owned(),
        locale: None,
        lc_monetary: "C".to_owned(),
        extensions: Vec::new(),
        settings: BTreeMap::new(),
    }
}
