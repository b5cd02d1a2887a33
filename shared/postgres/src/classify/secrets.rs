//! Keeps passwords out of messages: those in the command that failed, and what the server quotes of them.

use super::messages::COMMAND;
use crate::quote;

/// Second words of the statements that may hold a password.
const KINDS: [&str; 7] = ["SUBSCRIPTION", "USER", "SERVER", "FOREIGN", "ROLE", "GROUP", "DATABASE"];

/// The words before it.
const CLAUSES: [&str; 3] = ["CONNECTION", "OPTIONS", "PASSWORD"];

/// The word before the name of a setting, behind which its value stands: applications keep their keys in settings of their own.
const SET: &str = "SET";

/// The server's words before what libpq says of a connection string, which may be a piece of it.
const SYNTAX: &str = "invalid connection string syntax: ";

/// What libpq says of an option that it is too old for: this names the option only.
const UNKNOWN_OPTION: [&str; 2] = ["invalid connection option ", "invalid URI query parameter: "];

/// What is kept as a message's text of what was said and of the command that it was about.
pub(super) fn kept(said: &str, command: Option<&str>) -> String {
    let said = without_connection_string(said);
    let Some(command) = command else { return said };
    let Some(at) = secret_at(command) else { return format!("{said}{COMMAND}{command}") };
    let (shown, hidden) = command.split_at(at);
    let mut said = without_place(&said);
    // Nothing is hidden that the rest of the command shows: often a user of the other server is called like the role here.
    for literal in literals(hidden).iter().filter(|literal| !shown.contains(literal.as_str())) {
        said = said.replace(literal, "…");
    }
    format!("{said}{COMMAND}{} …", shown.trim_end())
}

/// Where the part of a command begins that may hold a password.
fn secret_at(command: &str) -> Option<usize> {
    /// How much of a statement has been read.
    enum Read {
        Nothing,
        Verb,
        Guarded,
        Other,
    }
    let mut read = Read::Nothing;
    for (at, piece) in pieces(command) {
        let is = |known: &[&str]| known.iter().any(|word| word.eq_ignore_ascii_case(piece));
        read = match read {
            _ if piece == ";" => Read::Nothing,
            before if piece.trim().is_empty() => before,
            Read::Nothing if is(&["CREATE", "ALTER"]) => Read::Verb,
            Read::Verb if is(&KINDS) => Read::Guarded,
            Read::Guarded if is(&CLAUSES) => return Some(at),
            Read::Guarded if is(&[SET]) => return Some(name_end(command, at + piece.len())),
            Read::Guarded => Read::Guarded,
            _ => Read::Other,
        };
    }
    None
}

/// Where the name is over that follows from `at` on, quoted or not; `at` where there is none.
fn name_end(command: &str, at: usize) -> usize {
    let rest = command[at..].trim_start();
    let start = command.len() - rest.len();
    let of_name =
        |piece: &str| piece == "." || piece.starts_with(|c: char| c == '"' || c == '_' || c.is_alphanumeric());
    let name = pieces(rest).take_while(|(_, piece)| of_name(piece));
    name.last().map_or(at, |(place, piece)| start + place + piece.len())
}

/// What stands in quotation marks, as it is written and as it is meant; what holds others comes first.
fn literals(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, piece) in pieces(sql) {
        let Some(rest) = piece.strip_prefix('\'') else { continue };
        let written = rest.strip_suffix('\'').unwrap_or(rest);
        let meant = written.replace("''", "'");
        found.push(if sql[..at].ends_with('E') { meant.replace("\\\\", "\\") } else { meant });
        found.push(written.to_owned());
    }
    // Fewer letters are no password, and stand in any sentence.
    found.retain(|literal| literal.len() > 3);
    found.sort_by_key(|literal| std::cmp::Reverse(literal.len()));
    found
}

/// Words, quoted pieces and single signs, each with its place.
fn pieces(sql: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let bytes = sql.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        at = match bytes.get(start)? {
            b'\'' | b'"' => quote::end(bytes, start),
            byte if is_word(byte) => start + bytes[start..].iter().take_while(|byte| is_word(byte)).count(),
            _ => start + 1,
        };
        Some((start, &sql[start..at]))
    })
}

/// Without the line of the command into which the server points, cut anywhere: `LINE 1: ...rd=secret' PUBLICATION p`.
fn without_place(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with("LINE ") && line.trim() != "^");
    lines.collect::<Vec<_>>().join("\n")
}

fn without_connection_string(said: &str) -> String {
    match said.split_once(SYNTAX) {
        Some((before, reason)) if !UNKNOWN_OPTION.iter().any(|known| reason.starts_with(known)) => {
            format!("{before}{SYNTAX}…")
        }
        _ => said.to_owned(),
    }
}
