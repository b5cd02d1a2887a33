//! A message as it is laid out, the same for mail and chat: sections with facts, commands and rows.

use jiff::Timestamp;

use super::{Change, Entry, Kind, Message, Purpose, digest_view::of_digest, words};
use crate::{
    events::Severity,
    report::words::{count, duration},
};

/// Up to so many incidents are told one by one; more are listed by kind.
const ONE_BY_ONE: usize = 5;
/// The most characters of what happened to one of many.
pub(super) const WHAT_OF_MANY: usize = 160;
/// The most characters of what happened.
pub(super) const WHAT: usize = 1500;

/// How a section looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Critical,
    Warning,
    Info,
    Good,
}

impl Tone {
    pub(super) fn of(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

/// One line of a list: whose, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) text: String,
}

/// One part of a message.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// `Critical`, `Resolved`, …
    pub(super) label: String,
    pub(super) tone: Tone,
    pub(super) heading: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) commands: Vec<String>,
    pub(super) rows: Vec<Row>,
}

impl Section {
    /// Whether its rows are names and nothing else: then they can stand in lines.
    pub(super) fn only_names(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.text.is_empty())
    }
}

/// The whole message.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) title: String,
    pub(super) tone: Tone,
    pub(super) intro: Option<String>,
    pub(super) sections: Vec<Section>,
    pub(super) contacts: Vec<String>,
    pub(super) footer: Vec<String>,
}

impl View {
    pub(super) fn new(message: &Message) -> Self {
        let sections = match (&message.digest, &message.note) {
            (Some(digest), _) => of_digest(digest, message.at),
            (_, Some(note)) => vec![Section {
                label: match (message.purpose, note.over) {
                    (Purpose::Test, _) => "Test".to_owned(),
                    (_, true) => "Resolved".to_owned(),
                    _ => words::severity(message.severity).to_owned(),
                },
                tone: if note.over { Tone::Good } else { Tone::of(message.severity) },
                heading: note.title.clone(),
                facts: vec![("What", words::cut(&note.text, WHAT * 2))],
                commands: Vec::new(),
                rows: Vec::new(),
            }],
            _ => of_entries(&message.entries, message.at),
        };
        let open = message.entries.iter().any(|e| e.change.is_open());
        let tone = match message.purpose {
            Purpose::Incidents if !open => Tone::Good,
            Purpose::Foreign if message.note.as_ref().is_some_and(|n| n.over) => Tone::Good,
            _ => Tone::of(message.severity),
        };
        let mut footer: Vec<String> = message.store.iter().map(|store| format!("store {store}")).collect();
        footer.push(format!("written {}", words::moment(message.at)));
        footer.push(format!("message {}", message.id));
        Self {
            title: message.subject.trim_start_matches("[lifeboat] ").to_owned(),
            tone,
            intro: message.escalated.then(|| {
                "This has lasted so long that further people are told. Whoever takes it on should say so to the others."
                    .to_owned()
            }),
            sections,
            contacts: message.contacts.clone(),
            footer,
        }
    }
}

fn label(change: Change, severity: Severity) -> String {
    let severity = words::severity(severity);
    match change {
        Change::Opened => severity.to_owned(),
        Change::Worsened => format!("{severity}, worse than before"),
        Change::Reminder => format!("Still {}", severity.to_lowercase()),
        Change::Escalated => format!("{severity}, escalated"),
        Change::Brief => "Over already".to_owned(),
        Change::Resolved => "Resolved".to_owned(),
        Change::Closed => "Closed".to_owned(),
        Change::Succeeded => "Done".to_owned(),
    }
}

fn tone(entry: &Entry) -> Tone {
    if entry.change.is_open() { Tone::of(entry.severity) } else { Tone::Good }
}

fn of_entries(entries: &[Entry], now: Timestamp) -> Vec<Section> {
    if entries.len() <= ONE_BY_ONE {
        return entries.iter().map(|entry| one(entry, now)).collect();
    }
    // Entries are sorted so that what belongs together stands together.
    entries
        .chunk_by(|a, b| (a.change, a.severity, &a.kind) == (b.change, b.severity, &b.kind))
        .map(|group| match group {
            [entry] => one(entry, now),
            group => many(group, now),
        })
        .collect()
}

fn since(entry: &Entry, now: Timestamp) -> String {
    let began = words::moment(entry.since);
    let until = entry.ended_at.filter(|_| !entry.change.is_open());
    let lasted = duration(until.unwrap_or(now).duration_since(entry.since).as_secs_f64().max(0.0));
    let times = if entry.times > 1 { format!(", {} times", count(entry.times)) } else { String::new() };
    match until {
        Some(until) => format!("{began} until {} ({lasted}{times})", words::moment(until)),
        None if entry.change == Change::Succeeded => began,
        None if now.duration_since(entry.since).as_secs() < 60 => format!("{began} (just now{times})"),
        None => format!("{began} ({lasted} ago{times})"),
    }
}

fn one(entry: &Entry, now: Timestamp) -> Section {
    let mut facts = Vec::new();
    if entry.change != Change::Succeeded {
        facts.push((if entry.change.is_open() { "Since" } else { "Lasted" }, since(entry, now)));
    }
    facts.push(("What", words::cut(&entry.what, WHAT)));
    if !entry.meaning.is_empty() {
        facts.push(("Means", entry.meaning.clone()));
    }
    // Where backups are not what it is about, a good one is worth a word, the lack of knowledge is not.
    let concerns = matches!(entry.kind, Kind::Backup | Kind::Verify | Kind::Corrupt | Kind::Drill);
    if entry.change != Change::Succeeded && (concerns || entry.protection.is_some()) {
        facts.push(("Protects", words::protection(entry.protection.as_ref(), now)));
    }
    facts.extend(entry.remedy.iter().map(|remedy| ("Do", remedy.clone())));
    Section {
        label: label(entry.change, entry.severity),
        tone: tone(entry),
        heading: format!("{}: {}", entry.database, entry.title),
        facts,
        commands: entry.commands.clone(),
        rows: Vec::new(),
    }
}

fn many(group: &[Entry], now: Timestamp) -> Section {
    let first = &group[0];
    let began = group.iter().map(|e| e.since).min().unwrap_or(first.since);
    let mut facts = vec![("Since", words::moment(began))];
    // Where one cause hits all, it is told once.
    let one_cause = group.iter().all(|e| e.what == first.what);
    if one_cause {
        facts.push(("What", words::cut(&first.what, WHAT)));
    }
    if !first.meaning.is_empty() {
        facts.push(("Means", first.meaning.clone()));
    }
    let bare = group.iter().filter(|e| e.protection.is_none()).count();
    let concerns = matches!(first.kind, Kind::Backup | Kind::Verify | Kind::Corrupt | Kind::Drill);
    if first.change.is_open() && concerns && bare > 0 {
        let of = if bare == group.len() { "any".to_owned() } else { count(bare as u64) };
        facts.push(("Protects", format!("no good backup is known of {of} of them")));
    }
    let one_remedy = group.iter().all(|e| e.remedy == first.remedy);
    facts.extend(first.remedy.iter().filter(|_| one_remedy).map(|remedy| ("Do", remedy.clone())));
    let rows = group.iter().map(|entry| {
        let good = entry.protection.as_ref().filter(|_| entry.change.is_open()).map(|good| {
            let age = duration(now.duration_since(good.snapshot_at).as_secs_f64().max(0.0));
            format!("good backup {age} old")
        });
        let what = (!one_cause).then(|| words::cut(&entry.what, WHAT_OF_MANY));
        let text: Vec<String> = what.into_iter().chain(good).collect();
        Row { name: entry.database.to_string(), text: text.join("; ") }
    });
    Section {
        label: label(first.change, first.severity),
        tone: tone(first),
        heading: format!("{} databases: {}", count(group.len() as u64), first.title),
        facts,
        commands: first.commands.iter().map(|command| format!("{command}    # the same for the others")).collect(),
        rows: rows.collect(),
    }
}
