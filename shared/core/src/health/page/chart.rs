//! Charts of the status page: bars of sizes over time, and an objective beside what was reached.

use jiff::Timestamp;

use crate::{
    health::{
        SizePoint,
        words::{moment, span},
    },
    report::words,
};

/// Bars in a chart; older backups are left out.
const BARS: usize = 60;

/// One bar, in per cent of the chart's width and in its units of height.
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) y: String,
    pub(super) height: String,
    pub(super) class: &'static str,
    pub(super) words: String,
}

/// One line of the table that says the same as the chart.
pub(super) struct Line {
    pub(super) backup: String,
    pub(super) at: String,
    pub(super) size: String,
    pub(super) rows: String,
    pub(super) standing: String,
}

/// Sizes over time.
pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    pub(super) lines: Vec<Line>,
    pub(super) description: String,
    pub(super) largest: String,
    pub(super) first: String,
    pub(super) last: String,
}

/// The chart's height in units.
const HEIGHT: f64 = 100.0;

fn day(at: Timestamp) -> String {
    at.strftime("%-d %b %Y").to_string()
}

#[expect(clippy::cast_precision_loss, reason = "positions in a drawing")]
pub(super) fn sizes(points: &[SizePoint]) -> Option<Chart> {
    let mut shown: Vec<&SizePoint> = points.iter().filter(|p| p.completed_at.is_some()).take(BARS).collect();
    shown.reverse();
    let (first, last) = (shown.first()?, shown.last()?);
    let largest = shown.iter().map(|p| p.stored_bytes).max().unwrap_or(0);
    let smallest = shown.iter().map(|p| p.stored_bytes).min().unwrap_or(0);
    let step = 100.0 / shown.len() as f64;
    // A lone bar across the whole chart looks like a background.
    let width = (step * 0.8).min(8.0);
    let bars = shown.iter().enumerate().map(|(index, p)| {
        let height = (p.stored_bytes as f64 / largest.max(1) as f64 * (HEIGHT - 4.0)).max(1.5);
        Bar {
            x: format!("{:.2}", step * index as f64 + (step - width) / 2.0),
            width: format!("{width:.2}"),
            y: format!("{:.1}", HEIGHT - height),
            height: format!("{height:.1}"),
            class: if p.good { "good-bar" } else { "other-bar" },
            words: format!("{}: {}, {}", moment(p.at), words::bytes(p.stored_bytes), p.standing),
        }
    });
    Some(Chart {
        bars: bars.collect(),
        description: format!(
            "{} backups from {} to {}; the smallest has {}, the largest {}, the newest {}.",
            shown.len(),
            day(first.at),
            day(last.at),
            words::bytes(smallest),
            words::bytes(largest),
            words::bytes(last.stored_bytes)
        ),
        largest: words::bytes(largest),
        first: day(first.at),
        last: day(last.at),
        lines: shown
            .iter()
            .rev()
            .map(|p| Line {
                backup: p.backup_id.to_string(),
                at: moment(p.at),
                size: words::bytes(p.stored_bytes),
                rows: words::count(p.rows),
                standing: p.standing.clone(),
            })
            .collect(),
    })
}

/// An objective against what was reached; positions in per cent of the bar's width.
pub(super) struct Meter {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    pub(super) class: &'static str,
    pub(super) result: String,
    pub(super) actual: String,
    pub(super) objective: String,
    pub(super) actual_percent: Option<String>,
    pub(super) objective_percent: Option<String>,
}

pub(super) fn meter(name: &'static str, meaning: &'static str, actual: Option<f64>, objective: Option<f64>) -> Meter {
    let scale = actual.unwrap_or(0.0).max(objective.unwrap_or(0.0)) * 1.12;
    let percent = |seconds: Option<f64>| {
        let percent = seconds.filter(|_| scale > 0.0).map(|s| (s / scale * 100.0).clamp(0.6, 100.0));
        percent.map(|p| format!("{p:.2}"))
    };
    let (class, result) = match (actual, objective) {
        (Some(actual), Some(objective)) if actual <= objective => {
            ("good", format!("met, with {} to spare", words::duration(objective - actual)))
        }
        (Some(actual), Some(objective)) => ("bad", format!("missed by {}", words::duration(actual - objective))),
        (_, None) => ("none", "no objective".to_owned()),
        (None, _) => ("none", "not measured".to_owned()),
    };
    Meter {
        name,
        meaning,
        class,
        result,
        actual: actual.map_or("not known".to_owned(), words::duration),
        objective: objective.map_or("none".to_owned(), words::duration),
        actual_percent: percent(actual),
        objective_percent: percent(objective),
    }
}

/// Seconds as a chart takes them.
#[expect(clippy::cast_precision_loss, reason = "positions in a drawing")]
pub(super) fn seconds(whole: u64) -> f64 {
    whole as f64
}

/// So long, in words.
pub(super) fn long(seconds: u64) -> String {
    span(seconds)
}
