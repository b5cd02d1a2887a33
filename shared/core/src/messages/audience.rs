//! Who gets what of a message.

use super::{Change, Message};
use crate::{events::Severity, ids::DatabaseSlug};

/// What one channel is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// The least severity.
    pub severity: Severity,
    /// Whether it is told only of what has lasted for long.
    pub escalation: bool,
    /// These databases; empty: all.
    pub databases: Vec<DatabaseSlug>,
}

impl Default for Audience {
    fn default() -> Self {
        Self { severity: Severity::Info, escalation: false, databases: Vec::new() }
    }
}

impl Audience {
    /// The message as this audience gets it; `None` where nothing in it is for them.
    pub fn of(&self, message: &Message) -> Option<Message> {
        if message.note.is_some() || message.digest.is_some() {
            // A test is for everybody; what others publish is told by severity; the digest is for nobody on call.
            let wanted = match (&message.note, &message.digest) {
                (_, Some(_)) => self.severity == Severity::Info && !self.escalation,
                (Some(note), _) if message.purpose == super::Purpose::Foreign => {
                    (note.over || message.severity >= self.severity) && !self.escalation
                }
                _ => true,
            };
            return wanted.then(|| message.clone());
        }
        let mut theirs = message.clone();
        theirs.entries.retain(|entry| {
            let concerned = self.databases.is_empty() || self.databases.contains(&entry.database);
            // Good news of what this audience was told of; a success only to those who want to hear everything.
            let grave = entry.severity >= self.severity && entry.change != Change::Succeeded;
            let grave = grave || self.severity == Severity::Info;
            concerned && grave && (!self.escalation || entry.escalated)
        });
        if theirs.entries.is_empty() {
            return None;
        }
        if theirs.entries.len() != message.entries.len() {
            theirs.refresh();
        }
        Some(theirs)
    }
}
