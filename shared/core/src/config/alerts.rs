//! Whom alerts reach, and when: `[alerts]` and its channels.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::civil::Weekday;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{Origin, Rows, SecretRef, Setting, Span};
use crate::{events::Severity, ids::DatabaseSlug};

/// `[alerts]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertsConfig {
    /// The SNS topic that messages are published on.
    pub topic: Option<Setting<String>>,
    /// How often people are reminded of what lasts.
    pub reminder: Setting<Span>,
    /// After what time severity is raised and further people are told.
    pub escalate_after: Setting<EscalateAfter>,
    /// Below this nobody is told.
    pub severity: Setting<Severity>,
    /// How often the digest is sent.
    pub digest: Setting<DigestEvery>,
    /// On which day a weekly digest is sent.
    pub digest_day: Setting<DigestDay>,
    /// At which hour of the day, UTC, the digest is sent.
    pub digest_hour: Setting<u32>,
    /// Whom to call.
    pub contacts: Setting<Vec<String>>,
    /// Whom to call besides, when something has lasted for long.
    pub escalation_contacts: Setting<Vec<String>>,
    /// Databases whose every success is told.
    pub per_run: Setting<Vec<DatabaseSlug>>,
    /// Ways to people.
    pub channels: BTreeMap<String, ChannelConfig>,
}

/// `[alerts.channels.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Where it leads.
    pub to: Setting<ChannelTo>,
    /// The least severity it is told.
    pub severity: Setting<Severity>,
    /// Whether it is told only of what has lasted for long.
    pub escalation: Setting<bool>,
    /// The databases it is told of; empty: all.
    pub databases: Setting<Vec<DatabaseSlug>>,
}

/// Where a channel leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelTo {
    /// Slack's incoming webhook.
    Slack {
        /// Its URL, which is all that it takes to post there.
        url: SecretRef,
    },
    /// A webhook that takes PagerDuty's Events v2.
    Webhook {
        /// Its URL; PagerDuty's own where there is none.
        url: Option<SecretRef>,
        /// PagerDuty's integration key.
        routing_key: Option<SecretRef>,
    },
    /// Mail.
    Email {
        /// Who sends it.
        from: String,
        /// Who gets it.
        to: Vec<String>,
        /// The URL of the server, with user and password; none: Amazon SES.
        smtp: Option<SecretRef>,
    },
}

impl ChannelTo {
    /// The key in the file.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
            Self::Email { .. } => "email",
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Slack { url } => json!(url),
            Self::Webhook { url, routing_key } => json!({ "url": url, "routing_key": routing_key }),
            Self::Email { from, to, smtp } => json!({ "from": from, "to": to, "smtp": smtp, "ses": smtp.is_none() }),
        }
    }
}

/// After what time further people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EscalateAfter(pub Option<Span>);

/// How often the digest is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestEvery {
    /// Every week.
    Weekly,
    /// Every day.
    Daily,
    /// Never.
    Off,
}

/// The day of a weekly digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestDay(pub Weekday);

/// Why a text is none of the words that a setting knows.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{0}")]
pub struct ParseWordError(String);

const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];
const EVERY: [(&str, DigestEvery); 3] =
    [("weekly", DigestEvery::Weekly), ("daily", DigestEvery::Daily), ("off", DigestEvery::Off)];
const SEVERITIES: [(&str, Severity); 3] =
    [("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];

fn word<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, ParseWordError> {
    known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        ParseWordError(format!("'{text}' is none of {}", names.join(", ")))
    })
}

impl FromStr for EscalateAfter {
    type Err = super::ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" { Ok(Self(None)) } else { text.parse().map(|span| Self(Some(span))) }
    }
}

impl fmt::Display for EscalateAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(span) => write!(f, "{span}"),
            None => f.write_str("never"),
        }
    }
}

impl FromStr for DigestEvery {
    type Err = ParseWordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        word(text, &EVERY)
    }
}

impl fmt::Display for DigestEvery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EVERY.iter().find(|(_, every)| every == self).map_or("", |(name, _)| name))
    }
}

impl FromStr for DigestDay {
    type Err = ParseWordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        word(text, &DAYS).map(Self)
    }
}

impl fmt::Display for DigestDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DAYS.iter().find(|(_, day)| *day == self.0).map_or("", |(name, _)| name))
    }
}

impl FromStr for Severity {
    type Err = ParseWordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        word(text, &SEVERITIES)
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {
        $(impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        })*
    };
}
as_text!(EscalateAfter, DigestEvery, DigestDay);

impl Default for AlertsConfig {
    fn default() -> Self {
        let day = Span(86_400);
        Self {
            topic: None,
            reminder: Setting::default_of(day),
            escalate_after: Setting::default_of(EscalateAfter(Some(day))),
            severity: Setting::default_of(Severity::Warning),
            digest: Setting::default_of(DigestEvery::Weekly),
            digest_day: Setting::default_of(DigestDay(Weekday::Monday)),
            digest_hour: Setting::default_of(7),
            contacts: Setting::default_of(Vec::new()),
            escalation_contacts: Setting::default_of(Vec::new()),
            per_run: Setting::default_of(Vec::new()),
            channels: BTreeMap::new(),
        }
    }
}

impl AlertsConfig {
    pub(super) fn in_force(&self, rows: &mut Rows) {
        rows.maybe("alerts.topic", self.topic.as_ref());
        rows.set("alerts.reminder", &self.reminder);
        rows.set("alerts.escalate_after", &self.escalate_after);
        rows.set("alerts.severity", &self.severity);
        rows.set("alerts.digest", &self.digest);
        rows.set("alerts.digest_day", &self.digest_day);
        rows.set("alerts.digest_hour", &self.digest_hour);
        rows.set("alerts.contacts", &self.contacts);
        rows.set("alerts.escalation_contacts", &self.escalation_contacts);
        rows.set("alerts.per_run", &self.per_run);
        for (name, channel) in &self.channels {
            let path = format!("alerts.channels.{name}");
            let to = &channel.to;
            rows.push(format!("{path}.{}", to.value.key()), to.value.value(), &to.origin);
            rows.set(format!("{path}.severity"), &channel.severity);
            rows.set(format!("{path}.escalation"), &channel.escalation);
            rows.set(format!("{path}.databases"), &channel.databases);
        }
    }

    /// Whether anybody can be told.
    pub fn reach_somebody(&self) -> bool {
        self.topic.is_some() || !self.channels.is_empty()
    }
}

impl ChannelConfig {
    /// A channel that is told everything.
    pub fn new(to: ChannelTo, origin: Origin) -> Self {
        Self {
            to: Setting::new(to, origin),
            severity: Setting::default_of(Severity::Info),
            escalation: Setting::default_of(false),
            databases: Setting::default_of(Vec::new()),
        }
    }
}
