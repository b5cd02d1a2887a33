//! Findings about tables, indexes and sequences.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Recommendation, Remedy, add};
use crate::{
    events::Severity,
    maintenance::{
        Action, BloatSource, Facts, IndexCleanup, IndexFacts, MaintenanceRequest, Plan, TableKind,
        plan::{is_bloated, is_leftover, percent},
    },
    report::words::{bytes, count},
};

/// Indexes smaller than this cost so little that nobody needs to hear of them.
const LEAST_INDEX_BYTES: u64 = 128 << 10;
/// Percent of a sequence's way from which it is urgent.
const SEQUENCE_CRITICAL_PERCENT: u32 = 95;

pub(super) fn sequences(facts: &Facts, request: &MaintenanceRequest, found: &mut Vec<Recommendation>) {
    for sequence in facts.sequences.iter().filter(|s| s.used_percent >= request.thresholds.sequence_percent) {
        let feeds = sequence.column.as_ref().map_or_else(String::new, |(t, c)| format!(", which feeds {t}.{c}"));
        let ends = match &sequence.column_type {
            Some(column) => format!("its column is {column}"),
            None => format!("it is {}", sequence.data_type),
        };
        let message = format!(
            "sequence {}{feeds} stands at {} of {} ({} %): {ends}; at its end every INSERT fails. Changing a column's type \
             writes its table anew and shuts everybody out meanwhile",
            sequence.name, sequence.last_value, sequence.end, sequence.used_percent
        );
        let urgent = sequence.used_percent >= SEQUENCE_CRITICAL_PERCENT;
        let severity = if urgent { Severity::Critical } else { Severity::Warning };
        let remedy = if sequence.data_type == "bigint" && sequence.column_type.is_none() {
            Remedy::RaiseLimit { sequence: sequence.name.clone() }
        } else {
            Remedy::Widen {
                sequence: sequence.name.clone(),
                sequence_too: sequence.data_type != "bigint",
                column: sequence.column.clone().filter(|_| sequence.column_type.is_some()),
            }
        };
        add(found, "sequence_near_end", severity, Some(sequence.name.to_string()), message, remedy);
    }
}

pub(super) fn tables(facts: &Facts, request: &MaintenanceRequest, plan: &Plan, found: &mut Vec<Recommendation>) {
    let worked_on: BTreeSet<u32> = plan.steps.iter().map(|s| s.oid).collect();
    let thresholds = &request.thresholds;
    for table in facts.tables.iter().filter(|t| !t.of_extension) {
        let name = || Some(table.name.to_string());
        let full = plan.steps.iter().any(|s| s.oid == table.oid && matches!(s.action, Action::VacuumFull { .. }));
        if let Some(bloat) = table.bloat.filter(|b| is_bloated(*b, request) && !full) {
            let message = format!(
                "{} of {} ({} %, {}) in {} hold nothing of use. VACUUM lets new rows use that space; only writing the table \
                 anew gives it back: `lifeboat maintenance {} --full --table {}` shuts everybody out meanwhile, the \
                 extension pg_repack does not",
                bytes(bloat.bytes),
                bytes(table.heap_bytes),
                bloat.percent,
                known_by(bloat.source),
                table.name,
                request.database,
                shell(&table.name.to_string()),
            );
            let remedy = Remedy::Run { action: Action::VacuumFull { table: table.name.clone() } };
            add(found, "bloated_table", Severity::Info, name(), message, remedy);
        }
        let dead_percent = percent(table.dead_tuples, table.live_tuples.saturating_add(table.dead_tuples));
        let many_dead = table.dead_tuples >= thresholds.dead_tuples_least.max(1);
        if many_dead && dead_percent >= thresholds.dead_tuples_percent && !worked_on.contains(&table.oid) {
            let action = Action::Vacuum {
                table: table.name.clone(),
                parallel: request.limits.parallel,
                truncate: false,
                index_cleanup: IndexCleanup::Auto,
            };
            let message = format!("{} has {} dead tuples ({dead_percent} %)", table.name, count(table.dead_tuples));
            add(found, "dead_tuples", Severity::Info, name(), message, Remedy::Run { action });
        }
        if !table.autovacuum && table.kind != TableKind::Partitioned {
            let message = format!("autovacuum is turned off for {}: nobody but you takes care of it", table.name);
            let remedy = Remedy::TurnOnAutovacuum { table: Some(table.name.clone()) };
            add(found, "autovacuum_off", Severity::Warning, name(), message, remedy);
        }
        if !table.identified {
            let message = format!(
                "{} has no primary key: rows cannot be told apart, nor updates replicated logically",
                table.name
            );
            let remedy = Remedy::AddPrimaryKey { table: table.name.clone() };
            add(found, "no_primary_key", Severity::Info, name(), message, remedy);
        }
    }
}

pub(super) fn indexes(
    facts: &Facts,
    request: &MaintenanceRequest,
    plan: &Plan,
    now: Timestamp,
    found: &mut Vec<Recommendation>,
) {
    let worked_on: BTreeSet<u32> = plan.steps.iter().map(|s| s.oid).collect();
    let duplicates = duplicates(facts);
    for index in facts.indexes.iter().filter(|i| !i.of_extension && !worked_on.contains(&i.oid)) {
        let name = || Some(index.name.to_string());
        if !index.valid && !index.being_built && !index.partitioned {
            let (what, remedy) = if is_leftover(facts, index) {
                let action = Action::DropLeftover { index: index.name.clone() };
                ("was left by a REINDEX CONCURRENTLY that did not end", Remedy::Run { action })
            } else {
                let action = Action::Reindex { index: index.name.clone() };
                ("is invalid: what built it failed", Remedy::Run { action })
            };
            let message =
                format!("{} on {} {what}. No query uses it, and every write pays for it", index.name, index.table);
            add(found, "invalid_index", Severity::Warning, name(), message, remedy);
            continue;
        }
        let rebuilt =
            plan.steps.iter().any(|s| s.table_oid == index.table_oid && matches!(s.action, Action::VacuumFull { .. }));
        if let Some(kept) = duplicates.get(&index.oid) {
            let message = format!(
                "{} ({}) does the same as {}: every write to {} pays for both",
                index.name,
                bytes(index.bytes),
                kept.name,
                index.table
            );
            add(found, "duplicate_index", Severity::Info, name(), message, drop_of(index));
        } else if let Some(message) = unused(facts, index, request, now) {
            add(found, "unused_index", Severity::Info, name(), message, drop_of(index));
        } else if let Some(bloat) = index.bloat.filter(|b| is_bloated(*b, request) && !rebuilt) {
            let message = format!(
                "{} of {} ({} %, {}) in {} hold nothing of use; `lifeboat maintenance {} --reindex` builds it anew",
                bytes(bloat.bytes),
                bytes(index.bytes),
                bloat.percent,
                known_by(bloat.source),
                index.name,
                request.database
            );
            let remedy = if index.exclusion {
                Remedy::ReindexLocking { index: index.name.clone() }
            } else {
                Remedy::Run { action: Action::Reindex { index: index.name.clone() } }
            };
            add(found, "bloated_index", Severity::Info, name(), message, remedy);
        }
    }
}

fn known_by(source: BloatSource) -> &'static str {
    match source {
        BloatSource::Estimated => "estimated",
        BloatSource::Measured => "measured",
    }
}

/// A word for a shell command in a message; names with odd characters are quoted for the shell.
fn shell(word: &str) -> String {
    crate::shell::shell_quote(word)
}

fn drop_of(index: &IndexFacts) -> Remedy {
    Remedy::DropIndex { index: index.name.clone(), concurrently: !index.partitioned }
}

/// Whether nothing but queries would miss it.
fn droppable(index: &IndexFacts) -> bool {
    index.valid
        && !index.being_built
        && !index.backs_constraint
        && !index.replica_identity
        && !index.attached
        && !index.of_extension
}

/// Why an index seems to be of no use; `None` where it is used, needed, small, or watched for too short a time.
fn unused(facts: &Facts, index: &IndexFacts, request: &MaintenanceRequest, now: Timestamp) -> Option<String> {
    let seconds_since = |at: Timestamp| u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0);
    let watched = seconds_since(facts.statistics_since?);
    let least = request.thresholds.unused_index_after_seconds;
    let used = index.scans > 0 && index.last_scan.is_none_or(|at| seconds_since(at) < least);
    if used
        || index.unique
        || index.clustered
        || !droppable(index)
        || index.bytes < LEAST_INDEX_BYTES
        || watched < least
    {
        return None;
    }
    let since = match index.last_scan {
        Some(at) => format!("was last used {} days ago", seconds_since(at) / 86_400),
        None => format!("was not used in the {} days that the statistics cover", watched / 86_400),
    };
    let standbys = if facts.standbys > 0 { " Standbys count for themselves: look there too." } else { "" };
    Some(format!(
        "{} on {} ({}) {since}, and every write pays for it. Make sure that no rare report needs it.{standbys}",
        index.name,
        index.table,
        bytes(index.bytes)
    ))
}

/// Indexes that can go because another does their work, with that other.
fn duplicates(facts: &Facts) -> BTreeMap<u32, &IndexFacts> {
    let mut groups: BTreeMap<(u32, &str), Vec<&IndexFacts>> = BTreeMap::new();
    for index in facts.indexes.iter().filter(|i| i.valid && !i.attached && !i.being_built) {
        groups.entry((index.table_oid, &index.signature)).or_default().push(index);
    }
    let mut found = BTreeMap::new();
    for group in groups.into_values().filter(|g| g.len() > 1) {
        let worth = |i: &&IndexFacts| {
            (i.backs_constraint, i.replica_identity, i.unique, i.clustered, i.scans, u32::MAX - i.oid)
        };
        let Some(kept) = group.iter().copied().max_by_key(worth) else { continue };
        for index in group.into_iter().filter(|i| i.oid != kept.oid && droppable(i) && (!i.unique || kept.unique)) {
            found.insert(index.oid, kept);
        }
    }
    found
}
