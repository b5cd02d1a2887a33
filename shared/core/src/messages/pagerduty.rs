//! A message in the form of PagerDuty's Events API v2, which other pagers take too: one event per incident.
//! <https://developer.pagerduty.com/docs/send-alert-event>

use serde_json::{Value, json};

use super::{Change, Entry, Message, words};
use crate::events::Severity;

/// The longest summary that PagerDuty takes.
const SUMMARY: usize = 1024;
/// The longest `dedup_key` that PagerDuty takes.
const KEY: usize = 255;

/// The events of a message, without the routing key. A digest and a success make none: they are for nobody on call.
pub fn to_pagerduty(message: &Message) -> Vec<Value> {
    if let Some(note) = &message.note {
        let source = message.store.as_deref().unwrap_or("lifeboat");
        let action = if note.over { "resolve" } else { "trigger" };
        let key: String = note.key.chars().take(KEY).collect();
        return vec![json!({
            "event_action": action,
            "dedup_key": key,
            "client": "Lifeboat",
            "payload": {
                "summary": words::cut(&note.title, SUMMARY),
                "source": source,
                "severity": severity(message.severity),
                "timestamp": message.at,
                "custom_details": { "text": note.text, "message_id": message.id }
            }
        })];
    }
    message.entries.iter().filter(|e| e.change != Change::Succeeded).map(|entry| event(message, entry)).collect()
}

fn event(message: &Message, entry: &Entry) -> Value {
    let action = if entry.change.is_open() { "trigger" } else { "resolve" };
    let key: String = entry.dedup_key().chars().take(KEY).collect();
    json!({
        "event_action": action,
        "dedup_key": key,
        "client": "Lifeboat",
        "payload": {
            "summary": words::cut(&format!("{}: {}: {}", entry.database, entry.title, entry.what), SUMMARY),
            "source": entry.database,
            "severity": severity(entry.severity),
            "timestamp": entry.since,
            "component": entry.kind,
            "group": "lifeboat",
            "class": entry.kind,
            "custom_details": {
                "what": entry.what,
                "means": entry.meaning,
                "since": entry.since,
                "times": entry.times,
                "protects": words::protection(entry.protection.as_ref(), message.at),
                "do": entry.remedy,
                "run": entry.commands,
                "contacts": message.contacts,
                "change": entry.change,
                "message_id": message.id
            }
        }
    })
}

/// PagerDuty knows `critical`, `error`, `warning` and `info`.
fn severity(severity: Severity) -> &'static str {
    severity.name()
}
