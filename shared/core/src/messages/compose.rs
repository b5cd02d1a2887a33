//! Makes messages of what there is to tell.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Change, Digest, Entry, FORMAT_VERSION, LONGEST_SUBJECT, Message, Note, Purpose};
use crate::{events::Severity, report::words::count};

/// What stands below every message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// Whom to call.
    pub contacts: Vec<String>,
    /// Whom to call besides when something has lasted for long.
    pub escalation_contacts: Vec<String>,
    /// Where the backups are.
    pub store: Option<String>,
}

/// One message of entries; `ids` name the news, so that the same news make the same message. `None` where there is none.
pub fn of_entries(entries: Vec<Entry>, ids: &[String], signature: &Signature, now: Timestamp) -> Option<Message> {
    if entries.is_empty() {
        return None;
    }
    let mut message = Message {
        id: id_of(ids),
        entries,
        store: signature.store.clone(),
        ..blank(Purpose::Incidents, Severity::Info, now)
    };
    message.entries.sort_by(|a, b| {
        let rank = |e: &Entry| (!e.change.is_open(), std::cmp::Reverse(e.severity), e.kind.clone(), e.change);
        rank(a).cmp(&rank(b)).then_with(|| a.database.cmp(&b.database))
    });
    message.contacts.clone_from(&signature.contacts);
    message.refresh();
    if message.escalated {
        message.contacts.extend(signature.escalation_contacts.iter().cloned());
    }
    Some(message)
}

/// The message of a digest that was due at `due`.
pub fn of_digest(digest: Digest, due: Timestamp, signature: &Signature, now: Timestamp) -> Message {
    let state = standing(&digest);
    let databases = digest.databases.len();
    let noun = if databases == 1 { "database" } else { "databases" };
    Message {
        id: id_of(&[format!("digest/{due}")]),
        subject: ascii(&format!("[lifeboat] digest: {databases} {noun}, {state}")),
        digest: Some(digest),
        contacts: signature.contacts.clone(),
        store: signature.store.clone(),
        ..blank(Purpose::Digest, Severity::Info, now)
    }
}

/// The gravest of what a digest tells, and whatever could not be looked at: that is never well.
fn standing(digest: &Digest) -> String {
    let counted = |n: usize, one: &str, more: &str| format!("{} {}", count(n as u64), if n == 1 { one } else { more });
    let trouble = digest.databases.iter().filter(|d| d.newest_good.is_none()).count();
    let mut parts = Vec::new();
    match (digest.open.len(), trouble) {
        (0, 0) => {}
        (0, n) => parts.push(format!("{} without a good backup", count(n as u64))),
        (n, _) => parts.push(counted(n, "open incident", "open incidents")),
    }
    if !digest.problems.is_empty() {
        parts.push(format!("{} could not be looked at", count(digest.problems.len() as u64)));
    }
    if digest.undelivered > 0 {
        parts.push(format!("{} undelivered", count(digest.undelivered)));
    }
    if parts.is_empty() { "all is well".to_owned() } else { parts.join(", ") }
}

/// A test, so that somebody sees that messages arrive; `through` says on which way it went.
pub fn of_test(through: &str, unique: &str, signature: &Signature, now: Timestamp) -> Message {
    Message {
        id: id_of(&[format!("test/{unique}")]),
        subject: ascii(&format!("[lifeboat] TEST: this message came through {through}")),
        note: Some(Note {
            title: "This is a test".to_owned(),
            text: format!(
                "Somebody ran `lifeboat alert test`. This message came through {through}; nothing has happened, and there \
                 is nothing to do."
            ),
            key: format!("lifeboat/test/{unique}"),
            over: false,
        }),
        contacts: signature.contacts.clone(),
        store: signature.store.clone(),
        ..blank(Purpose::Test, Severity::Info, now)
    }
}

pub(super) fn blank(purpose: Purpose, severity: Severity, now: Timestamp) -> Message {
    Message {
        format_version: FORMAT_VERSION,
        id: String::new(),
        at: now,
        purpose,
        severity,
        subject: String::new(),
        escalated: false,
        entries: Vec::new(),
        note: None,
        digest: None,
        contacts: Vec::new(),
        store: None,
    }
}

pub(super) fn id_of(ids: &[String]) -> String {
    let mut sorted: Vec<&String> = ids.iter().collect();
    sorted.sort();
    let mut hash = Sha256::new();
    for id in sorted {
        hash.update(id.as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..12])
}

impl Message {
    /// Makes subject, severity and escalation anew, of the entries that are there.
    pub(super) fn refresh(&mut self) {
        let open: Vec<&Entry> = self.entries.iter().filter(|e| e.change.is_open()).collect();
        let of = if open.is_empty() { self.entries.iter().collect() } else { open };
        self.severity = of.iter().map(|e| e.severity).max().unwrap_or(Severity::Info);
        self.escalated = self.entries.iter().any(|e| e.escalated);
        self.subject = ascii(&subject(&self.entries));
    }
}

/// The subject: how grave, whose, what.
fn subject(entries: &[Entry]) -> String {
    let open: Vec<&Entry> = entries.iter().filter(|e| e.change.is_open()).collect();
    let over = entries.len() - open.len();
    let of: Vec<&Entry> = if open.is_empty() { entries.iter().collect() } else { open.clone() };
    let severity = of.iter().map(|e| e.severity).max().unwrap_or(Severity::Info).name().to_uppercase();
    let all = |change: Change| of.iter().all(|e| e.change == change);
    let word = if open.is_empty() {
        let word = if all(Change::Succeeded) {
            "OK"
        } else if all(Change::Closed) {
            "CLOSED"
        } else {
            "RESOLVED"
        };
        word.to_owned()
    } else if of.iter().any(|e| e.change == Change::Escalated) {
        format!("ESCALATED {severity}")
    } else if all(Change::Reminder) {
        format!("STILL {severity}")
    } else {
        severity
    };
    let mut databases: Vec<&str> = of.iter().map(|e| e.database.as_str()).collect();
    databases.sort_unstable();
    databases.dedup();
    let whose = match databases[..] {
        [one] => one.to_owned(),
        _ => format!("{} databases", count(databases.len() as u64)),
    };
    let mut titles: Vec<&str> = of.iter().map(|e| e.title.as_str()).collect();
    titles.dedup();
    let what = match titles[..] {
        [one] => one.to_owned(),
        [first, ..] => format!("{first} and {} more", titles.len() - 1),
        [] => String::new(),
    };
    let more = if open.is_empty() || over == 0 { String::new() } else { format!("; {over} resolved") };
    format!("[lifeboat] {word} {whose}: {what}{more}")
}

/// What SNS takes as the subject of a mail: ASCII without control characters, short.
pub(super) fn ascii(text: &str) -> String {
    let mut plain: String = text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' }).collect();
    if plain.len() > LONGEST_SUBJECT {
        plain.truncate(LONGEST_SUBJECT - 3);
        plain.push_str("...");
    }
    plain
}
