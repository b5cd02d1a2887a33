//! Writes a run's record: Markdown, JSON and two charts, named by their date.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};

use crate::{chart::Chart, results::Results, table};

/// Writes the record into a folder.
pub(crate) fn write(results: &Results, folder: &Path, date: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let mut text = format!("# Bench of {date}\n\n{}", table::markdown(results));
    let throughput = Chart {
        title: "Throughput of a dump to a folder",
        across: "workers",
        up: "MB of COPY text a second",
        logarithmic: false,
        level: None,
        lines: &results.throughput,
    };
    let memory = Chart {
        title: "Peak memory of a dump, 4 workers, zstd 1",
        across: "MB in the largest row",
        up: "MiB resident, client tools included",
        logarithmic: true,
        level: Some((100.0, "the most it may be")),
        lines: &results.memory,
    };
    for (chart, name) in [(throughput, "throughput"), (memory, "memory")] {
        if !chart.lines.is_empty() {
            let file = format!("{date}-{name}.svg");
            fs::write(folder.join(&file), chart.svg())?;
            let _ = writeln!(text, "\n![{}]({file})", chart.title);
        }
    }
    fs::write(folder.join(format!("{date}.md")), text)?;
    fs::write(folder.join(format!("{date}.json")), serde_json::to_string_pretty(&results.json())? + "\n")?;
    Ok(())
}

/// Processor, cores, memory and kernel of this machine; nothing that names it.
pub(crate) fn machine() -> Vec<(String, String)> {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kib: f64 =
        field("/proc/meminfo", "MemTotal").split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        (
            "processor".to_owned(),
            format!("{}, {cores} cores shared with the server", field("/proc/cpuinfo", "model name")),
        ),
        ("memory".to_owned(), format!("{:.0} GiB", kib / 1024.0 / 1024.0)),
        ("kernel".to_owned(), format!("Linux {}", kernel.split('-').next().unwrap_or_default().trim())),
    ]
}
