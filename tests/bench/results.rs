//! What a run has measured: every case in every round, and the sweeps.

use serde_json::{Value, json};

use crate::measure::Measured;

/// All figures of a run.
#[derive(Default)]
pub(crate) struct Results {
    /// What was measured on.
    pub(crate) setting: Vec<(String, String)>,
    /// Cases in order, each with its measurements in the order of rounds.
    pub(crate) cases: Vec<(&'static str, Vec<Measured>)>,
    /// Raw MB/s against workers, a line for each way.
    pub(crate) throughput: Vec<Line>,
    /// Peak MiB against the size of a row in MB, a line for each way.
    pub(crate) memory: Vec<Line>,
}

/// One line of a chart.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (lower, upper) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(values[lower], values[upper]))
}

impl Results {
    pub(crate) fn add(&mut self, case: &'static str, measured: Measured) {
        match self.cases.iter_mut().find(|(known, _)| *known == case) {
            Some((_, measurements)) => measurements.push(measured),
            None => self.cases.push((case, vec![measured])),
        }
    }

    fn of(&self, case: &str) -> &[Measured] {
        self.cases.iter().find(|(name, _)| *name == case).map_or(&[], |(_, measurements)| measurements)
    }

    /// The median over the rounds of how much longer one case took than another in the same round: what else the machine
    /// does meanwhile meets both.
    pub(crate) fn ratio(&self, longer: &str, shorter: &str) -> Option<f64> {
        let pairs = self.of(longer).iter().zip(self.of(shorter));
        median(pairs.map(|(longer, shorter)| longer.wall / shorter.wall).collect())
    }

    /// The largest peak of memory of a case, MiB.
    pub(crate) fn peak(&self, case: &str) -> Option<f64> {
        self.of(case).iter().map(|measured| measured.peak_mib).reduce(f64::max)
    }

    /// Medians of a case.
    pub(crate) fn medians(&self, case: &str) -> Measured {
        let of = |field: fn(&Measured) -> f64| median(self.of(case).iter().map(field).collect()).unwrap_or(0.0);
        Measured {
            wall: of(|m| m.wall),
            client_cpu: of(|m| m.client_cpu),
            server_cpu: of(|m| m.server_cpu),
            peak_mib: self.peak(case).unwrap_or(0.0),
            bytes: self.of(case).last().map_or(0, |m| m.bytes),
        }
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let lines = |lines: &[Line]| {
            lines.iter().map(|line| json!({"line": line.name, "points": line.points})).collect::<Vec<_>>()
        };
        json!({
            "setting": self.setting.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "figures": crate::figures::figures(self).iter().map(crate::figures::Figure::json).collect::<Vec<_>>(),
            "cases": self.cases.iter().map(|(name, rounds)| json!({
                "case": name,
                "rounds": rounds.iter().map(|m| json!({
                    "wall_seconds": m.wall,
                    "client_cpu_seconds": m.client_cpu,
                    "server_cpu_seconds": m.server_cpu,
                    "peak_mib": m.peak_mib,
                    "bytes": m.bytes,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "throughput": lines(&self.throughput),
            "memory": lines(&self.memory),
        })
    }
}
