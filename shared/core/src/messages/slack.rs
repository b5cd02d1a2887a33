//! A message as Slack's Block Kit: <https://docs.slack.dev/reference/block-kit/blocks>.

use serde_json::{Value, json};

use super::{
    Message,
    view::{Row, Section, Tone, View},
    words::cut,
};

/// Slack's limits: blocks of a message, characters of a section's text and of a header's.
const BLOCKS: usize = 50;
const SECTION: usize = 3000;
const HEADER: usize = 150;
/// The most characters of a section's heading, so that something of the section follows it.
const HEADING: usize = 500;
/// Blocks at the end: what is left out, contacts, footer.
const LAST: usize = 3;

/// The body for an incoming webhook: `text` is what notifications show, `blocks` the message.
pub fn to_slack(message: &Message) -> Value {
    let view = View::new(message);
    let mut blocks = vec![json!({
        "type": "header", "text": { "type": "plain_text", "text": cut(&format!("{} {}", sign(view.tone), view.title), HEADER) }
    })];
    if let Some(intro) = &view.intro {
        blocks.push(section(&format!("*{}*", escape(intro))));
    }
    let mut left_out = 0;
    for part in &view.sections {
        for text in texts(part) {
            if blocks.len() < BLOCKS - LAST {
                blocks.push(section(&text));
            } else {
                left_out += 1;
            }
        }
    }
    if left_out > 0 {
        blocks.push(section(&format!("_{left_out} parts are left out here._ `lifeboat alert list` shows everything.")));
    }
    if !view.contacts.is_empty() {
        let contacts: Vec<String> = view.contacts.iter().map(|contact| escape(contact)).collect();
        blocks.push(section(&cut(&format!("*Contacts:* {}", contacts.join(" · ")), SECTION)));
    }
    blocks.push(json!({
        "type": "context",
        "elements": [{ "type": "mrkdwn", "text": cut(&escape(&format!("Lifeboat, {}", view.footer.join(", "))), SECTION) }]
    }));
    json!({ "text": escape(&message.subject), "blocks": blocks })
}

fn sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Critical => "🔴",
        Tone::Warning => "🟠",
        Tone::Info => "🔵",
        Tone::Good => "🟢",
    }
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// One section of ours as the texts of one or more of Slack's.
fn texts(part: &Section) -> Vec<String> {
    let heading = escape(&cut(&part.heading, HEADING));
    let mut lines = vec![format!("{} *{heading}*  {}", sign(part.tone), escape(&part.label))];
    for (name, value) in &part.facts {
        lines.push(cut(&format!("*{name}:* {}", escape(value)), SECTION - 100));
    }
    if !part.commands.is_empty() {
        // Within code, Slack takes the three escapes too.
        lines.push(format!("```{}```", escape(&cut(&part.commands.join("\n"), SECTION / 2))));
    }
    // A row's name is a slug, its text is words: names of many in one line are read more easily than in many lines.
    if part.only_names() {
        let names: Vec<&str> = part.rows.iter().map(|row| row.name.as_str()).collect();
        lines.extend(names.chunks(40).map(|names| names.join(", ")));
    } else {
        lines.extend(part.rows.iter().map(row));
    }
    let mut texts: Vec<String> = Vec::new();
    for line in lines {
        match texts.last_mut() {
            Some(text) if text.chars().count() + line.chars().count() < SECTION => {
                text.push('\n');
                text.push_str(&line);
            }
            _ => texts.push(line),
        }
    }
    texts
}

fn row(row: &Row) -> String {
    cut(&format!("• *{}* {}", escape(&row.name), escape(&row.text)), SECTION - 100)
}

/// Slack's three escapes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
