//! The state of everything: per database the newest good backup against its RPO, counts, drills, and who runs.

mod render;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    ErrorKind, Result,
    attestation::Rung,
    catalog::{self, BackupState},
    config::Span,
    drill,
    forecast::DatabaseForecast,
    health,
    ids::{BackupId, DatabaseSlug, DrillId},
    lease::{self, Lease},
    ports::Store,
    report::{DrillReport, Verdict},
};

pub use render::HEADINGS;

/// By how much the server's clock may be ahead of ours.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);

/// A database to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The database.
    pub database: DatabaseSlug,
    /// Its recovery point objective, if it has one.
    pub rpo: Option<Span>,
}

/// How a database stands, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The newest good backup is fresh enough, or no RPO says how fresh it must be.
    Fresh,
    /// The newest good backup is older than the RPO.
    Stale,
    /// There are backups, but none is good.
    NoneGood,
    /// There is no backup.
    NoBackup,
}

/// How many backups stand how; each is counted once, under the worst that is to be said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Their manifest exists, no more is known.
    pub uploaded: u64,
    /// Verified.
    pub verified: u64,
    /// Restored by a drill.
    pub restored: u64,
    /// Expiring.
    pub expiring: u64,
    /// Found corrupt by a verify.
    pub corrupt: u64,
    /// Manifest or attestations cannot be read.
    pub damaged: u64,
}

/// The newest good backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestGood {
    /// The backup.
    pub backup_id: BackupId,
    /// Its snapshot's time by the server's clock.
    pub snapshot_at: Timestamp,
    /// Its rung.
    pub rung: Rung,
    /// Bytes as stored.
    pub stored_bytes: u64,
}

/// The newest drill whose report can be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastDrill {
    /// The drill.
    pub drill_id: DrillId,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub verdict: Verdict,
    /// What was drilled instead of a backup, such as `snapshot`: no row of it was compared.
    #[serde(default)]
    pub origin: Option<String>,
    /// Seconds the restore took, ANALYZE included, where that was measured.
    #[serde(default)]
    pub rto_seconds: Option<f64>,
    /// Seconds the objective allowed it.
    #[serde(default)]
    pub rto_objective_seconds: Option<f64>,
}

impl LastDrill {
    /// Whether a backup was drilled. A drill of another origin says nothing about backups, whatever came of it.
    pub fn is_of_backup(&self) -> bool {
        self.origin.is_none()
    }

    /// Whether a backup was restored and compared whole, objectives met or not.
    pub fn proves_backups(&self) -> bool {
        self.is_of_backup() && self.verdict != Verdict::Failed
    }

    /// How it ended, in words: `passed`, `passed (of a snapshot, rows not compared)`.
    pub fn words(&self) -> String {
        let verdict = self.verdict.words().to_lowercase();
        match &self.origin {
            Some(origin) => format!("{verdict} (of a {origin}, rows not compared)"),
            None => verdict,
        }
    }
}

impl From<&DrillReport> for LastDrill {
    fn from(report: &DrillReport) -> Self {
        Self {
            drill_id: report.drill_id.clone(),
            finished_at: report.finished_at,
            verdict: report.verdict,
            origin: report.origin.as_ref().map(|origin| origin.kind.clone()),
            rto_seconds: report.rto.actual_seconds.value,
            rto_objective_seconds: report.rto.objective_seconds.value,
        }
    }
}

/// How one database stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseStatus {
    /// The database.
    pub database: DatabaseSlug,
    /// In one word.
    pub standing: Standing,
    /// The newest good backup.
    pub newest_good: Option<NewestGood>,
    /// Seconds since its snapshot.
    pub freshness_seconds: Option<u64>,
    /// How many seconds the RPO allows.
    pub rpo_seconds: Option<u64>,
    /// Backups by how they stand.
    pub backups: Counts,
    /// Held ones among them.
    pub held: u64,
    /// Bytes as stored, of all readable backups.
    pub stored_bytes: u64,
    /// When a verify last passed.
    pub last_verified_at: Option<Timestamp>,
    /// The newest drill.
    pub last_drill: Option<LastDrill>,
    /// When the newest drill ended that restored a backup with all its data, of those that are looked at.
    #[serde(default)]
    pub proven_at: Option<Timestamp>,
    /// The run that holds the lease.
    pub running: Option<Lease>,
    /// What health last found.
    #[serde(default)]
    pub health: Option<LastLook>,
    /// What a person should look at.
    pub problems: Vec<String>,
}

/// When health last looked, and what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLook {
    /// When.
    pub at: Timestamp,
    /// Findings of each severity.
    pub critical: u64,
    /// See `critical`.
    pub warnings: u64,
}

/// The state of everything at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The moment.
    pub at: Timestamp,
    /// The store's URL.
    pub store: String,
    /// The databases, in the order asked for.
    pub databases: Vec<DatabaseStatus>,
    /// Their forecasts, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forecasts: Vec<DatabaseForecast>,
}

impl Status {
    /// The worst standing of all; `Fresh` where there is no database.
    pub fn worst(&self) -> Standing {
        self.databases.iter().map(|d| d.standing).max().unwrap_or(Standing::Fresh)
    }
}

/// Looks at the databases; changes nothing.
pub async fn status(store: &dyn Store, control: &dyn Store, watched: &[Watched], now: Timestamp) -> Result<Status> {
    let mut databases = Vec::with_capacity(watched.len());
    for Watched { database, rpo } in watched {
        let states = catalog::list(store, Some(database)).await?;
        let mut found = status_of(database, *rpo, &states, now);
        let reports = drill::latest_reports_with_proof(store, database, 1).await?;
        let drills: Vec<LastDrill> = reports.iter().map(LastDrill::from).collect();
        found.proven_at = drills.iter().find(|drill| drill.proves_backups()).map(|drill| drill.finished_at);
        found.last_drill = drills.into_iter().next();
        match lease::holder(control, database, now).await {
            Ok(holder) => found.running = holder,
            Err(e) if e.kind() == ErrorKind::Corrupt => found.problems.push(format!("{e}; {}", e.hint())),
            Err(e) => return Err(e),
        }
        found.health = health::last_look(control, database).await;
        databases.push(found);
    }
    Ok(Status { at: now, store: store.url().to_owned(), databases, forecasts: Vec::new() })
}

/// What the backups alone say; `states` are newest first.
pub fn status_of(database: &DatabaseSlug, rpo: Option<Span>, states: &[BackupState], now: Timestamp) -> DatabaseStatus {
    // One that a wrong clock dated into the future would hide for as long that dumps have stopped.
    let latest = now.saturating_add(CLOCKS_DIFFER).unwrap_or(now);
    let newest_good = states.iter().find(|s| s.good && s.at() <= latest).map(|s| NewestGood {
        backup_id: s.backup_id.clone(),
        snapshot_at: s.at(),
        rung: s.rung,
        stored_bytes: s.stored_bytes(),
    });
    let freshness =
        newest_good.as_ref().map(|newest| u64::try_from(now.duration_since(newest.snapshot_at).as_secs()).unwrap_or(0));
    let standing = match (freshness, rpo) {
        (None, _) if states.is_empty() => Standing::NoBackup,
        (None, _) => Standing::NoneGood,
        (Some(age), Some(rpo)) if age > rpo.0 => Standing::Stale,
        (Some(_), _) => Standing::Fresh,
    };
    let mut backups = Counts::default();
    for state in states {
        *match state.standing() {
            "damaged" => &mut backups.damaged,
            "corrupt" => &mut backups.corrupt,
            "expiring" => &mut backups.expiring,
            "restored" => &mut backups.restored,
            "verified" => &mut backups.verified,
            _ => &mut backups.uploaded,
        } += 1;
    }
    let mut problems: Vec<String> = states
        .iter()
        .filter_map(|s| s.problem.as_ref().map(|problem| format!("{} is damaged: {problem}", s.qualified())))
        .collect();
    problems.extend(states.iter().filter(|s| s.corrupt).map(|s| format!("{} is corrupt", s.qualified())));
    problems.extend(
        states
            .iter()
            .filter(|s| s.at() > latest)
            .map(|s| format!("{} is dated in the future: a clock is or was wrong", s.qualified())),
    );
    DatabaseStatus {
        database: database.clone(),
        standing,
        newest_good,
        freshness_seconds: freshness,
        rpo_seconds: rpo.map(|rpo| rpo.0),
        backups,
        held: states.iter().filter(|s| s.held.is_some()).count() as u64,
        stored_bytes: states.iter().map(BackupState::stored_bytes).sum(),
        last_verified_at: states.iter().filter_map(BackupState::verified_at).max(),
        last_drill: None,
        proven_at: None,
        running: None,
        health: None,
        problems,
    }
}
