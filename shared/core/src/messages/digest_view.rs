//! The digest as it is laid out: what lasts, the sums, and every database.

use jiff::Timestamp;

use super::{
    Digest, DigestDatabase, DigestIncident,
    view::{Row, Section, Tone, WHAT, WHAT_OF_MANY},
    words,
};
use crate::{
    events::Severity,
    report::words::{bytes, count},
};

/// Up to so many databases have a section each; more are rows.
const ONE_BY_ONE: usize = 8;

fn section(label: &str, tone: Tone, heading: String) -> Section {
    Section { label: label.to_owned(), tone, heading, facts: Vec::new(), commands: Vec::new(), rows: Vec::new() }
}

pub(super) fn of_digest(digest: &Digest, now: Timestamp) -> Vec<Section> {
    let mut sections = Vec::new();
    if !digest.open.is_empty() {
        let worst = digest.open.iter().map(|i| i.severity).max().unwrap_or(Severity::Info);
        let mut open = section("Open", Tone::of(worst), "Open incidents".to_owned());
        open.rows = digest.open.iter().map(of_incident).collect();
        sections.push(open);
    }
    let left = digest.left_out.unwrap_or_default();
    let sum = |of: fn(&DigestDatabase) -> u64, left: u64| digest.databases.iter().map(of).sum::<u64>() + left;
    let stored = sum(|d| d.stored_bytes, left.stored_bytes);
    let databases = digest.databases.len() as u64 + left.databases;
    let noun = if databases == 1 { "database" } else { "databases" };
    let mut whole = section("Digest", Tone::Info, format!("{} {noun}", count(databases)));
    whole.facts = vec![
        ("Period", format!("{} to {}", words::moment(digest.from), words::moment(digest.to))),
        (
            "Backups",
            format!(
                "{} made, {} of them verified",
                count(sum(|d| d.made, left.made)),
                count(sum(|d| d.verified, left.verified))
            ),
        ),
        ("Drills", count(sum(|d| d.drills, left.drills))),
        ("Stored", format!("{}, about ${:.2} a month ({})", bytes(stored), digest.usd_per_month, digest.prices)),
    ];
    if digest.undelivered > 0 {
        let noun = if digest.undelivered == 1 { "message" } else { "messages" };
        whole.facts.push(("Unsent", format!("{} {noun}: see `lifeboat alert list`", count(digest.undelivered))));
    }
    whole.facts.extend(digest.problems.iter().map(|problem| ("Problem", words::cut(problem, WHAT))));
    if digest.databases.len() > ONE_BY_ONE {
        let facts = |d: &DigestDatabase| {
            facts(d, now)
                .into_iter()
                .map(|(name, value)| format!("{} {value}", name.to_lowercase()))
                .collect::<Vec<_>>()
        };
        let rows = digest.databases.iter().map(|d| Row { name: d.database.to_string(), text: facts(d).join("; ") });
        whole.rows = rows.collect();
        sections.push(whole);
    } else {
        sections.push(whole);
        sections.extend(digest.databases.iter().map(|d| {
            let (label, tone) =
                if d.newest_good.is_some() { ("Good", Tone::Good) } else { ("No good backup", Tone::Critical) };
            Section { facts: facts(d, now), ..section(label, tone, d.database.to_string()) }
        }));
    }
    if digest.left_out.is_some() {
        let (databases, open) = (count(left.databases), count(left.open));
        let what = format!("{databases} further databases and {open} open incidents are left out here");
        let mut more = section("More", Tone::Info, what);
        more.commands = vec!["lifeboat status".to_owned(), "lifeboat alert list".to_owned()];
        sections.push(more);
    }
    sections
}

fn of_incident(incident: &DigestIncident) -> Row {
    Row {
        name: incident.database.to_string(),
        text: format!(
            "{} ({}) since {}: {}",
            incident.kind,
            incident.severity.name(),
            words::moment(incident.since),
            words::cut(&incident.what, WHAT_OF_MANY)
        ),
    }
}

fn facts(d: &DigestDatabase, now: Timestamp) -> Vec<(&'static str, String)> {
    let growth = match d.growth_bytes {
        Some(grown) if grown < 0 => format!(" ({} less than before)", bytes(grown.unsigned_abs())),
        Some(grown) => format!(" ({} more than before)", bytes(grown.unsigned_abs())),
        None => String::new(),
    };
    let good = match &d.newest_good {
        Some(_) => words::protection(d.newest_good.as_ref(), now),
        None => "none".to_owned(),
    };
    let drills = match (&d.last_drill, d.drills) {
        (Some(verdict), 0) => format!("none; the last one {verdict}"),
        (Some(verdict), 1) => format!("1: {verdict}"),
        (Some(verdict), n) => format!("{n}; the last one {verdict}"),
        (None, _) => "never".to_owned(),
    };
    let shares: Vec<String> = d
        .storage
        .iter()
        .map(|s| format!("{} {}: {}, ${:.2}", s.tier, s.storage_class, bytes(s.bytes), s.usd_per_month))
        .collect();
    let mut facts = vec![
        ("Good", good),
        ("Backups", format!("{} made, {} verified", d.made, d.verified)),
        ("Drills", drills),
        ("Size", bytes(d.raw_bytes)),
        ("Stored", format!("{}{growth}, ${:.2} a month", bytes(d.stored_bytes), d.usd_per_month)),
    ];
    if !shares.is_empty() {
        facts.push(("Tiers", shares.join("; ")));
    }
    if !d.upcoming.is_empty() {
        facts.push(("Coming", d.upcoming.join("; ")));
    }
    facts
}
