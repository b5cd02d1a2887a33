//! Maintenance: what a database's tables, indexes and sessions are like, what is done about it, and what a person should do.

mod action;
pub mod facts;
mod plan;
mod query_text;
mod recommend;
mod report;
mod run;

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use action::{Action, IndexCleanup, LeftOut, Plan, Step};
pub use facts::{
    Bloat, BloatSource, Facts, IndexFacts, ObjectName, OpenTransaction, SequenceFacts, Session, Sessions, TableFacts,
    TableKind, WaitingSession,
};
pub use plan::plan;
pub use query_text::without_literals;
pub use recommend::{Recommendation, Remedy};
pub use report::{
    Advice, IndexLine, LeftOutLine, MaintenanceReport, Outcome, Overview, REPORT_FORMAT_VERSION, Size, StatementLine,
    TableLine, Totals, report_key,
};
pub use run::{MaintenanceOutcome, MaintenancePorts, Prepared, execute, prepare};

use crate::{Error, ErrorKind, ids::DatabaseSlug, restore::TableName};

/// One thing that maintenance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Frees the space of dead tuples for new rows.
    Vacuum,
    /// Gathers the statistics by which queries are planned.
    Analyze,
    /// Builds bloated and invalid indexes anew, beside the old ones.
    Reindex,
    /// Writes tables anew; nobody can use them meanwhile. Only for tables that are named.
    Full,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vacuum, Self::Analyze, Self::Reindex, Self::Full];

    /// Those that a schedule may run: VACUUM FULL is not among them.
    pub const SCHEDULED: [Self; 3] = [Self::Vacuum, Self::Analyze, Self::Reindex];

    /// Its name in configuration, requests and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vacuum => "vacuum",
            Self::Analyze => "analyze",
            Self::Reindex => "reindex",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Operation {
    type Err = Error;
    fn from_str(text: &str) -> crate::Result<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == text).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("'{text}' is not an operation of maintenance"))
                .with_hint("the operations are vacuum, analyze, reindex and full")
        })
    }
}

/// From when on something is done about a table or index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Dead tuples of all, percent, from which a table is vacuumed.
    pub dead_tuples_percent: u32,
    /// Dead tuples that a table must have at least.
    pub dead_tuples_least: u64,
    /// Rows changed since the last ANALYZE (or inserted since the last VACUUM), percent.
    pub changed_percent: u32,
    /// Bloat from which an index is built anew and a table is reported, percent of its size.
    pub bloat_percent: u32,
    /// Bytes that the bloat must have at least.
    pub bloat_least_bytes: u64,
    /// Seconds for which an index must not have been used before it is reported.
    pub unused_index_after_seconds: u64,
    /// Percent of its range from which a sequence is reported.
    pub sequence_percent: u32,
    /// Seconds from which a query, an idle transaction or a prepared one is reported.
    pub long_query_seconds: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            dead_tuples_percent: 10,
            dead_tuples_least: 1000,
            changed_percent: 10,
            bloat_percent: 30,
            bloat_least_bytes: 10 << 20,
            unused_index_after_seconds: 30 * 86_400,
            sequence_percent: 80,
            long_query_seconds: 300,
        }
    }
}

/// How much maintenance may ask of the server, and of whoever uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds after which no statement begins any more, and the one under way is cancelled.
    pub time_budget_seconds: u64,
    /// Seconds that a statement waits for a lock, and that the application waits for one of ours.
    pub lock_timeout_seconds: u64,
    /// How often a statement that gets no lock, or gave way, is tried.
    pub attempts: u32,
    /// `vacuum_cost_delay`, milliseconds: the pause of VACUUM and ANALYZE whenever `cost_limit` is used up.
    pub cost_delay_ms: u32,
    /// `vacuum_cost_limit`.
    pub cost_limit: u32,
    /// Parallel workers of a VACUUM, for indexes.
    pub parallel: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_budget_seconds: 600,
            lock_timeout_seconds: 2,
            attempts: 3,
            cost_delay_ms: 2,
            cost_limit: 200,
            parallel: 0,
        }
    }
}

/// What maintenance is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct MaintenanceRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// What to do; nothing: only look and recommend.
    pub operations: Vec<Operation>,
    /// Only these tables, which are then taken whatever the thresholds say.
    pub tables: Vec<TableName>,
    /// Measure the bloat of every larger table and index, where the server can, not only of suspicious ones.
    pub measure_all: bool,
    /// From when on something is done.
    pub thresholds: Thresholds,
    /// How much it may ask.
    pub limits: Limits,
    /// `schedule`, `command line`, `request`.
    pub trigger: String,
}

impl MaintenanceRequest {
    /// A request with the defaults: VACUUM and ANALYZE where they are due.
    pub fn new(database: DatabaseSlug) -> Self {
        Self {
            database,
            operations: vec![Operation::Vacuum, Operation::Analyze],
            tables: Vec::new(),
            measure_all: false,
            thresholds: Thresholds::default(),
            limits: Limits::default(),
            trigger: "request".to_owned(),
        }
    }

    /// Whether an operation is asked for.
    pub fn wants(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
    }
}
