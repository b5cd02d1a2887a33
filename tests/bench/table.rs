//! Tells the figures: a table for people, JSON for programs, ratios against pg_dump in the same run.

use serde_json::{Value, json};

use crate::measure::Measured;

/// All figures of a run.
pub(crate) struct Results {
    /// What was measured on.
    pub setting: Vec<(String, String)>,
    /// Cases in order, each with the median over the rounds.
    pub cases: Vec<(String, Measured)>,
}

/// The targets that DESIGN and the issue name: numerator, denominator (both cases), least ratio.
const TARGETS: [(&str, &str, f64); 3] = [
    ("pg_dump -Fc", "lifeboat dump, folder, zstd:1, 2 jobs", 4.5),
    ("pg_dump -Fc", "lifeboat dump, MinIO, zstd:1, 2 jobs", 1.0),
    ("pg_restore -j2", "lifeboat restore, folder, 2 jobs", 1.0),
];

impl Results {
    fn wall(&self, case: &str) -> Option<f64> {
        self.cases.iter().find(|(name, _)| name == case).map(|(_, m)| m.wall)
    }
}

/// Prints the table.
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
pub(crate) fn print(results: &Results) {
    for (name, value) in &results.setting {
        println!("{name}: {value}");
    }
    println!();
    println!("| case | wall s | × pg_dump -Fc | client CPU s | server CPU s | peak MiB | MB |");
    println!("|---|---|---|---|---|---|---|");
    let yardstick = results.wall("pg_dump -Fc");
    for (name, m) in &results.cases {
        let ratio = yardstick.map_or(String::new(), |y| format!("{:.2}", y / m.wall));
        println!(
            "| {name} | {:.2} | {ratio} | {:.2} | {:.2} | {:.0} | {:.0} |",
            m.wall,
            m.client_cpu,
            m.server_cpu,
            m.peak_mib,
            m.bytes as f64 / 1e6
        );
    }
    println!();
    for (slow, fast, least) in TARGETS {
        if let (Some(slow_wall), Some(fast_wall)) = (results.wall(slow), results.wall(fast)) {
            let ratio = slow_wall / fast_wall;
            let verdict = if ratio >= least { "reached" } else { "NOT reached" };
            println!("{fast}: {ratio:.2} × as fast as {slow}; wanted {least}: {verdict}");
        }
    }
    if let Some((name, m)) = results.cases.iter().find(|(name, _)| name.ends_with("4 jobs")) {
        let verdict = if m.peak_mib <= 120.0 { "reached" } else { "NOT reached" };
        println!("{name}: peak memory {:.0} MiB; wanted at most 120: {verdict}", m.peak_mib);
    }
}

/// The same as JSON.
pub(crate) fn json(results: &Results) -> Value {
    let yardstick = results.wall("pg_dump -Fc");
    json!({
        "setting": results.setting.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "cases": results.cases.iter().map(|(name, m)| json!({
            "case": name,
            "wall_seconds": m.wall,
            "times_pg_dump_fc": yardstick.map(|y| y / m.wall),
            "client_cpu_seconds": m.client_cpu,
            "server_cpu_seconds": m.server_cpu,
            "peak_mib": m.peak_mib,
            "bytes": m.bytes,
        })).collect::<Vec<_>>(),
    })
}
