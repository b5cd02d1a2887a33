//! A maintenance report in words.

use lifeboat_core::{
    maintenance::{
        Bloat, BloatSource, IndexLine, MaintenanceReport, Outcome, Session, StatementLine, TableKind, TableLine,
    },
    report::words::{bytes, count, duration},
};

use crate::{
    table::{Align, facts, table},
    text::Append,
};

/// The most tables and indexes that are shown.
const MOST_SHOWN: usize = 20;

/// What beside the statements is shown in full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) bloat: bool,
    pub(super) queries: bool,
}

/// The whole report.
pub(super) fn report(report: &MaintenanceReport, shown: Shown) -> String {
    let mut text = overview(report);
    text.push_str(&statements(report));
    text.push_str(&objects(report, shown.bloat));
    if shown.queries {
        text.push_str(&sessions(report));
    }
    text.push_str(&left_out(report));
    text.push_str(&recommendations(report));
    if let Some(why) = &report.ended_by {
        text.add(format_args!("ended early: {why}\n"));
    }
    if report.dry_run {
        text.push_str("This is a dry run: nothing was changed.\n");
    }
    text
}

/// A figure before and, where it is known, after.
fn change<T: PartialEq>(before: T, after: Option<T>, words: impl Fn(T) -> String) -> String {
    match after {
        Some(after) if after != before => format!("{} → {}", words(before), words(after)),
        _ => words(before),
    }
}

fn overview(report: &MaintenanceReport) -> String {
    let whole = &report.overview;
    let (before, after) = (whole.before, whole.after);
    let sessions = &report.sessions;
    facts([
        ("database", format!("{} (PostgreSQL {})", report.database, version(report.server_version_num))),
        ("size", change(before.database_bytes, after.map(|a| a.database_bytes), bytes)),
        (
            "dead",
            format!(
                "{} tuples beside {} live ones, in {} tables",
                change(before.dead_tuples, after.map(|a| a.dead_tuples), count),
                count(before.live_tuples),
                count(before.tables)
            ),
        ),
        (
            "bloat",
            format!(
                "{} in tables, {} in {} indexes{}",
                change(before.table_bloat_bytes, after.map(|a| a.table_bloat_bytes), bytes),
                change(before.index_bloat_bytes, after.map(|a| a.index_bloat_bytes), bytes),
                count(before.indexes),
                if whole.can_measure { "" } else { " (estimated: the extension pgstattuple would measure it)" }
            ),
        ),
        (
            "cache",
            whole
                .cache_hit_percent
                .map_or_else(|| "nothing read yet".to_owned(), |p| format!("{p:.1} % of block reads")),
        ),
        (
            "sessions",
            format!(
                "{} of {} connections, {} to this database",
                sessions.connections, sessions.most_connections, sessions.here
            ),
        ),
        ("oldest", format!("transaction {} transactions ago", count(whole.transaction_age))),
    ])
}

fn version(number: u32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

/// The statements, with what came of each.
pub(super) fn statements(report: &MaintenanceReport) -> String {
    if report.statements.is_empty() {
        return match report.operations.as_slice() {
            [] => String::new(),
            some => {
                let names: Vec<String> = some.iter().map(ToString::to_string).collect();
                format!("\nNothing to do: no table or index needs {}.\n", names.join(", "))
            }
        };
    }
    let mut text = "\n".to_owned();
    if report.dry_run || report.statements.iter().all(|s| s.outcome == Outcome::Planned) {
        for line in &report.statements {
            text.add(format_args!("{};\n    why: {}\n", line.statement, line.reason));
            text.add(format_args!("    blocks: {}\n", line.blocks));
            if line.disk_bytes > 0 {
                text.add(format_args!("    needs: up to {} of free disk\n", bytes(line.disk_bytes)));
            }
        }
        return text;
    }
    text.push_str(&table(
        &[
            ("", Align::Left),
            ("statement", Align::Left),
            ("before", Align::Right),
            ("after", Align::Right),
            ("took", Align::Right),
            ("why", Align::Left),
        ],
        report.statements.iter().map(|line| {
            vec![
                outcome(line.outcome).to_owned(),
                line.statement.clone(),
                line.before.map_or_else(dash, |s| bytes(s.bytes)),
                line.after.map_or_else(dash, |s| bytes(s.bytes)),
                duration(line.seconds),
                why(line),
            ]
        }),
    ));
    text
}

fn dash() -> String {
    "–".to_owned()
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Planned => "planned",
        Outcome::Done => "done",
        Outcome::Skipped => "skipped",
        Outcome::Failed => "FAILED",
    }
}

fn why(line: &StatementLine) -> String {
    match &line.detail {
        Some(detail) => format!("{}; {detail}", line.reason),
        None => line.reason.clone(),
    }
}

fn bloat(bloat: Bloat) -> String {
    let about = if bloat.source == BloatSource::Estimated { "~" } else { "" };
    format!("{about}{} ({} %)", bytes(bloat.bytes), bloat.percent)
}

/// Tables and indexes that were worked on; all larger ones, where asked for.
fn objects(report: &MaintenanceReport, all: bool) -> String {
    let named = |name: &lifeboat_core::maintenance::ObjectName| report.statements.iter().any(|s| s.object == *name);
    let tables: Vec<&TableLine> = report
        .tables
        .iter()
        .filter(|t| t.before.kind != TableKind::Partitioned && (all || named(&t.before.name)))
        .take(MOST_SHOWN)
        .collect();
    let indexes: Vec<&IndexLine> = report
        .indexes
        .iter()
        .filter(|i| !i.before.partitioned && (all || named(&i.before.name)))
        .take(MOST_SHOWN)
        .collect();
    let mut text = String::new();
    if !tables.is_empty() && (all || !report.dry_run) {
        let rows = tables.iter().map(|line| {
            let (before, after) = (&line.before, line.after);
            vec![
                before.name.to_string(),
                change(before.heap_bytes, after.map(|a| a.heap_bytes), bytes),
                change(before.bloat, after.map(|a| a.bloat), |b| b.map_or_else(dash, bloat)),
                count(before.live_tuples),
                change(before.dead_tuples, after.map(|a| a.dead_tuples), count),
                before.last_vacuum.map_or_else(|| "never".to_owned(), |at| format!("{at:.0}")),
            ]
        });
        text.push('\n');
        text.push_str(&table(
            &[
                ("table", Align::Left),
                ("heap", Align::Right),
                ("bloat", Align::Right),
                ("live", Align::Right),
                ("dead", Align::Right),
                ("last vacuum", Align::Left),
            ],
            rows,
        ));
    }
    if !indexes.is_empty() && (all || !report.dry_run) {
        let rows = indexes.iter().map(|line| {
            let before = &line.before;
            let after_bloat = line.after_bytes.map(|_| line.after_bloat);
            vec![
                before.name.to_string(),
                change(before.bytes, line.after_bytes, bytes),
                change(before.bloat, after_bloat, |b| b.map_or_else(dash, bloat)),
                count(before.scans),
                if before.valid { "" } else { "invalid" }.to_owned(),
            ]
        });
        text.push('\n');
        text.push_str(&table(
            &[
                ("index", Align::Left),
                ("size", Align::Right),
                ("bloat", Align::Right),
                ("scans", Align::Right),
                ("", Align::Left),
            ],
            rows,
        ));
    }
    text
}

fn sessions(report: &MaintenanceReport) -> String {
    let told = &report.sessions;
    let mut text = format!(
        "\n{} sessions of this database: {} active, {} idle in a transaction, {} waiting for a lock\n",
        told.here,
        told.active,
        told.idle_in_transaction,
        told.waiting.len()
    );
    let line = |kind: &str, s: &Session, more: String| {
        vec![
            kind.to_owned(),
            s.pid.to_string(),
            s.user.clone(),
            s.application.clone(),
            duration(s.seconds),
            format!("{}{more}", s.query),
        ]
    };
    let rows: Vec<Vec<String>> = told
        .waiting
        .iter()
        .map(|w| {
            let pids: Vec<String> = w.blocked_by.iter().map(ToString::to_string).collect();
            line("waits", &w.session, format!(" (for {})", pids.join(", ")))
        })
        .chain(told.long_queries.iter().map(|s| line("long query", s, String::new())))
        .chain(told.long_idle.iter().map(|s| line("idle in transaction", s, String::new())))
        .collect();
    if !rows.is_empty() {
        text.push_str(&table(
            &[
                ("", Align::Left),
                ("pid", Align::Right),
                ("user", Align::Left),
                ("application", Align::Left),
                ("for", Align::Right),
                ("query", Align::Left),
            ],
            rows,
        ));
    }
    text
}

fn left_out(report: &MaintenanceReport) -> String {
    let mut text = String::new();
    for left in &report.left_out {
        text.add(format_args!("\nleft out: {}\n  {}\n", left.statement, left.reason));
        for statement in &left.statements {
            text.add(format_args!("    {statement}\n"));
        }
    }
    text
}

fn recommendations(report: &MaintenanceReport) -> String {
    let mut text = String::new();
    for advice in &report.recommendations {
        text.add(format_args!("\n{}: {}\n", advice.severity.name(), advice.message));
        for statement in &advice.statements {
            text.add(format_args!("    {statement}\n"));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}
