//! What happened, as functions tell it on the bus: one typed, versioned event per outcome of a run.
//!
//! An event's JSON is the `detail` of an EventBridge event; its `detail-type` is [`Body::name`], its source [`SOURCE`].
//! `docs/EVENTS.md` describes them, `events/schema/` holds their JSON Schema.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result,
    ids::{BackupId, DatabaseSlug, DrillId, RunId},
    manifest::Tier,
    report::Verdict,
};

/// The `source` of every event.
pub const SOURCE: &str = "lifeboat";

/// The version of the events' format. A newer version only adds; what reads it must pass over fields it does not know.
pub const FORMAT_VERSION: u32 = 1;

/// The most findings, reasons or objects that one event names: EventBridge takes 256 KB at most.
pub const MOST_NAMED: usize = 50;

/// The most characters that one text of an event has: an event that EventBridge does not take would never be told.
const LONGEST: usize = 2000;

/// A text as an event holds it: its beginning, where it is long.
pub fn brief(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One thing that happened to one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The run that tells it.
    pub run_id: RunId,
    /// The database.
    pub database: DatabaseSlug,
    /// When, UTC.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub body: Body,
}

/// What happened. The name of the variant is the event's `detail-type`, and stands in its `type` too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum Body {
    /// A backup exists.
    BackupCompleted(BackupCompleted),
    /// A dump failed: there is no new backup.
    BackupFailed(Failure),
    /// A backup was read back and is whole.
    BackupVerified(BackupVerified),
    /// A backup is damaged.
    BackupCorrupt(BackupCorrupt),
    /// A backup could not be read to its end: nothing is known of it.
    VerifyFailed(Failure),
    /// Retention's plan was carried out.
    RetentionApplied(RetentionApplied),
    /// Retention refused to do what it was asked.
    RetentionRefused(Failure),
    /// Retention could not be carried out.
    RetentionFailed(Failure),
    /// A drill restored a backup, or another origin's data, and all that can be compared was equal, within the objectives.
    DrillPassed(DrillEnded),
    /// A drill ended otherwise.
    DrillFailed(DrillEnded),
    /// Health found something.
    HealthDegraded(HealthDegraded),
    /// What health had found is over.
    HealthRecovered(HealthRecovered),
    /// Maintenance was done.
    MaintenanceCompleted(MaintenanceCompleted),
    /// Maintenance failed.
    MaintenanceFailed(Failure),
    /// A backup was restored to a target of the configuration.
    RestoreCompleted(RestoreCompleted),
    /// A restore to a target of the configuration failed.
    RestoreFailed(Failure),
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The error's kind, such as `database`; docs/ERRORS.md lists them.
    pub kind: String,
    /// What failed, on what, and why.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// The backup it was about, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<BackupId>,
}

/// A backup exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackupCompleted {
    /// The backup.
    pub backup_id: BackupId,
    /// Its tier.
    pub tier: Tier,
    /// The time of its snapshot.
    pub snapshot_at: Timestamp,
    /// Tables with data.
    pub tables: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// How many things the backup does not hold although the database does; its manifest names them.
    pub omitted: u64,
    /// Whether it was read back already; else that is still to be done.
    pub verified: bool,
}

/// A backup was read back and is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackupVerified {
    /// The backup.
    pub backup_id: BackupId,
    /// Objects read.
    pub objects: u64,
    /// Bytes read, as stored.
    pub bytes: u64,
    /// Seconds it took.
    pub seconds: f64,
}

/// A backup is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupCorrupt {
    /// The backup.
    pub backup_id: BackupId,
    /// What is wrong, at most [`MOST_NAMED`].
    pub damage: Vec<String>,
    /// How many objects are damaged in all.
    pub damaged: u64,
}

/// Retention's plan was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetentionApplied {
    /// Backups kept.
    pub kept: u64,
    /// Backups that were marked as expiring.
    pub expiring: u64,
    /// Backups that were removed, or tagged for removal.
    pub removed: u64,
    /// Bytes removed, or tagged for removal.
    pub removed_bytes: u64,
}

/// A drill came to its end, or failed before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DrillEnded {
    /// The drill; missing where it failed before it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_id: Option<DrillId>,
    /// The backup it restored; with an `origin`, the one whose catalog was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<BackupId>,
    /// What was drilled instead of a backup, such as `snapshot rds:orders-2026-12-06`: such a drill proves no backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Key of the HTML report in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// How it ended, as the report says; missing where there is no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The first phase that failed or found something wrong, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Why it did not pass, in sentences, at most [`MOST_NAMED`].
    pub reasons: Vec<String>,
    /// Seconds the restore took, ANALYZE included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<f64>,
    /// Seconds the objective allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_objective_seconds: Option<u64>,
    /// The error that ended it early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be looked at in office hours.
    Warning,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One thing that health found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthFinding {
    /// Stable name, such as `backup_too_old`; docs/EVENTS.md lists them.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What is the matter, with figures.
    pub message: String,
    /// What to do, with the command.
    pub remedy: String,
}

/// Health found something. It is told every time health runs, until [`HealthRecovered`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthDegraded {
    /// Everything that is the matter now, gravest first, at most [`MOST_NAMED`]. What was told before and is missing
    /// here is over, if that is complete.
    pub findings: Vec<HealthFinding>,
    /// False where health does not know all that it had found before, or had no room for all it found: then nothing is
    /// over because it is missing. True where it is not said.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub complete: bool,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

/// Health finds nothing any more: whatever it had told is over. It is told every time health runs and nothing is the matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthRecovered {
    /// The codes of what the look before had found; empty where it had found nothing, or is not known.
    pub recovered: Vec<String>,
}

/// Maintenance was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MaintenanceCompleted {
    /// Statements that were run.
    pub statements: u64,
    /// Objects that were left out, because of a lock or the end of the time budget.
    pub skipped: u64,
    /// Bytes that tables and indexes have less than before; negative where they grew.
    pub reclaimed_bytes: i64,
    /// Things a person should do, with their statements in the run's report.
    pub recommendations: u64,
    /// Seconds it took.
    pub seconds: f64,
}

/// How a backup was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestoreKind {
    /// Into the target.
    Into,
    /// Tables into a schema beside the live ones.
    IntoSchema,
    /// Beside the live database, and then in its place.
    Swap,
}

/// A backup was restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreCompleted {
    /// The backup.
    pub backup_id: BackupId,
    /// The target's name in the configuration.
    pub target: String,
    /// How.
    pub how: RestoreKind,
    /// Rows restored.
    pub rows: u64,
    /// Seconds it took, ANALYZE and comparison included.
    pub seconds: f64,
    /// Of a swap: seconds in which the database could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_seconds: Option<f64>,
    /// Of a swap: the name under which the old database is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_as: Option<String>,
    /// Of a rescue: the schema that holds the tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// What went wrong afterwards, such as a service that did not start; the data are where they should be.
    pub trouble: Vec<String>,
}

impl Failure {
    /// Of an error.
    pub fn of(error: &Error) -> Self {
        Self {
            kind: error.kind().name().to_owned(),
            message: brief(&error.to_string()),
            hint: brief(error.hint()),
            backup_id: None,
        }
    }
}

impl Body {
    /// The event's `detail-type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BackupCompleted(_) => "BackupCompleted",
            Self::BackupFailed(_) => "BackupFailed",
            Self::BackupVerified(_) => "BackupVerified",
            Self::BackupCorrupt(_) => "BackupCorrupt",
            Self::VerifyFailed(_) => "VerifyFailed",
            Self::RetentionApplied(_) => "RetentionApplied",
            Self::RetentionRefused(_) => "RetentionRefused",
            Self::RetentionFailed(_) => "RetentionFailed",
            Self::DrillPassed(_) => "DrillPassed",
            Self::DrillFailed(_) => "DrillFailed",
            Self::HealthDegraded(_) => "HealthDegraded",
            Self::HealthRecovered(_) => "HealthRecovered",
            Self::MaintenanceCompleted(_) => "MaintenanceCompleted",
            Self::MaintenanceFailed(_) => "MaintenanceFailed",
            Self::RestoreCompleted(_) => "RestoreCompleted",
            Self::RestoreFailed(_) => "RestoreFailed",
        }
    }
}

impl Event {
    /// Reads the `detail` of an event from the bus; `Usage` where it is none of ours.
    pub fn from_detail(detail: &serde_json::Value) -> Result<Self> {
        let event: Self = serde_json::from_value(detail.clone())
            .map_err(|e| Error::new(ErrorKind::Usage, format!("read an event's detail: {e}")))?;
        if event.format_version > FORMAT_VERSION {
            tracing::debug!(version = event.format_version, "an event of a newer format");
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_document_that_names_its_type_and_is_read_back() {
        let event = Event {
            format_version: FORMAT_VERSION,
            run_id: RunId::new(7),
            database: "orders".parse().unwrap(),
            at: "2026-11-20T02:00:00Z".parse().unwrap(),
            body: Body::BackupFailed(Failure {
                kind: "database".to_owned(),
                message: "connect".to_owned(),
                hint: "look".to_owned(),
                backup_id: None,
            }),
        };
        let detail = serde_json::to_value(&event).unwrap();
        assert_eq!(detail["type"], event.body.name());
        assert_eq!(detail["database"], "orders");
        assert_eq!(detail["kind"], "database");
        assert_eq!(Event::from_detail(&detail).unwrap(), event);
    }

    #[test]
    fn a_long_text_is_cut_where_a_character_ends() {
        let error = Error::new(ErrorKind::Corrupt, "ä".repeat(3000));
        let message = Failure::of(&error).message;
        assert!(message.chars().count() == LONGEST + 1 && message.ends_with("ä…"));
        assert_eq!(brief("short"), "short");
    }

    #[test]
    fn fields_of_a_newer_format_are_passed_over_and_foreign_details_are_refused() {
        let detail = serde_json::json!({ "format_version": 2, "run_id": RunId::new(7), "database": "orders",
            "at": "2026-11-20T02:00:00Z", "type": "HealthRecovered", "recovered": [], "novel": 1 });
        assert_eq!(Event::from_detail(&detail).unwrap().body.name(), "HealthRecovered");
        assert_eq!(Event::from_detail(&serde_json::json!({ "a": 1 })).unwrap_err().kind(), ErrorKind::Usage);
    }
}
