//! Where restores may go by name, and what is done around them: `[restore.targets.<name>]`.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::{DatabaseUrl, Rows, SecretRef, Setting, Span};
use crate::ids::DatabaseSlug;

/// Something that is done before or after a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// A program and its arguments, without a shell.
    Command(Vec<String>),
    /// A POST to the address that a secret holds.
    Webhook(SecretRef),
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(words) => write!(f, "command {}", words.join(" ")),
            Self::Webhook(secret) => write!(f, "webhook of {secret}"),
        }
    }
}

impl Serialize for Hook {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: Value = match self {
            Self::Command(words) => json!({ "command": words }),
            Self::Webhook(secret) => json!({ "webhook": secret }),
        };
        value.serialize(serializer)
    }
}

/// A place that restores may go to by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreTarget {
    /// Where its URL is kept.
    pub url: Setting<DatabaseUrl>,
    /// The databases whose backups may be restored there; empty: all.
    pub databases: Setting<Vec<DatabaseSlug>>,
    /// Whether the function may replace what is there.
    pub overwrite: Setting<bool>,
    /// What is done before anything is changed, in order.
    pub before: Setting<Vec<Hook>>,
    /// What is done afterwards, in every ending.
    pub after: Setting<Vec<Hook>>,
    /// How long one of these may take.
    pub hook_timeout: Setting<Span>,
    /// An address that must answer afterwards.
    pub answers: Option<Setting<String>>,
    /// Within what time.
    pub answers_within: Setting<Span>,
}

impl RestoreTarget {
    /// A target about which nothing but its URL is said.
    pub fn new(url: Setting<DatabaseUrl>) -> Self {
        Self {
            url,
            databases: Setting::default_of(Vec::new()),
            overwrite: Setting::default_of(false),
            before: Setting::default_of(Vec::new()),
            after: Setting::default_of(Vec::new()),
            hook_timeout: Setting::default_of(Span(120)),
            answers: None,
            answers_within: Setting::default_of(Span(120)),
        }
    }

    pub(super) fn in_force(&self, path: &str, rows: &mut Rows) {
        rows.set(format!("{path}.url"), &self.url);
        rows.set(format!("{path}.databases"), &self.databases);
        rows.set(format!("{path}.overwrite"), &self.overwrite);
        rows.set(format!("{path}.before"), &self.before);
        rows.set(format!("{path}.after"), &self.after);
        rows.set(format!("{path}.hook_timeout"), &self.hook_timeout);
        rows.maybe(format!("{path}.answers"), self.answers.as_ref());
        rows.set(format!("{path}.answers_within"), &self.answers_within);
    }
}
