//! Tells the figures: tables for people, as Markdown.

use std::fmt::Write as _;

use crate::{cases::STOCK, figures::figures, results::Results};

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
        let _ = writeln!(text, "| {} | {value} | {} | {} |", figure.name, figure.target.text(), figure.verdict());
    }
    text.push_str("\n| case | wall s | × `pg_dump -Fc` | client CPU s | server CPU s | peak MiB | MB |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for (name, _) in &results.cases {
        let m = results.medians(name);
        let ratio = results.ratio(STOCK, name).map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let _ = writeln!(
            text,
            "| {} | {:.2} | {ratio} | {:.2} | {:.2} | {:.0} | {:.0} |",
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
