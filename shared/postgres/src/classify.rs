//! Turns what client tools say on standard error into messages, and says of each how it is to be taken.

mod messages;
mod rules;
mod secrets;

use lifeboat_core::ports::{Classification, ToolMessage};

use messages::Spoken;

/// The messages in a tool's standard error, classified. An error with its details, its command and the TOC entry it was
/// about is one message, and no password that the command holds is in its text.
///
/// The tools must have spoken English (`LC_ALL=C`) and so must the server (`lc_messages`): what is not recognised is
/// [`Classification::Unknown`], which is fatal.
pub fn classify(stderr: &[u8]) -> Vec<ToolMessage> {
    let text = String::from_utf8_lossy(stderr);
    let mut missing = Missing::default();
    messages::split(&text)
        .into_iter()
        .map(|spoken| {
            let classification = missing.consequence_of(&spoken).unwrap_or_else(|| rules::classification(&spoken));
            missing.learn(&spoken, classification);
            ToolMessage { classification, text: spoken.text, entry: spoken.entry }
        })
        .collect()
}

/// All that a tool has said, as it may be told where its messages are not taken one by one.
pub(crate) fn told(stderr: &[u8]) -> String {
    let texts: Vec<String> = classify(stderr).into_iter().map(|message| message.text).collect();
    texts.join("\n")
}

/// The message about one statement of a globals.sql that the server refused.
pub(crate) fn refused_statement(error: &str, statement: &str) -> ToolMessage {
    let spoken = Spoken {
        label: messages::Label::Error,
        tool: "psql".to_owned(),
        error: error.to_owned(),
        command: Some(statement.to_owned()),
        entry: None,
        text: secrets::kept(error, Some(statement)),
    };
    ToolMessage { classification: rules::classification(&spoken), text: spoken.text, entry: None }
}

/// Objects that this role may not create. What is then said of each of them (no owner, no comment, no server of that
/// wrapper) is a consequence, not a further failure; but only where no rows can be lost by it.
#[derive(Default)]
struct Missing(Vec<String>);

/// Commands that concern rows of users in no way when they fail for want of another object.
const WITHOUT_ROWS: &[&str] = &[
    "ALTER * OWNER TO *",
    "COMMENT ON *",
    "SECURITY LABEL *",
    "GRANT *",
    "REVOKE *",
    "CREATE SERVER *",
    "CREATE USER MAPPING *",
    "CREATE FOREIGN TABLE *",
    "ALTER FOREIGN TABLE *",
    "ALTER PUBLICATION *",
    "ALTER SUBSCRIPTION *",
    "ALTER EVENT TRIGGER *",
    "ALTER TABLE ONLY * ALTER COLUMN * OPTIONS *",
];

impl Missing {
    fn consequence_of(&self, spoken: &Spoken) -> Option<Classification> {
        let command = spoken.command.as_deref()?;
        let absent = rules::matches("* does not exist", &spoken.error)
            && self.0.iter().any(|name| names(&spoken.error, name))
            && WITHOUT_ROWS.iter().any(|pattern| rules::matches(pattern, command));
        absent.then_some(Classification::ClusterPrivilege)
    }

    fn learn(&mut self, spoken: &Spoken, classification: Classification) {
        if classification != Classification::ClusterPrivilege && classification != Classification::VersionDifference {
            return;
        }
        if let Some(name) = spoken.command.as_deref().and_then(created) {
            self.0.push(name);
        }
    }
}

/// Whether `server "s" does not exist` or `function public.f(integer) does not exist` is about `name`.
fn names(error: &str, name: &str) -> bool {
    let Some(said) = error.strip_suffix(" does not exist") else { return false };
    match said.split_once('"') {
        Some((_, quoted)) => quoted.trim_end_matches('"') == name,
        None => said.split_once(' ').is_some_and(|(_, rest)| rest.split('(').next() == Some(name)),
    }
}

/// The name that a CREATE command would have given, without quotes, as error messages write it: `public.ft`.
fn created(command: &str) -> Option<String> {
    const KINDS: [&str; 16] = [
        "FOREIGN DATA WRAPPER ",
        "SERVER ",
        "FOREIGN TABLE ",
        "EVENT TRIGGER ",
        "PUBLICATION ",
        "SUBSCRIPTION ",
        "TRUSTED PROCEDURAL LANGUAGE ",
        "PROCEDURAL LANGUAGE ",
        "ACCESS METHOD ",
        "FUNCTION ",
        "PROCEDURE ",
        "AGGREGATE ",
        "TYPE ",
        "OPERATOR CLASS ",
        "OPERATOR FAMILY ",
        "EXTENSION IF NOT EXISTS ",
    ];
    let rest = command.strip_prefix("CREATE ")?;
    let rest = rest.strip_prefix("OR REPLACE ").unwrap_or(rest);
    let after = KINDS.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let mut name = String::new();
    let mut quoted = false;
    let mut letters = after.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ' ' | '(' | ';' | '\n' if !quoted => break,
            _ => name.push(letter),
        }
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests;
