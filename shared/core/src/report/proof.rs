//! Evidence that a drill can fail: the user's checks, what the client tools said, and the negative controls.

use serde::{Deserialize, Serialize};

use super::model::Fact;
use crate::ports::ToolMessage;

/// One of the user's SQL assertions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Its name.
    pub name: String,
    /// Its SQL.
    pub sql: String,
    /// Whether it returned true.
    pub passed: bool,
    /// The error, where it could not be run.
    pub error: Option<String>,
}

/// One call of a client tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolRun {
    /// Tool and step, such as `pg_restore pre-data`.
    pub step: String,
    /// Its exit code.
    pub exit_code: Fact<i32>,
    /// Everything it said, classified.
    pub messages: Vec<ToolMessage>,
}

/// A corrupted copy of one object, given to the same code path: it must be refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegativeControl {
    /// `table data`, `table of contents`, `large object`, …
    pub object_kind: String,
    /// Key of the object whose copy was damaged, relative to the backup.
    pub object: String,
    /// How it was damaged: `bit 3 of byte 1024 flipped`.
    pub damage: String,
    /// Whether the damage was noticed.
    pub rejected: bool,
    /// The words of the refusal, or what happened instead.
    pub words: String,
}

/// Evidence that the drill itself works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The user's checks.
    pub checks: Vec<CheckResult>,
    /// Client tools.
    pub tools: Vec<ToolRun>,
    /// Negative controls, at least one per kind of object.
    pub negative_controls: Vec<NegativeControl>,
}
