//! The steps and the state that a state machine carries from one to the next. Small: EventBridge and Step Functions take
//! 256 KB.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    drill::{Origin, instance::Needs},
    ids::{BackupId, DatabaseSlug, DrillId},
    ports::InstanceAddress,
    report::Verdict,
    runner::RunsOn,
};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Chooses the backup; its answer is the first state.
    Select,
    /// Asks for a frozen backup, and looks whether it can be read.
    Thaw,
    /// Has the instance made.
    Provision,
    /// Looks whether it is available.
    Await,
    /// Restores.
    Restore,
    /// Compares.
    Compare,
    /// Runs the user's checks.
    Checks,
    /// Gives damaged copies to what checks.
    NegativeControl,
    /// Has the instance removed.
    TearDown,
    /// Looks whether it is gone.
    Gone,
    /// Judges, writes the report, tells.
    Report,
    /// Tells AWS Backup what came of the instance that its restore test made.
    Validation,
}

impl Step {
    /// All, in their order.
    pub const ALL: [Self; 12] = [
        Self::Select,
        Self::Thaw,
        Self::Provision,
        Self::Await,
        Self::Restore,
        Self::Compare,
        Self::Checks,
        Self::NegativeControl,
        Self::TearDown,
        Self::Gone,
        Self::Report,
        Self::Validation,
    ];

    /// Its name in requests, records and states.
    pub fn name(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Thaw => "thaw",
            Self::Provision => "provision",
            Self::Await => "await",
            Self::Restore => "restore",
            Self::Compare => "compare",
            Self::Checks => "checks",
            Self::NegativeControl => "negative-control",
            Self::TearDown => "tear-down",
            Self::Gone => "gone",
            Self::Report => "report",
            Self::Validation => "validation",
        }
    }

    /// The phase of the drill that it belongs to, as the report calls it.
    pub fn phase(self) -> &'static str {
        match self {
            Self::Await => "provision",
            Self::NegativeControl => "negative control",
            Self::Gone => "tear-down",
            other => other.name(),
        }
    }

    /// Whether it asks APIs that the scratch network does not reach, and neither the store nor the database.
    pub fn controls(self) -> bool {
        matches!(self, Self::Provision | Self::Await | Self::TearDown | Self::Gone | Self::Validation)
    }

    /// The step of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error that the state machine caught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Caught {
    /// Its name: the kind of one of ours, such as `database`, or one of Lambda's or Step Functions' own.
    #[serde(rename = "Error", default)]
    pub error: String,
    /// What happened: of ours, Lambda's JSON.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

impl Caught {
    /// What happened, in words.
    pub fn words(&self) -> String {
        let document: Option<serde_json::Value> = serde_json::from_str(&self.cause).ok();
        let message = document.as_ref().and_then(|d| d["errorMessage"].as_str()).unwrap_or(&self.cause);
        match (self.error.as_str(), message) {
            ("", "") => "it ended without a word".to_owned(),
            ("", message) => message.to_owned(),
            (error, "") => error.to_owned(),
            (error, message) => format!("{error}: {message}"),
        }
    }
}

/// What the machine carries. It reads `already`, `thawed`, `available`, `gone`, `adopted`, `runner` and `wait_seconds`, and sets
/// `error` and `failed_in`, and for the removal `removal_error` and `removal_failed_in`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillState {
    /// The drill.
    pub drill_id: DrillId,
    /// The database.
    pub database: DatabaseSlug,
    /// The backup that is drilled.
    pub backup_id: BackupId,
    /// The machine's execution.
    pub execution: String,
    /// Whether the drill of this time was begun by another execution: then there is nothing to do.
    #[serde(default)]
    pub already: bool,
    /// Whether the backup can be read.
    #[serde(default)]
    pub thawed: bool,
    /// Whether the instance can be connected to.
    #[serde(default)]
    pub available: bool,
    /// Whether the instance is gone.
    #[serde(default)]
    pub gone: bool,
    /// Whether AWS Backup made the instance, and is told what came of it.
    #[serde(default)]
    pub adopted: bool,
    /// Where restore and compare run.
    #[serde(default)]
    pub runner: RunsOn,
    /// How long to wait before the next look.
    #[serde(default)]
    pub wait_seconds: u64,
    /// How the drill ended.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// How, in a sentence.
    #[serde(default)]
    pub outcome: Option<String>,
    /// Whether something was found against what was restored, whatever else ended the drill.
    #[serde(default)]
    pub found_wrong: bool,
    /// When the drill began.
    pub started_at: Timestamp,
    /// `schedule` or `request`.
    pub trigger: String,
    /// How the backup was selected.
    pub selection: String,
    /// What it asks of the instance.
    pub needs: Needs,
    /// What is drilled instead of a backup; the backup is then the one to compare the catalog with: the newest, and from
    /// `provision` on the one made nearest to it, if it is known from when it is.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// Since when it is thawing.
    #[serde(default)]
    pub thawing_since: Option<Timestamp>,
    /// Since when the instance is being made.
    #[serde(default)]
    pub provisioning_since: Option<Timestamp>,
    /// Since when it is being removed.
    #[serde(default)]
    pub removing_since: Option<Timestamp>,
    /// The instance.
    #[serde(default)]
    pub instance_id: Option<String>,
    /// How it is reached; no secret.
    #[serde(default)]
    pub address: Option<InstanceAddress>,
    /// What the machine caught.
    #[serde(default)]
    pub error: Option<Caught>,
    /// The step in which it did.
    #[serde(default)]
    pub failed_in: Option<String>,
    /// What the machine caught when the instance was removed, be it after another step that failed.
    #[serde(default)]
    pub removal_error: Option<Caught>,
    /// The step in which it did.
    #[serde(default)]
    pub removal_failed_in: Option<String>,
}

impl DrillState {
    /// The step that ended with an error, if this is one, and what was caught.
    pub(super) fn caught_in(&self, step: Step) -> Option<&Caught> {
        let unknown = &UNKNOWN;
        let noted = [(&self.failed_in, &self.error), (&self.removal_failed_in, &self.removal_error)];
        let found = noted.into_iter().find(|(failed_in, _)| failed_in.as_deref() == Some(step.name()));
        found.map(|(_, caught)| caught.as_ref().unwrap_or(unknown))
    }
}

/// The machine noted a step and no error.
static UNKNOWN: Caught = Caught { error: String::new(), cause: String::new() };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_one_name() {
        for step in Step::ALL {
            assert_eq!(serde_json::to_value(step).unwrap(), step.name());
            assert_eq!(Step::named(step.name()), Some(step));
        }
    }

    #[test]
    fn what_was_caught_is_told_in_its_own_words() {
        let ours = Caught {
            error: "database".to_owned(),
            cause: r#"{"errorType":"database","errorMessage":"connect: refused"}"#.to_owned(),
        };
        assert_eq!(ours.words(), "database: connect: refused");
        let killed = Caught { error: "Lambda.Unknown".to_owned(), cause: "signal: killed".to_owned() };
        assert_eq!(killed.words(), "Lambda.Unknown: signal: killed");
    }
}
