//! What a drill report says: the fields an auditor asks for, as versioned JSON.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    ids::{BackupId, DatabaseSlug, DrillId, RunId},
    manifest::{Encryption, Manifest, ObjectRecord, Omitted, Tier},
    sealed::{Seal, ZEROS},
};

use super::{
    data::DataEvidence,
    origin::{OriginEvidence, TierProof},
    proof::Proof,
    schema::SchemaEvidence,
};

/// The newest report format this Lifeboat writes; it reads every older one.
pub const REPORT_FORMAT_VERSION: u32 = 1;

const SEAL: Seal = Seal { document: "report.json", field: "report_sha256", newest: REPORT_FORMAT_VERSION };

/// Something that is known, or that is not, and then why. As JSON: `{"value": …, "reason": …}`, one of them null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact<T> {
    /// The value; null where it cannot be known.
    pub value: Option<T>,
    /// Why there is no value.
    pub reason: Option<String>,
}

impl<T> Fact<T> {
    /// A value that was observed.
    pub fn known(value: impl Into<T>) -> Self {
        Self { value: Some(value.into()), reason: None }
    }

    /// No value, because of `reason`. A report never holds a guess.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { value: None, reason: Some(reason.into()) }
    }

    /// A place that a person fills in, on the printed report or in the ticket.
    pub fn by_hand() -> Self {
        Self::unknown("filled in by hand")
    }
}

/// How the drill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was restored, compared and equal, within the objectives.
    Passed,
    /// Something was not restored, not compared, or not equal.
    Failed,
    /// All data are fine, but RTO or RPO was missed.
    ObjectiveMissed,
}

impl Verdict {
    /// The verdict in one or two words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::ObjectiveMissed => "Objective missed",
        }
    }
}

/// Who ran the drill, why and by which rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of the backup policy that the drill serves.
    pub policy_version: Fact<String>,
    /// Controls it gives evidence for, such as `SOC 2 A1.3`.
    pub controls: Vec<String>,
    /// `schedule`, `command line`, `request`.
    pub trigger: String,
    /// What was rehearsed, such as `loss of the whole database`.
    pub scenario: String,
    /// How the backup was selected: `latest`, `oldest`, `random`, `rotate`, or its id.
    pub selection: String,
    /// Who or what started it.
    pub operator: Fact<String>,
    /// Who reviewed this report.
    pub reviewer: Fact<String>,
}

/// Something that was not part of the drill, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfScope {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// What the drill was about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// How much depends on the database.
    pub criticality: Fact<String>,
    /// What was restored and compared.
    pub in_scope: Vec<String>,
    /// What was not.
    pub out_of_scope: Vec<OutOfScope>,
}

/// The backup that was restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupEvidence {
    /// The backup.
    pub backup_id: BackupId,
    /// Its folder in the store.
    pub location: String,
    /// Its retention tier.
    pub tier: Tier,
    /// The name of the database on the source server.
    pub database_name: String,
    /// The source server, as a person wrote it.
    pub source_server: String,
    /// The source's snapshot.
    pub snapshot_at: Timestamp,
    /// Its WAL position, where there is one.
    pub snapshot_lsn: Fact<String>,
    /// SHA-256 of the manifest, hex.
    pub manifest_sha256: String,
    /// Codec of the data.
    pub compression: String,
    /// Tables with data.
    pub tables: u64,
    /// Rows of all tables: the comparison must account for each.
    pub rows: u64,
    /// Number of objects, without the manifest.
    pub object_count: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Every object with size, SHA-256 and version id.
    pub objects: Vec<ObjectRecord>,
    /// What the backup does not hold.
    pub omitted: Vec<Omitted>,
    /// S3's storage class when the drill began.
    pub storage_class: Fact<String>,
    /// Where the store is.
    pub region: Fact<String>,
    /// The account that owns it.
    pub account: Fact<String>,
    /// Until when nobody can delete the objects.
    pub locked_until: Fact<Timestamp>,
}

impl BackupEvidence {
    /// All that the manifest knows; what only the store knows is unknown until the caller fills it in.
    pub fn new(manifest: &Manifest, store_url: &str) -> Self {
        let unknown = "this store does not tell";
        Self {
            backup_id: manifest.backup_id.clone(),
            location: format!("{}/{}", store_url.trim_end_matches('/'), manifest.folder()),
            tier: manifest.tier,
            database_name: manifest.source.database_name.clone(),
            source_server: manifest.source.server.clone(),
            snapshot_at: manifest.source.snapshot_at,
            snapshot_lsn: manifest
                .source
                .snapshot_lsn
                .clone()
                .map_or_else(|| Fact::unknown("the source did not tell it"), Fact::known),
            manifest_sha256: manifest.manifest_sha256.clone(),
            compression: manifest.compression.clone(),
            tables: manifest.totals.tables,
            rows: manifest.totals.rows,
            object_count: manifest.totals.objects,
            stored_bytes: manifest.totals.stored_bytes,
            objects: manifest.objects().cloned().collect(),
            omitted: manifest.omitted.clone(),
            storage_class: Fact::unknown(unknown),
            region: Fact::unknown(unknown),
            account: Fact::unknown(unknown),
            locked_until: Fact::unknown(unknown),
        }
    }
}

/// Whether and how the backup was encrypted, and what became of decrypting it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CryptoEvidence {
    /// Kind and recipients; null where the backup is not encrypted by Lifeboat.
    pub encryption: Option<Encryption>,
    /// Whether everything could be decrypted.
    pub decrypted: Fact<bool>,
}

/// What the drill ran on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Lifeboat that ran the drill.
    pub lifeboat_version: String,
    /// Lifeboat that made the backup.
    pub backup_lifeboat_version: String,
    /// Server that the backup was taken of.
    pub source_server_version: String,
    /// `pg_dump` that wrote the archive.
    pub pg_dump_version: String,
    /// `pg_restore` of the drill.
    pub pg_restore_version: Fact<String>,
    /// Server that was restored into.
    pub target_server_version: Fact<String>,
    /// The scratch target in words.
    pub target: String,
    /// Its id, where it has one.
    pub target_id: Fact<String>,
    /// Its instance class, or the machine it ran on.
    pub target_class: Fact<String>,
    /// The network it was in, and how that is isolated.
    pub target_network: Fact<String>,
}

/// How a phase ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseOutcome {
    /// To its end.
    Done,
    /// With an error.
    Failed,
    /// It was not needed, or never begun; the note says which.
    Skipped,
}

/// One phase: `select`, `thaw`, `provision`, `download`, `decrypt`, `restore`, `compare`, `checks`,
/// `negative control`, `tear-down`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseTiming {
    /// Its name.
    pub phase: String,
    /// How it ended.
    pub outcome: PhaseOutcome,
    /// When it began; null where it was skipped.
    pub started_at: Option<Timestamp>,
    /// When it ended; null where it was skipped.
    pub ended_at: Option<Timestamp>,
    /// Seconds by a clock that never goes back.
    pub seconds: f64,
    /// Whether it is a part of the RTO.
    pub counts_for_rto: bool,
    /// Why it was skipped or failed, or what else one should know (`streamed while restoring`).
    pub note: Option<String>,
}

impl PhaseTiming {
    /// A phase that did not take place.
    pub fn skipped(phase: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            phase: phase.into(),
            outcome: PhaseOutcome::Skipped,
            started_at: None,
            ended_at: None,
            seconds: 0.0,
            counts_for_rto: false,
            note: Some(why.into()),
        }
    }
}

/// An objective in seconds, what was reached, and whether that is enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// What is wanted, from the configuration.
    pub objective_seconds: Fact<f64>,
    /// What was measured.
    pub actual_seconds: Fact<f64>,
    /// Whether the objective is met; null where one of the two is not known.
    pub met: Option<bool>,
}

impl Objective {
    /// Compares the two.
    pub fn new(objective_seconds: Fact<f64>, actual_seconds: Fact<f64>) -> Self {
        let met = objective_seconds.value.zip(actual_seconds.value).map(|(objective, actual)| actual <= objective);
        Self { objective_seconds, actual_seconds, met }
    }
}

/// What the drill cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// How much.
    pub amount: f64,
    /// `USD`, `EUR`.
    pub currency: String,
    /// What it is made of.
    pub basis: String,
}

/// How the drill was closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Closure {
    /// Whether the scratch target is gone.
    pub torn_down: bool,
    /// How that was checked.
    pub tear_down_proof: Fact<String>,
    /// Cost; 0 for local scratch targets.
    pub cost: Fact<Cost>,
    /// What went otherwise than planned.
    pub deviations: Vec<String>,
    /// The ticket that follows a finding.
    pub ticket: Fact<String>,
    /// Who owns it.
    pub owner: Fact<String>,
    /// Until when it is to be done.
    pub due_date: Fact<String>,
    /// The drill that repeats this one.
    pub retest: Fact<String>,
}

/// The report before this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousReport {
    /// Its drill.
    pub drill_id: DrillId,
    /// Its `report_sha256`.
    pub report_sha256: String,
}

/// What ties this report to the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Integrity {
    /// The database's previous report: together they form a chain.
    pub previous_report: Fact<PreviousReport>,
    /// How long this report is kept.
    pub kept_until: Fact<String>,
}

/// The evidence of one drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillReport {
    /// 1.
    pub format_version: u32,
    /// The drill.
    pub drill_id: DrillId,
    /// The run.
    pub run_id: RunId,
    /// The database.
    pub database: DatabaseSlug,
    /// When the drill began.
    pub started_at: Timestamp,
    /// When it ended, tear-down included.
    pub finished_at: Timestamp,
    /// How it ended; see [`DrillReport::judge`].
    pub verdict: Verdict,
    /// Why it failed or missed; empty when it passed.
    pub reasons: Vec<String>,
    /// Who and why.
    pub identity: Identity,
    /// What about.
    pub scope: Scope,
    /// Of what.
    pub backup: BackupEvidence,
    /// Keys.
    pub crypto: CryptoEvidence,
    /// Where.
    pub environment: Environment,
    /// Phases in order.
    pub phases: Vec<PhaseTiming>,
    /// Recovery time: the phases that count for it, ANALYZE included.
    pub rto: Objective,
    /// Recovery point: the age of the backup's snapshot when the drill began.
    pub rpo: Objective,
    /// Rows and checksums.
    pub data: DataEvidence,
    /// Catalog objects.
    pub schema: SchemaEvidence,
    /// Checks, tools, negative controls.
    pub proof: Proof,
    /// The end.
    pub closure: Closure,
    /// The chain of reports.
    pub integrity: Integrity,
    /// What was drilled instead of a backup: then rows cannot be compared, and are not.
    #[serde(default)]
    pub origin: Option<OriginEvidence>,
    /// When each tier was last proven before this drill.
    #[serde(default)]
    pub tiers: Vec<TierProof>,
    /// SHA-256 of this document's bytes with these 64 digits replaced by zeros. Always last.
    pub report_sha256: String,
}

impl DrillReport {
    /// As JSON, with the hash of itself. Returns the bytes and the hash.
    pub fn seal(&mut self) -> Result<(Vec<u8>, String)> {
        ZEROS.clone_into(&mut self.report_sha256);
        let (bytes, hash) = SEAL.seal(self)?;
        self.report_sha256.clone_from(&hash);
        Ok((bytes, hash))
    }

    /// From JSON: the hash is checked over the bytes first, so that any flipped byte is `Corrupt`.
    pub fn open(bytes: &[u8]) -> Result<Self> {
        SEAL.open(bytes)
    }
}
