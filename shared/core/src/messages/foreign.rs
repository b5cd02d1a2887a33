//! What somebody else publishes on our topic, such as CloudWatch's alarms, so that it reaches the same channels.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Message, Note, Purpose,
    compose::{ascii, blank, id_of},
    words::cut,
};
use crate::events::Severity;

/// The most characters of a title: where a message has no subject, its first line may be all of it.
const LONGEST_TITLE: usize = 200;

/// A message of what is not ours; `id` names it. An alarm of CloudWatch is told as an alarm.
pub fn of_foreign(subject: Option<&str>, body: &str, id: &str, now: Timestamp) -> Message {
    let (note, severity) = alarm(body).unwrap_or_else(|| {
        let first = body.lines().next().unwrap_or_default();
        let title = cut(subject.filter(|s| !s.is_empty()).unwrap_or(first), LONGEST_TITLE);
        let key = format!("lifeboat/foreign/{title}");
        (Note { title, text: body.to_owned(), key, over: false }, Severity::Warning)
    });
    let word = if note.over { "RESOLVED" } else { severity_word(severity) };
    Message {
        id: id_of(&[format!("foreign/{id}")]),
        subject: ascii(&format!("[lifeboat] {word} {}", note.title)),
        note: Some(note),
        ..blank(Purpose::Foreign, severity, now)
    }
}

fn severity_word(severity: Severity) -> &'static str {
    if severity == Severity::Critical { "CRITICAL" } else { "WARNING" }
}

/// Amazon's form of an alarm: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-email.html>.
fn alarm(body: &str) -> Option<(Note, Severity)> {
    let document: Value = serde_json::from_str(body).ok()?;
    let text = |key: &str| document[key].as_str().unwrap_or_default();
    let name = document["AlarmName"].as_str()?;
    let state = document["NewStateValue"].as_str()?;
    let over = state == "OK";
    let title = if over { format!("{name} is over") } else { format!("{name} is in state {state}") };
    let mut words: Vec<&str> = Vec::new();
    words.extend([text("AlarmDescription"), text("NewStateReason"), text("StateChangeTime")]);
    words.retain(|words| !words.is_empty());
    let note = Note { title, text: words.join("\n"), key: format!("cloudwatch/{name}"), over };
    Some((note, if over { Severity::Info } else { Severity::Critical }))
}
