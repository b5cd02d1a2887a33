//! How long a restore takes, predicted from what drills measured.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::{
    DrillReport, PhaseOutcome,
    words::{counted, duration},
};

use super::{
    Extent,
    growth::float,
    line::{Line, median},
};

/// Fewer drills than this make no line.
const LEAST_DRILLS: usize = 3;

/// The largest backup that was drilled must be larger than the smallest by this factor: a line through points that lie
/// close together points anywhere.
const LEAST_SPREAD: f64 = 1.25;

/// Beyond the largest backup that was drilled times this, a prediction is said to be a stretch.
const STRETCH: f64 = 2.0;

/// What one drill measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// When the drill ended.
    pub at: Timestamp,
    /// The class of the scratch instance, where it had one: times on different ones are not compared.
    pub class: Option<String>,
    /// How much the backup held.
    pub extent: Extent,
    /// Seconds that count for the RTO, all together.
    pub recovery_seconds: f64,
    /// Seconds of them that were the restore itself, ANALYZE included.
    pub restore_seconds: f64,
    /// Seconds that comparing every row took afterwards, where it came to its end.
    pub compare_seconds: Option<f64>,
}

impl Measured {
    /// Of a report; `None` where no backup was restored, or not to the end, because that measured nothing.
    pub fn of(report: &DrillReport) -> Option<Self> {
        if report.origin.is_some() {
            return None;
        }
        let done = |name: &str| {
            let phase = report.phases.iter().find(|p| p.phase == name && p.outcome == PhaseOutcome::Done);
            phase.map(|p| p.seconds)
        };
        Some(Self {
            at: report.finished_at,
            class: report.environment.target_class.value.clone(),
            extent: Extent { stored_bytes: report.backup.stored_bytes, rows: report.backup.rows },
            recovery_seconds: report.rto.actual_seconds.value?,
            restore_seconds: done("restore")?,
            compare_seconds: done("compare"),
        })
    }

    /// Of several reports, in their order.
    pub fn all(reports: &[DrillReport]) -> Vec<Self> {
        reports.iter().filter_map(Self::of).collect()
    }
}

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything that counts for the RTO: providing a server too, thawing not.
    Recovery,
    /// The restore into a server that is there, ANALYZE included.
    Restore,
    /// Comparing every row afterwards.
    Compare,
}

/// How a prediction was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// A line through several drills of backups of different size.
    Line,
    /// The usual speed of the drills: they are few, or their backups were much of a size.
    Rate,
}

/// What the seconds are taken to depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Stored bytes.
    Bytes,
    /// Rows.
    Rows,
}

/// How long it will take, as far as past drills tell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// So long.
    pub seconds: f64,
    /// Seconds of them that do not depend on the backup: providing a server.
    pub fixed_seconds: f64,
    /// How it was made.
    pub basis: Basis,
    /// What it was made by.
    pub measure: Measure,
    /// Drills that it was made from.
    pub drills: usize,
    /// The backup is much larger than any that was drilled: the prediction is a stretch.
    pub stretch: bool,
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about {} ", duration(self.seconds))?;
        let drills = counted(self.drills as u64, "drill");
        match (self.basis, self.drills) {
            (Basis::Line, _) => write!(f, "(a line through {drills})")?,
            (Basis::Rate, 1) => f.write_str("(at the speed of the only drill)")?,
            (Basis::Rate, _) => write!(f, "(at the usual speed of {drills})")?,
        }
        if self.stretch { f.write_str(", of a backup much larger than any that was drilled") } else { Ok(()) }
    }
}

/// The restore of a backup into a server that is there; `None` where no drill measured anything.
pub fn predict_restore(drills: &[Measured], of: Extent) -> Option<Prediction> {
    predict(drills, Part::Restore, of)
}

/// Predicts a part of the work for a backup that holds so much. Of drills on instances of different classes, only those
/// on the class of the newest count.
pub fn predict(drills: &[Measured], part: Part, of: Extent) -> Option<Prediction> {
    Some(Model::of(drills, part)?.predict(of))
}

/// What the drills say, made once for many questions.
#[derive(Debug, Clone)]
pub(super) struct Model {
    measure: Measure,
    line: Option<Line>,
    /// Seconds per unit: usual, and least.
    rate: f64,
    least_rate: f64,
    largest: f64,
    fixed_seconds: f64,
    drills: usize,
}

fn size(extent: Extent, measure: Measure) -> f64 {
    match measure {
        Measure::Bytes => float(extent.stored_bytes),
        Measure::Rows => float(extent.rows),
    }
}

impl Model {
    pub(super) fn of(drills: &[Measured], part: Part) -> Option<Self> {
        let newest = drills.iter().max_by_key(|drill| drill.at)?;
        let alike: Vec<&Measured> = drills.iter().filter(|drill| drill.class == newest.class).collect();
        let fixed_seconds = match part {
            Part::Recovery => median(alike.iter().map(|d| (d.recovery_seconds - d.restore_seconds).max(0.0)))?,
            Part::Restore | Part::Compare => 0.0,
        };
        let of = |measure: Measure| -> Vec<(f64, f64)> {
            let seconds = |drill: &Measured| match part {
                Part::Recovery | Part::Restore => Some(drill.restore_seconds),
                Part::Compare => drill.compare_seconds,
            };
            let points = alike.iter().filter_map(|drill| Some((size(drill.extent, measure), seconds(drill)?)));
            points.filter(|(size, seconds)| *size > 0.0 && *seconds >= 0.0).collect()
        };
        // Bytes, unless rows explain the times better.
        let by = |measure: Measure| -> Option<(f64, Self)> {
            let points = of(measure);
            let rates = || points.iter().map(|(size, seconds)| seconds / size);
            let line = line(&points);
            let off = line.map_or(f64::INFINITY, |line| line.usually_off(&points));
            let model = Self {
                measure,
                line,
                rate: median(rates())?,
                least_rate: rates().fold(f64::INFINITY, f64::min),
                largest: points.iter().map(|(size, _)| *size).fold(0.0, f64::max),
                fixed_seconds,
                drills: points.len(),
            };
            Some((off, model))
        };
        match (by(Measure::Bytes), by(Measure::Rows)) {
            (Some((off, _)), Some((less, rows))) if less < off => Some(rows),
            (Some((_, bytes)), _) => Some(bytes),
            (None, rows) => rows.map(|(_, model)| model),
        }
    }

    pub(super) fn predict(&self, of: Extent) -> Prediction {
        let size = size(of, self.measure);
        let (basis, seconds) = match self.line {
            // A line that begins below zero would have small restores take no time at all.
            Some(line) if line.intercept < 0.0 => (Basis::Line, line.at(size).max(self.least_rate * size)),
            Some(line) => (Basis::Line, line.at(size)),
            None => (Basis::Rate, self.rate * size),
        };
        Prediction {
            seconds: self.fixed_seconds + seconds,
            fixed_seconds: self.fixed_seconds,
            basis,
            measure: self.measure,
            drills: self.drills,
            stretch: size > self.largest * STRETCH,
        }
    }
}

/// A line through the drills, if they can carry one: more data never take less time.
fn line(points: &[(f64, f64)]) -> Option<Line> {
    let sizes = || points.iter().map(|(size, _)| *size);
    let (least, most) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    if points.len() < LEAST_DRILLS || most < least * LEAST_SPREAD {
        return None;
    }
    Line::through(points).filter(|line| line.slope > 0.0)
}

#[cfg(test)]
mod tests;
