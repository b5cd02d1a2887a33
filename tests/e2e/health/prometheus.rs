//! `status --format prometheus`: every line is one that Prometheus takes.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, bail, ensure};

use super::watched::Watched;

/// Reads the text format and gives the samples; fails where it is broken.
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
fn parse(text: &str) -> Result<HashMap<String, f64>> {
    let (mut helped, mut typed) = (HashSet::new(), HashSet::new());
    let mut samples = HashMap::new();
    let mut last = String::new();
    let mut closed: HashSet<String> = HashSet::new();
    ensure!(text.ends_with('\n'), "the last line does not end");
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').with_context(|| line.to_owned())?;
            ensure!(helped.insert(name.to_owned()) && !help.is_empty(), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').with_context(|| line.to_owned())?;
            ensure!(typed.insert(name.to_owned()) && ["gauge", "counter"].contains(&kind), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
        let value: f64 = value.parse().with_context(|| line.to_owned())?;
        let (name, labels) = series.split_once('{').with_context(|| line.to_owned())?;
        let labels = labels.strip_suffix('}').with_context(|| line.to_owned())?;
        for label in labels.split(',') {
            let Some((key, quoted)) = label.split_once('=') else { bail!("{line}") };
            ensure!(is_name(key) && quoted.len() > 2 && quoted.starts_with('"') && quoted.ends_with('"'), "{line}");
        }
        ensure!(is_name(name) && helped.contains(name) && typed.contains(name), "no HELP and TYPE before {line}");
        // All samples of a metric stand together.
        if name != last {
            ensure!(closed.insert(name.to_owned()), "{name} stands in two places");
            name.clone_into(&mut last);
        }
        ensure!(samples.insert(series.to_owned(), value).is_none(), "{series} is there twice");
    }
    Ok(samples)
}

#[test]
fn prometheus_takes_every_line_and_finds_what_it_alarms_on() -> Result<()> {
    let watched = Watched::new("health_prometheus", "rto = \"30m\"\n")?;
    parse(&watched.run(&["status", "--format", "prometheus"])?.expect(0)?.stdout)?;
    watched.run(&["dump", "orders"])?.expect(0)?;
    watched.run(&["drill", "orders"])?.expect(0)?;
    watched.run(&["health"])?.expect(0)?;
    let samples = parse(&watched.run(&["status", "--format", "prometheus"])?.expect(0)?.stdout)?;
    let find =
        |series: &str| samples.get(series).copied().with_context(|| format!("{series} is missing: {samples:#?}"));
    for (series, value) in [
        ("lifeboat_backups{database=\"orders\",standing=\"restored\"}", 1.0),
        ("lifeboat_fresh{database=\"orders\"}", 1.0),
        ("lifeboat_rpo_seconds{database=\"orders\"}", 93_600.0),
        ("lifeboat_rto_seconds{database=\"orders\"}", 1800.0),
        ("lifeboat_last_drill_passed{database=\"orders\"}", 1.0),
        ("lifeboat_health_findings{database=\"orders\",severity=\"critical\"}", 0.0),
    ] {
        #[expect(clippy::float_cmp, reason = "whole numbers")]
        let equal = find(series)? == value;
        ensure!(equal, "{series} is {}", find(series)?);
    }
    for positive in [
        "last_good_backup_timestamp_seconds",
        "last_good_backup_bytes",
        "last_drill_rto_seconds",
        "last_health_timestamp_seconds",
    ] {
        ensure!(find(&format!("lifeboat_{positive}{{database=\"orders\"}}"))? > 0.0, "{positive}");
    }
    for small in ["backup_age_seconds", "last_drill_age_seconds"] {
        ensure!(find(&format!("lifeboat_{small}{{database=\"orders\"}}"))? < 3600.0, "{small}");
    }
    Ok(())
}
