//! Cuts the standard error of pg_restore, pg_dump and psql into single messages.

use super::secrets;

/// How the tool labelled a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// The tool's or the server's error.
    Error,
    /// The tool's own warning.
    Warning,
    /// The server's WARNING.
    ServerWarning,
    /// Anything that only informs.
    Info,
    /// Text before any message; its author is not known.
    None,
}

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Spoken {
    pub(super) label: Label,
    /// `pg_restore`, `psql`, …
    pub(super) tool: String,
    /// The first line of what went wrong, without the tool's and the server's prefixes; it may quote a password.
    pub(super) error: String,
    /// What the server was told to do, where the tool says so; whole, with the passwords in it.
    pub(super) command: Option<String>,
    /// The TOC entry it was about.
    pub(super) entry: Option<String>,
    /// All of it that may be told, without the tool's name in front.
    pub(super) text: String,
}

const TOOLS: [&str; 4] = ["pg_restore", "pg_dump", "pg_dumpall", "psql"];

/// What stands between an error and its command.
pub(super) const COMMAND: &str = "\nCommand was: ";

/// Messages in the order they were said.
pub(super) fn split(text: &str) -> Vec<Spoken> {
    let mut spoken: Vec<Spoken> = Vec::new();
    let mut entry = None;
    for line in text.lines() {
        let Some((tool, rest)) = tool_line(line) else {
            continue_with(&mut spoken, line);
            continue;
        };
        if let Some(about) = rest.strip_prefix("from TOC entry ") {
            entry = Some(about.to_owned());
        } else if let Some(more) = rest.strip_prefix("detail: ").or_else(|| rest.strip_prefix("hint: ")) {
            continue_with(&mut spoken, more);
        } else if !(rest.starts_with("while ") && rest.ends_with(':')) {
            let (label, error) = labelled(rest);
            let entry = if label == Label::Error && tool == "pg_restore" { entry.clone() } else { None };
            let (tool, error) = (tool.to_owned(), error.to_owned());
            spoken.push(Spoken { label, tool, error, command: None, entry, text: rest.to_owned() });
        }
    }
    for message in &mut spoken {
        let text = message.text.trim_end();
        let (said, command) = match text.split_once(COMMAND) {
            Some((said, command)) => (said, Some(command)),
            None => (text, None),
        };
        let kept = secrets::kept(said, command);
        message.command = command.map(str::to_owned);
        message.text = kept;
    }
    spoken
}

/// `pg_restore: error: …` → `pg_restore`, `error: …`; `psql:<stdin>:12: ERROR:  …` → `psql`, `ERROR:  …`.
fn tool_line(line: &str) -> Option<(&'static str, &str)> {
    let tool = TOOLS.into_iter().find(|tool| line.strip_prefix(tool).is_some_and(|rest| rest.starts_with(':')))?;
    let rest = &line[tool.len() + 1..];
    if let Some(rest) = rest.strip_prefix(' ') {
        return Some((tool, rest));
    }
    // psql names file and line; a file's name may contain anything but is ours.
    let at = rest.find(": ")?;
    let (_, number) = rest[..at].rsplit_once(':')?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some((tool, &rest[at + 2..]))
}

fn labelled(rest: &str) -> (Label, &str) {
    let server = |text: &'static str, label| rest.strip_prefix(text).map(|said| (label, said.trim_start()));
    let known = server("warning: ", Label::Warning)
        .or_else(|| server("WARNING: ", Label::ServerWarning))
        .or_else(|| server("NOTICE: ", Label::Info))
        .or_else(|| server("INFO: ", Label::Info))
        .or_else(|| server("LOG: ", Label::Info))
        .or_else(|| server("DEBUG: ", Label::Info))
        .or_else(|| server("ERROR: ", Label::Error))
        .or_else(|| server("FATAL: ", Label::Error))
        .or_else(|| server("PANIC: ", Label::Error));
    if let Some(known) = known {
        return known;
    }
    match rest.strip_prefix("error: ").or_else(|| rest.strip_prefix("fatal: ")) {
        // What the server said comes after the tool's words for what it was doing.
        Some(said) => match ["ERROR:  ", "FATAL:  ", "PANIC:  "].iter().find_map(|mark| said.split_once(mark)) {
            Some((doing, reason)) if !doing.contains("COPY failed") => (Label::Error, reason),
            _ => (Label::Error, said),
        },
        None => (Label::Info, rest),
    }
}

fn continue_with(spoken: &mut Vec<Spoken>, line: &str) {
    if let Some(message) = spoken.last_mut() {
        message.text.push('\n');
        message.text.push_str(line);
    } else if !line.trim().is_empty() {
        spoken.push(Spoken {
            label: Label::None,
            tool: String::new(),
            error: line.to_owned(),
            command: None,
            entry: None,
            text: line.to_owned(),
        });
    }
}
