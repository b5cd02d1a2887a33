//! A message as plain text, for mail, and as a text message for telephones.

use std::fmt::Write as _;

use super::{
    Message,
    view::{Section, View},
};

/// The most characters of a text message: one SMS holds 140 bytes.
const SMS: usize = 140;
/// How long lines of names become.
const LINE: usize = 96;

/// As plain text, in lines that a mail reader need not break: facts under their names, commands to be copied.
pub fn to_text(message: &Message) -> String {
    let view = View::new(message);
    let mut text = format!("{}\n", view.title);
    if let Some(intro) = &view.intro {
        add(&mut text, format_args!("\n{intro}\n"));
    }
    for section in &view.sections {
        add_section(&mut text, section);
    }
    if !view.contacts.is_empty() {
        text.push_str("\nContacts\n");
        for contact in &view.contacts {
            add(&mut text, format_args!("  {contact}\n"));
        }
    }
    add(&mut text, format_args!("\n-- \nLifeboat, {}\n", view.footer.join(", ")));
    text
}

fn add_section(text: &mut String, section: &Section) {
    add(text, format_args!("\n{}  {}\n", section.label.to_uppercase(), section.heading));
    for (name, value) in &section.facts {
        let value = value.replace('\n', "\n            ");
        add(text, format_args!("  {name:<10}{value}\n"));
    }
    if !section.commands.is_empty() {
        text.push_str("  Run\n");
        for command in &section.commands {
            add(text, format_args!("    {command}\n"));
        }
    }
    if section.only_names() {
        return add_names(text, section);
    }
    for row in &section.rows {
        let separator = if row.text.is_empty() { "" } else { ": " };
        add(text, format_args!("  - {}{separator}{}\n", row.name, row.text));
    }
}

/// Names of many in lines: more are seen at a glance.
fn add_names(text: &mut String, section: &Section) {
    let mut line = String::new();
    for (n, row) in section.rows.iter().enumerate() {
        if line.len() + row.name.len() > LINE {
            add(text, format_args!("  {}\n", line.trim_end()));
            line.clear();
        }
        let after = if n + 1 < section.rows.len() { ", " } else { "" };
        add(&mut line, format_args!("{}{after}", row.name));
    }
    if !line.is_empty() {
        add(text, format_args!("  {}\n", line.trim_end()));
    }
}

/// As a text message: ASCII, one SMS long.
pub fn to_sms(message: &Message) -> String {
    let mut text = message.subject.clone();
    let mut commands = message.entries.iter().flat_map(|e| &e.commands);
    if let Some(command) = commands.next() {
        let call = format!(". {command}");
        if text.len() + call.len() <= SMS {
            text.push_str(&call);
        }
    }
    text.truncate(SMS);
    text
}

fn add(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(words);
}
