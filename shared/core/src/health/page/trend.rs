//! The chart of recovery times over the drills, each beside the objective it had.

use crate::{
    health::{DrillSeen, words::moment},
    report::words::duration,
};

/// The chart's height in units.
const HEIGHT: f64 = 100.0;

/// One drill: a bar as high as it took long, and a mark at what it was allowed.
pub(super) struct Column {
    pub(super) x: String,
    pub(super) end: String,
    pub(super) width: String,
    pub(super) y: String,
    pub(super) height: String,
    pub(super) class: &'static str,
    pub(super) objective_y: Option<String>,
    pub(super) words: String,
}

/// Recovery times over time, oldest first.
pub(super) struct Trend {
    pub(super) columns: Vec<Column>,
    pub(super) description: String,
    pub(super) longest: String,
    pub(super) first: String,
    pub(super) last: String,
}

/// Of drills given newest first; `None` where fewer than two measured how long it took: the meter shows one.
#[expect(clippy::cast_precision_loss, reason = "positions in a drawing")]
pub(super) fn trend(drills: &[DrillSeen]) -> Option<Trend> {
    let measured = drills
        .iter()
        .rev()
        .filter(|seen| seen.drill.is_of_backup())
        .filter_map(|seen| Some((seen, seen.drill.rto_seconds?)));
    let shown: Vec<(&DrillSeen, f64)> = measured.collect();
    let [(first, _), .., (last, last_seconds)] = shown.as_slice() else { return None };
    let objective = |seen: &DrillSeen| seen.drill.rto_objective_seconds;
    let top = shown.iter().flat_map(|(seen, took)| [Some(*took), objective(seen)]).flatten().fold(0.001, f64::max);
    let longest = shown.iter().map(|(_, took)| *took).fold(0.0, f64::max);
    let missed = shown.iter().filter(|(seen, took)| objective(seen).is_some_and(|wanted| *took > wanted)).count();
    let step = 100.0 / shown.len() as f64;
    let width = (step * 0.6).min(8.0);
    let up = |seconds: f64| seconds / top * (HEIGHT - 4.0);
    let columns = shown.iter().enumerate().map(|(index, (seen, took))| {
        let x = step * index as f64 + (step - width) / 2.0;
        let height = up(*took).max(1.5);
        let wanted = objective(seen);
        Column {
            x: format!("{x:.2}"),
            end: format!("{:.2}", x + width),
            width: format!("{width:.2}"),
            y: format!("{:.1}", HEIGHT - height),
            height: format!("{height:.1}"),
            class: if wanted.is_some_and(|wanted| *took > wanted) { "bad-bar" } else { "good-bar" },
            objective_y: wanted.map(|wanted| format!("{:.1}", HEIGHT - up(wanted))),
            words: format!(
                "{}: {}, {}",
                moment(seen.drill.finished_at),
                duration(*took),
                wanted.map_or("no RTO".to_owned(), |wanted| format!("RTO {}", duration(wanted)))
            ),
        }
    });
    let day = |seen: &DrillSeen| seen.drill.finished_at.strftime("%-d %b %Y").to_string();
    Some(Trend {
        columns: columns.collect(),
        description: format!(
            "{} drills from {} to {}; the longest took {}, the newest {}, and {} took longer than the RTO.",
            shown.len(),
            day(first),
            day(last),
            duration(longest),
            duration(*last_seconds),
            match missed {
                0 => "none".to_owned(),
                some => some.to_string(),
            }
        ),
        longest: duration(top),
        first: day(first),
        last: day(last),
    })
}
