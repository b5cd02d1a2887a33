//! Tells the figures: tables for people, as Markdown.

use std::fmt::Write as _;

use crate::{figures::figures, results::Results};

/// Setting, figures with their verdicts, and all cases.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = String::new();
    for (name, value) in &results.setting {
        let _ = writeln!(text, "- {name}: {value}");
    }
    text.push_str("\n| figure | measured | wanted | |\n|---|---|---|---|\n");
    for figure in figures(results) {
        let value =
            if figure.unit == "MiB" { format!("{:.0} MiB", figure.value) } else { format!("{:.2}", figure.value) };
        let _ = writeln!(
            text,
            "| {} | {value} | {} | {} |",
            figure.name,
            figure.target.text().unwrap_or_default(),
            figure.verdict()
        );
    }
    text.push_str("\n| case | wall s | client CPU s | server CPU s | peak MiB | MB |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for (name, _) in &results.cases {
        let m = results.medians(name);
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} |",
            name.replace('|', "\\|"),
            m.wall,
            m.client_cpu,
            m.server_cpu,
            m.peak_mib,
            m.bytes as f64 / 1e6
        );
    }
    text
}
