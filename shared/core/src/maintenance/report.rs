//! The report of a maintenance run: what was done, before and after, what was left out, and what a person should do.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{Bloat, Facts, IndexFacts, Limits, ObjectName, Operation, SequenceFacts, Sessions, TableFacts, Thresholds};
use crate::{
    events::{MaintenanceCompleted, Severity},
    ids::{DatabaseSlug, RunId},
    manifest::PhaseDuration,
};

/// The version of the report's format. A newer version only adds.
pub const REPORT_FORMAT_VERSION: u32 = 1;

/// The most tables and indexes that a report lists, beside those that were worked on.
const MOST_LISTED: usize = 100;

/// Where a run's report lies in the control store.
pub fn report_key(database: &DatabaseSlug, started_at: Timestamp, run_id: &RunId) -> String {
    let at = started_at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ");
    format!("maintenance/{database}/{at}-{run_id}.json")
}

/// What a table or index occupies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Bytes: of a table those of heap and TOAST, without its indexes.
    pub bytes: u64,
    /// Dead tuples of a table.
    pub dead_tuples: u64,
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It would be run: this is a dry run.
    Planned,
    /// It was run to its end.
    Done,
    /// It was left out, because of a lock, of the application, or of the time.
    Skipped,
    /// The server refused it.
    Failed,
}

/// One statement of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementLine {
    /// As it was sent.
    pub statement: String,
    /// What it works on.
    pub object: ObjectName,
    /// Why.
    pub reason: String,
    /// What it keeps others from.
    pub blocks: String,
    /// Bytes of disk it needs for its time.
    pub disk_bytes: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was skipped or failed, or what the server warned of.
    pub detail: Option<String>,
    /// How often it was begun.
    pub attempts: u32,
    /// Seconds it took, waiting included.
    pub seconds: f64,
    /// What its object occupied before.
    pub before: Option<Size>,
    /// And after.
    pub after: Option<Size>,
}

/// What is due and was not even tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutLine {
    /// The statement that would be due.
    pub statement: String,
    /// What it is about.
    pub object: ObjectName,
    /// Why it was left out.
    pub reason: String,
    /// What would let it be done.
    pub statements: Vec<String>,
}

/// One thing that a person should do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// Stable name; docs/DATABASE-CARE.md lists them.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub object: Option<String>,
    /// What is the matter.
    pub message: String,
    /// What settles it, ready to be run.
    pub statements: Vec<String>,
}

/// Sums over the whole database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Tables that hold rows.
    pub tables: u64,
    /// Indexes that hold entries.
    pub indexes: u64,
    /// Live tuples.
    pub live_tuples: u64,
    /// Dead tuples.
    pub dead_tuples: u64,
    /// Bloat of tables, where known.
    pub table_bloat_bytes: u64,
    /// Bloat of indexes, where known.
    pub index_bloat_bytes: u64,
}

/// The whole, before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Before.
    pub before: Totals,
    /// After; missing where nothing was run.
    pub after: Option<Totals>,
    /// Percent of block reads that the server's cache answered.
    pub cache_hit_percent: Option<f64>,
    /// How many transactions old the oldest unfrozen one is.
    pub transaction_age: u64,
    /// Since when the statistics count.
    pub statistics_since: Option<Timestamp>,
    /// Whether bloat could be measured, not only estimated.
    pub can_measure: bool,
}

/// A table before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableLine {
    /// The table as it was.
    pub before: TableFacts,
    /// Live tuples, dead tuples, heap bytes and bloat after; missing where nothing was run or the table is gone.
    pub after: Option<TableAfter>,
}

/// What may be different of a table after maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableAfter {
    /// Live tuples.
    pub live_tuples: u64,
    /// Dead tuples.
    pub dead_tuples: u64,
    /// Bytes of the heap.
    pub heap_bytes: u64,
    /// Bytes with TOAST and indexes.
    pub total_bytes: u64,
    /// Bloat.
    pub bloat: Option<Bloat>,
}

/// An index before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexLine {
    /// The index as it was.
    pub before: IndexFacts,
    /// Bytes after; an index that was built anew is found by its name.
    pub after_bytes: Option<u64>,
    /// Bloat after.
    pub after_bloat: Option<Bloat>,
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaintenanceReport {
    /// See [`REPORT_FORMAT_VERSION`].
    pub format_version: u32,
    /// The run.
    pub run_id: RunId,
    /// The database.
    pub database: DatabaseSlug,
    /// When it began, UTC.
    pub started_at: Timestamp,
    /// Seconds it took.
    pub seconds: f64,
    /// Seconds per phase.
    pub phases: Vec<PhaseDuration>,
    /// `schedule`, `command line`, `request`.
    pub trigger: String,
    /// Nothing was run.
    pub dry_run: bool,
    /// Such as 150018.
    pub server_version_num: u32,
    /// What was asked for.
    pub operations: Vec<Operation>,
    /// The tables that were named.
    pub tables_asked: Vec<String>,
    /// From when on something is done.
    pub thresholds: Thresholds,
    /// How much it could ask of the server.
    pub limits: Limits,
    /// What ended it before its end: the time budget, a deadline, a person.
    pub ended_by: Option<String>,
    /// The plan's statements, in order.
    pub statements: Vec<StatementLine>,
    /// What is due and was left out of the plan.
    pub left_out: Vec<LeftOutLine>,
    /// What a person should do, gravest first.
    pub recommendations: Vec<Advice>,
    /// The whole, before and after.
    pub overview: Overview,
    /// The tables worked on, then the largest others.
    pub tables: Vec<TableLine>,
    /// The indexes worked on, then the largest others.
    pub indexes: Vec<IndexLine>,
    /// Sequences, nearest to their end first.
    pub sequences: Vec<SequenceFacts>,
    /// Who was connected, and what they did.
    pub sessions: Sessions,
}

impl Totals {
    /// Of one reading.
    pub fn of(facts: &Facts) -> Self {
        let tables = || facts.tables.iter().filter(|t| t.kind != super::TableKind::Partitioned);
        let indexes = || facts.indexes.iter().filter(|i| !i.partitioned);
        Self {
            database_bytes: facts.database_bytes,
            tables: tables().count() as u64,
            indexes: indexes().count() as u64,
            live_tuples: tables().map(|t| t.live_tuples).sum(),
            dead_tuples: tables().map(|t| t.dead_tuples).sum(),
            table_bloat_bytes: tables().filter_map(|t| t.bloat).map(|b| b.bytes).sum(),
            index_bloat_bytes: indexes().filter_map(|i| i.bloat).map(|b| b.bytes).sum(),
        }
    }
}

impl MaintenanceReport {
    /// Statements with this outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.statements.iter().filter(|s| s.outcome == outcome).count() as u64
    }

    /// Bytes that the objects worked on have less than before; negative where they grew.
    pub fn reclaimed_bytes(&self) -> i64 {
        // An object may be worked on twice: the first figure before, and the last after.
        let mut objects: BTreeMap<&ObjectName, (u64, u64)> = BTreeMap::new();
        for line in &self.statements {
            if let (Some(before), Some(after)) = (line.before, line.after) {
                objects.entry(&line.object).or_insert((before.bytes, after.bytes)).1 = after.bytes;
            }
        }
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        objects.values().map(|(before, after)| signed(*before).saturating_sub(signed(*after))).sum()
    }

    /// What the bus is told.
    pub fn completed(&self) -> MaintenanceCompleted {
        MaintenanceCompleted {
            statements: self.count(Outcome::Done),
            skipped: self.count(Outcome::Skipped) + self.left_out.len() as u64,
            reclaimed_bytes: self.reclaimed_bytes(),
            recommendations: self.recommendations.len() as u64,
            seconds: self.seconds,
        }
    }
}

/// Tables and indexes before and after, those worked on first.
pub(super) fn lines(
    before: &Facts,
    after: Option<&Facts>,
    worked_on: impl Fn(&ObjectName) -> bool,
) -> (Vec<TableLine>, Vec<IndexLine>) {
    // By name: an index built anew has another OID.
    let tables_after: BTreeMap<&ObjectName, &TableFacts> =
        after.iter().flat_map(|f| &f.tables).map(|t| (&t.name, t)).collect();
    let indexes_after: BTreeMap<&ObjectName, &IndexFacts> =
        after.iter().flat_map(|f| &f.indexes).map(|i| (&i.name, i)).collect();
    let tables = first(&before.tables, |t| worked_on(&t.name)).map(|t| TableLine {
        before: t.clone(),
        after: tables_after.get(&t.name).map(|t| TableAfter {
            live_tuples: t.live_tuples,
            dead_tuples: t.dead_tuples,
            heap_bytes: t.heap_bytes,
            total_bytes: t.total_bytes,
            bloat: t.bloat,
        }),
    });
    let indexes = first(&before.indexes, |i| worked_on(&i.name)).map(|i| {
        let after = indexes_after.get(&i.name);
        IndexLine { before: i.clone(), after_bytes: after.map(|i| i.bytes), after_bloat: after.and_then(|i| i.bloat) }
    });
    (tables.collect(), indexes.collect())
}

/// Those that are wanted, then the first of the others.
fn first<'a, T>(all: &'a [T], wanted: impl Fn(&T) -> bool + 'a) -> impl Iterator<Item = &'a T> {
    let (wanted, others): (Vec<&T>, Vec<&T>) = all.iter().partition(|one| wanted(one));
    wanted.into_iter().chain(others.into_iter().take(MOST_LISTED))
}
