//! The manifest: the JSON object whose existence makes a backup exist, and that says all that is in it.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use lifeboat_archive::encryption::Recipients;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Result,
    ids::{BackupId, DatabaseSlug, RunId},
    ports::Inventory,
    sealed::{Seal, ZEROS},
};

/// The newest manifest format this Lifeboat writes; it reads every older one.
pub const FORMAT_VERSION: u32 = 2;

/// The format of a backup's manifest: 2 where it is encrypted, so that a Lifeboat that cannot open it says so; else 1, which
/// every Lifeboat reads.
pub fn format_version(encryption: Option<&Encryption>) -> u32 {
    if encryption.is_some() { FORMAT_VERSION } else { 1 }
}

/// The name of the key that a passphrase keeps, in a backup's folder.
pub const KEY_NAME: &str = "key.age";

/// The name of the manifest in a backup's folder.
pub const MANIFEST_NAME: &str = "manifest.json";

/// Which retention a backup falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Any other day.
    Daily,
    /// Sundays.
    Weekly,
    /// The first of a month.
    Monthly,
}

impl Tier {
    /// The tier of a backup by calendar, in the database's time zone.
    pub fn of(at: Timestamp, zone: &TimeZone) -> Self {
        let date = at.to_zoned(zone.clone()).date();
        if date.day() == 1 {
            Self::Monthly
        } else if date.weekday() == Weekday::Sunday {
            Self::Weekly
        } else {
            Self::Daily
        }
    }

    /// The tier's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

/// Something the backup does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Omitted {
    /// `unlogged table data`, `subscription`, `user mapping options`, `role passwords`, …
    pub kind: String,
    /// Which one, or `all`.
    pub object: String,
    /// Why.
    pub reason: String,
}

/// An extension of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its installed version.
    pub version: String,
}

/// What the source was at the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// The database's name on the server.
    pub database_name: String,
    /// Host and port as a person wrote them.
    pub server: String,
    /// The role that owns the database: by that alone it may own what lies in the schema `public`.
    #[serde(default)]
    pub owner: Option<String>,
    /// The cluster's system identifier, where the role could read it: tells two servers apart.
    #[serde(default)]
    pub system_identifier: Option<String>,
    /// Such as `15.18`.
    pub server_version: String,
    /// Such as 150018.
    pub server_version_num: u32,
    /// Version of the `pg_dump` that wrote the table of contents.
    pub client_version: String,
    /// Archive version, such as `1.14`.
    pub archive_version: String,
    /// The snapshot's time by the server's clock.
    pub snapshot_at: Timestamp,
    /// WAL position at the snapshot, `X/Y`; the replayed one on a standby.
    pub snapshot_lsn: Option<String>,
    /// Whether the source was a hot standby.
    pub standby: bool,
    /// Server encoding, such as `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE` of the database.
    pub collate: String,
    /// `LC_CTYPE` of the database.
    pub ctype: String,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: String,
    /// ICU or builtin locale, where the provider has one.
    pub locale: Option<String>,
    /// How money is written in the data.
    pub lc_monetary: String,
    /// Installed extensions.
    pub extensions: Vec<Extension>,
    /// Settings of the database that a restore needs to know (`ALTER DATABASE … SET`).
    pub settings: BTreeMap<String, String>,
}

/// One object of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Key relative to the backup's folder.
    pub key: String,
    /// Bytes as stored.
    pub size: u64,
    /// SHA-256 of the bytes as stored, hex.
    pub sha256: String,
    /// Version id, where the store has versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// One table with data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRecord {
    /// OID in the source.
    pub oid: u32,
    /// The TOC entry's dump id.
    pub dump_id: i32,
    /// Schema, as [`lifeboat_archive::names::text`].
    pub schema: String,
    /// Name, likewise.
    pub name: String,
    /// Columns in the data's order, likewise.
    pub columns: Vec<String>,
    /// The partition root that the data load into, where it is not the table itself; such tables are compared there,
    /// and their checksum is over the columns sorted by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loads_into: Option<String>,
    /// Rows.
    pub rows: u64,
    /// Sum modulo 2^128 of the rows' `xxh3_128`, 32 hex digits.
    pub checksum: String,
    /// Bytes of COPY text.
    pub raw_bytes: u64,
    /// Bytes as stored, all chunks.
    pub stored_bytes: u64,
    /// The chunks in order.
    pub chunks: Vec<ObjectRecord>,
}

impl TableRecord {
    /// `schema.name`, for people.
    pub fn qualified(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// One large object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeObjectRecord {
    /// Its OID.
    pub oid: u32,
    /// Bytes of its content.
    pub raw_bytes: u64,
    /// SHA-256 of its content, hex.
    pub content_sha256: String,
    /// Where it lies.
    pub object: ObjectRecord,
}

/// How archive objects are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `age` or `openpgp`.
    pub kind: String,
    /// Key ids of the recipients: of `age` the public keys themselves, of OpenPGP the keys' fingerprints.
    pub recipients: Vec<String>,
    /// The one secret key, itself sealed by a passphrase, where a passphrase keeps it: [`KEY_NAME`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ObjectRecord>,
}

impl Encryption {
    /// To these recipients.
    pub fn to(recipients: &Recipients) -> Self {
        Self { kind: recipients.kind().to_string(), recipients: recipients.ids(), key: None }
    }

    /// `age, to age1…`, `age, by a passphrase`.
    pub fn in_words(&self) -> String {
        match &self.key {
            Some(_) => format!("{}, by a passphrase", self.kind),
            None => format!("{}, to {}", self.kind, self.recipients.join(", ")),
        }
    }

    /// What a person must bring who wants to open it.
    pub fn wanted(&self) -> String {
        match &self.key {
            Some(_) => "its passphrase: LIFEBOAT_PASSPHRASE, or databases.NAME.passphrase".to_owned(),
            None => format!(
                "the secret key of one of: {}; by --identity FILE, or databases.NAME.identity",
                self.recipients.join(", ")
            ),
        }
    }
}

/// Sums over the backup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Tables with data.
    pub tables: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Large objects.
    pub large_objects: u64,
    /// Bytes of COPY text and large objects before compression.
    pub raw_bytes: u64,
    /// Bytes of all objects as stored, without the manifest.
    pub stored_bytes: u64,
    /// Objects, without the manifest.
    pub objects: u64,
}

/// How long a phase took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseDuration {
    /// The phase's name.
    pub phase: String,
    /// Seconds.
    pub seconds: f64,
}

/// A backup, told whole. See docs/ARCHITECTURE.md for the format's rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`format_version`].
    pub format_version: u32,
    /// The backup.
    pub backup_id: BackupId,
    /// Its database.
    pub database: DatabaseSlug,
    /// The run that made it.
    pub run_id: RunId,
    /// Lifeboat's version.
    pub lifeboat_version: String,
    /// The time that the run was scheduled for, if it was; no two backups of a database have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
    /// When the dump began.
    pub started_at: Timestamp,
    /// When the manifest was written.
    pub completed_at: Timestamp,
    /// Retention tier by calendar.
    pub tier: Tier,
    /// The time zone that decided the tier, IANA name.
    pub timezone: String,
    /// The source.
    pub source: SourceFacts,
    /// Everything `pg_dump` warned of or the role could not see.
    pub omitted: Vec<Omitted>,
    /// Codec of the archive's data, `zstd:1`.
    pub compression: String,
    /// Encryption, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// `archive/toc.dat`.
    pub toc: ObjectRecord,
    /// `globals.sql`.
    pub globals: ObjectRecord,
    /// `RESTORE.md`.
    pub kit: ObjectRecord,
    /// Lists of large objects (`archive/blobs….toc`).
    pub large_object_lists: Vec<ObjectRecord>,
    /// Large objects.
    pub large_objects: Vec<LargeObjectRecord>,
    /// Tables with data.
    pub tables: Vec<TableRecord>,
    /// Constraints, indexes, triggers, sequences, … and their states at the snapshot.
    pub inventory: Inventory,
    /// Sums.
    pub totals: Totals,
    /// Durations.
    pub phases: Vec<PhaseDuration>,
    /// SHA-256 of this document's bytes with these 64 digits replaced by zeros. Always last.
    pub manifest_sha256: String,
}

const SEAL: Seal = Seal { document: MANIFEST_NAME, field: "manifest_sha256", newest: FORMAT_VERSION };

impl Manifest {
    /// As JSON, with the hash of itself. Returns the bytes and the hash.
    pub fn seal(&mut self) -> Result<(Vec<u8>, String)> {
        ZEROS.clone_into(&mut self.manifest_sha256);
        let (bytes, hash) = SEAL.seal(self)?;
        self.manifest_sha256.clone_from(&hash);
        Ok((bytes, hash))
    }

    /// From JSON: the hash is checked over the bytes first, so that any flipped byte is `Corrupt`.
    pub fn open(bytes: &[u8]) -> Result<Self> {
        SEAL.open(bytes)
    }

    /// Every object of the backup but the manifest itself, in a fixed order.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRecord> {
        [&self.toc, &self.globals, &self.kit]
            .into_iter()
            .chain(&self.large_object_lists)
            .chain(self.tables.iter().flat_map(|t| &t.chunks))
            .chain(self.large_objects.iter().map(|l| &l.object))
            .chain(self.encryption.as_ref().and_then(|encryption| encryption.key.as_ref()))
    }

    /// The folder of the backup, with a closing slash.
    pub fn folder(&self) -> String {
        backup_folder(&self.database, &self.backup_id)
    }
}

/// `<database>/<backup id>/`
pub fn backup_folder(database: &DatabaseSlug, backup: &BackupId) -> String {
    format!("{database}/{backup}/")
}

/// Hex SHA-256 of some bytes.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
