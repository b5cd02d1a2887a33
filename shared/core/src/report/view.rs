//! A drill report made ready for reading: every number in words, failures first; HTML and Markdown print the same.

use std::fmt::Display;

use super::{
    DrillReport, Fact, InventoryDifference, NegativeControl, Objective, PhaseOutcome, TableEvidence, TableOutcome,
    Verdict, words::duration,
};
use crate::{
    manifest::{ObjectRecord, Omitted},
    markdown::grouped,
    ports::ToolMessage,
};

/// Tables shown at once; where there are more, those that are equal are folded away.
const TABLES_SHOWN: usize = 200;

/// Objects of the backup that are listed; the rest stand in report.json.
const OBJECTS_SHOWN: usize = 200;

/// A label and what it says.
pub(super) struct Row {
    pub(super) label: &'static str,
    pub(super) value: String,
    /// Whether the value is missing, and what is shown is the reason.
    pub(super) unknown: bool,
}

pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
}

/// One number of the headline: so many of all.
pub(super) struct Tile {
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) all: String,
    pub(super) good: bool,
}

/// An objective against what was reached; positions in per cent of the bar's width.
pub(super) struct Bar {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    pub(super) class: &'static str,
    pub(super) result: String,
    pub(super) actual: String,
    pub(super) objective: String,
    pub(super) actual_percent: Option<String>,
    pub(super) objective_percent: Option<String>,
}

/// One phase as a segment of the time line and a line of its table.
pub(super) struct Phase {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) offset_percent: String,
    pub(super) width_percent: String,
    pub(super) visible: bool,
    pub(super) seconds: String,
    pub(super) span: String,
    pub(super) outcome: &'static str,
    pub(super) failed: bool,
    pub(super) counts_for_rto: bool,
    pub(super) note: String,
}

pub(super) struct Table {
    pub(super) name: String,
    pub(super) rows_expected: String,
    pub(super) rows_actual: String,
    pub(super) checksum: String,
    pub(super) words: &'static str,
    pub(super) good: bool,
    pub(super) note: String,
}

pub(super) struct Tool {
    pub(super) step: String,
    pub(super) exit_code: String,
    pub(super) messages: Vec<Message>,
}

pub(super) struct Message {
    pub(super) classification: &'static str,
    pub(super) fatal: bool,
    pub(super) text: String,
    pub(super) entry: String,
}

pub(super) struct View<'a> {
    pub(super) report: &'a DrillReport,
    pub(super) class: &'static str,
    pub(super) symbol: &'static str,
    pub(super) verdict: &'static str,
    pub(super) sentence: String,
    pub(super) date: String,
    pub(super) tiles: Vec<Tile>,
    pub(super) bars: Vec<Bar>,
    pub(super) phases: Vec<Phase>,
    pub(super) total_time: String,
    pub(super) rto_time: String,
    pub(super) tables: Vec<Table>,
    pub(super) folded_tables: Vec<Table>,
    pub(super) large_objects: String,
    pub(super) findings: Vec<String>,
    pub(super) differences: &'a [InventoryDifference],
    pub(super) tools: Vec<Tool>,
    pub(super) controls: &'a [NegativeControl],
    pub(super) sections: Vec<Section>,
    pub(super) objects: &'a [ObjectRecord],
    pub(super) more_objects: usize,
    pub(super) omitted: &'a [Omitted],
}

impl<'a> View<'a> {
    pub(super) fn new(report: &'a DrillReport) -> Self {
        let (class, symbol) = match report.verdict {
            Verdict::Passed => ("good", "✓"),
            Verdict::Failed => ("bad", "✕"),
            Verdict::ObjectiveMissed => ("late", "!"),
        };
        let (tables, folded_tables) = tables(&report.data.tables);
        let objects = &report.backup.objects;
        let total: f64 = report.phases.iter().map(|p| p.seconds).sum();
        let rto: f64 = report.phases.iter().filter(|p| p.counts_for_rto).map(|p| p.seconds).sum();
        Self {
            report,
            class,
            symbol,
            verdict: report.verdict.words(),
            sentence: sentence(report),
            date: report.started_at.strftime("%-d %B %Y, %H:%M UTC").to_string(),
            tiles: tiles(report),
            bars: vec![
                bar("RTO", "time to have the database back, ANALYZE included", &report.rto),
                bar("RPO", "age of the restored data when the drill began", &report.rpo),
            ],
            phases: phases(report, total),
            total_time: duration(total),
            rto_time: duration(rto),
            tables,
            folded_tables,
            large_objects: large_objects(report),
            findings: findings(report),
            differences: &report.schema.differences,
            tools: tools(report),
            controls: &report.proof.negative_controls,
            sections: super::sections::sections(report),
            objects: objects.get(..OBJECTS_SHOWN).unwrap_or(objects),
            more_objects: objects.len().saturating_sub(OBJECTS_SHOWN),
            omitted: &report.backup.omitted,
        }
    }
}

/// A label with a value that is known.
pub(super) fn row(label: &'static str, value: impl Display) -> Row {
    Row { label, value: value.to_string(), unknown: false }
}

/// A label with a value, or the reason why there is none.
pub(super) fn fact<T: Display>(label: &'static str, fact: &Fact<T>) -> Row {
    match &fact.value {
        Some(value) => row(label, value),
        None => Row {
            label,
            value: format!("not known: {}", fact.reason.as_deref().unwrap_or("no reason given")),
            unknown: true,
        },
    }
}

fn sentence(report: &DrillReport) -> String {
    let backup = &report.backup.backup_id;
    match report.verdict {
        Verdict::Passed => {
            format!("Backup {backup} was restored, and all of it is what the database held at the snapshot.")
        }
        Verdict::Failed => format!("Do not rely on backup {backup} before this is understood."),
        Verdict::ObjectiveMissed => {
            format!("Backup {backup} was restored and its data are right, but an objective was missed.")
        }
    }
}

fn tiles(report: &DrillReport) -> Vec<Tile> {
    let coverage = &report.data.coverage;
    let of = |label, part: u64, all: u64| Tile { label, value: grouped(part), all: grouped(all), good: part == all };
    let count = |yes: usize, all: usize| (yes as u64, all as u64);
    let checks = &report.proof.checks;
    let controls = &report.proof.negative_controls;
    let (rejected, planted) = count(controls.iter().filter(|c| c.rejected).count(), controls.len());
    let (held, asked) = count(checks.iter().filter(|c| c.passed).count(), checks.len());
    let mut tiles = vec![
        of("tables equal", coverage.tables_equal, coverage.tables_expected),
        of("rows compared", coverage.rows_compared, coverage.rows_expected),
        of("damaged copies rejected", rejected, planted),
    ];
    tiles[2].good &= planted > 0;
    if asked > 0 {
        tiles.push(of("own checks hold", held, asked));
    }
    tiles
}

fn bar(name: &'static str, meaning: &'static str, objective: &Objective) -> Bar {
    let (wanted, reached) = (objective.objective_seconds.value, objective.actual_seconds.value);
    let scale = wanted.unwrap_or(0.0).max(reached.unwrap_or(0.0)) * 1.12;
    let percent = |seconds: Option<f64>| {
        let percent = seconds.filter(|_| scale > 0.0).map(|s| (s / scale * 100.0).clamp(0.6, 100.0));
        percent.map(|p| format!("{p:.2}"))
    };
    let words = |fact: &Fact<f64>| match fact.value {
        Some(seconds) => duration(seconds),
        None => fact.reason.clone().unwrap_or_else(|| "not known".to_owned()),
    };
    let (class, result) = match (objective.met, wanted, reached) {
        (Some(true), Some(wanted), Some(reached)) => {
            ("good", format!("met, with {} to spare", duration(wanted - reached)))
        }
        (Some(false), Some(wanted), Some(reached)) => ("bad", format!("missed by {}", duration(reached - wanted))),
        (_, None, _) => ("none", "no objective".to_owned()),
        _ => ("none", "not measured".to_owned()),
    };
    Bar {
        name,
        meaning,
        class,
        result,
        actual: words(&objective.actual_seconds),
        objective: words(&objective.objective_seconds),
        actual_percent: percent(reached),
        objective_percent: percent(wanted),
    }
}

fn phases(report: &DrillReport, total: f64) -> Vec<Phase> {
    let mut before = 0.0;
    let phase = |(number, timing): (usize, &super::PhaseTiming)| {
        let percent = |seconds: f64| if total > 0.0 { seconds / total * 100.0 } else { 0.0 };
        let clock = |at: Option<jiff::Timestamp>| at.map(|t| t.strftime("%H:%M:%S%.1f").to_string());
        let offset = percent(before);
        before += timing.seconds;
        Phase {
            number: number % 10,
            name: timing.phase.clone(),
            offset_percent: format!("{offset:.3}"),
            width_percent: format!("{:.3}", percent(timing.seconds)),
            visible: timing.seconds > 0.0,
            seconds: if timing.outcome == PhaseOutcome::Skipped { "–".to_owned() } else { duration(timing.seconds) },
            span: match (clock(timing.started_at), clock(timing.ended_at)) {
                (Some(start), Some(end)) => format!("{start} – {end}"),
                (Some(start), None) => format!("{start} –"),
                _ => "–".to_owned(),
            },
            outcome: match timing.outcome {
                PhaseOutcome::Done => "done",
                PhaseOutcome::Failed => "failed",
                PhaseOutcome::Skipped => "skipped",
            },
            failed: timing.outcome == PhaseOutcome::Failed,
            counts_for_rto: timing.counts_for_rto,
            note: timing.note.clone().unwrap_or_default(),
        }
    };
    report.phases.iter().enumerate().map(phase).collect()
}

fn tables(evidence: &[TableEvidence]) -> (Vec<Table>, Vec<Table>) {
    let table = |t: &TableEvidence| {
        let short = |sum: &str| sum.chars().take(12).collect::<String>();
        let checksum = match &t.checksum_actual {
            Some(actual) if *actual == t.checksum_expected => format!("{}…", short(actual)),
            Some(actual) => format!("{}… ≠ {}…", short(&t.checksum_expected), short(actual)),
            None => format!("{}… ≠ –", short(&t.checksum_expected)),
        };
        let (words, good) = match t.outcome {
            TableOutcome::Equal => ("equal", true),
            TableOutcome::TypeOutputDiffers => ("type output differs", true),
            TableOutcome::RowsDiffer => ("rows differ", false),
            TableOutcome::ContentDiffers => ("content differs", false),
            TableOutcome::Skipped => ("not compared", false),
        };
        Table {
            name: t.table.clone(),
            rows_expected: grouped(t.rows_expected),
            rows_actual: t.rows_actual.map_or_else(|| "–".to_owned(), grouped),
            checksum,
            words,
            good,
            note: t.note.clone().unwrap_or_default(),
        }
    };
    let (good, mut shown): (Vec<_>, Vec<_>) = evidence.iter().map(table).partition(|t| t.good);
    if evidence.len() <= TABLES_SHOWN {
        shown.extend(good);
        (shown, Vec::new())
    } else {
        (shown, good)
    }
}

fn large_objects(report: &DrillReport) -> String {
    let large = &report.data.large_objects;
    if large.expected == 0 {
        return "The backup holds no large objects.".to_owned();
    }
    let mut text = format!("{} of {} large objects compared", grouped(large.compared), grouped(large.expected));
    if large.differing.is_empty() {
        text.push_str("; all of these are equal.");
    } else {
        let oids: Vec<_> = large.differing.iter().take(20).map(u32::to_string).collect();
        text = format!("{text}; {} are missing or differ: {}.", large.differing.len(), oids.join(", "));
    }
    text
}

fn findings(report: &DrillReport) -> Vec<String> {
    let schema = &report.schema;
    let orphans =
        schema.orphans.iter().map(|o| format!("{}: {} rows refer to nothing", o.foreign_key, grouped(o.rows)));
    let behind = schema.sequences_behind.iter().map(|s| {
        let why = s.accepted.as_deref().map(|a| format!(" ({a})")).unwrap_or_default();
        format!("sequence {} stands at {}, its column at {}{why}", s.sequence, s.last_value, s.largest_value)
    });
    let toc = schema.toc_differences.iter().map(|d| format!("table of contents: {d}"));
    let roles = schema.roles_missing.iter().map(|r| format!("role not restored: {r}"));
    let invalid = schema.invalid_indexes.iter().map(|name| format!("index {name} is not valid"));
    orphans.chain(invalid).chain(behind).chain(toc).chain(roles).collect()
}

fn tools(report: &DrillReport) -> Vec<Tool> {
    let message = |m: &ToolMessage| Message {
        classification: m.classification.words(),
        fatal: m.classification.is_fatal(),
        text: m.text.clone(),
        entry: m.entry.clone().unwrap_or_default(),
    };
    let tool = |t: &super::ToolRun| {
        let mut messages: Vec<_> = t.messages.iter().map(message).collect();
        messages.sort_by_key(|m| !m.fatal);
        let exit_code = match (t.exit_code.value, &t.exit_code.reason) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(reason)) => format!("exit code not known: {reason}"),
            (None, None) => "exit code not known".to_owned(),
        };
        Tool { step: t.step.clone(), exit_code, messages }
    };
    report.proof.tools.iter().map(tool).collect()
}
