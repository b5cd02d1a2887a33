//! What a plan consists of: statements with their reasons, and what is left out.

use serde::{Deserialize, Serialize};

use super::{ObjectName, Recommendation, Remedy};

/// Whether VACUUM cleans indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexCleanup {
    /// As the server thinks right.
    Auto,
    /// Not at all: freezing is urgent.
    Off,
}

/// One statement that maintenance runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// VACUUM of one table; it never waits for the table's lock.
    Vacuum {
        /// The table.
        table: ObjectName,
        /// Parallel workers for its indexes.
        parallel: u32,
        /// Whether empty pages at the end go back to the system, which takes an ACCESS EXCLUSIVE lock for a moment.
        truncate: bool,
        /// Whether indexes are cleaned.
        index_cleanup: IndexCleanup,
    },
    /// ANALYZE of one table.
    Analyze {
        /// The table.
        table: ObjectName,
        /// Of a partitioned table, without its partitions.
        only: bool,
    },
    /// REINDEX CONCURRENTLY of one index.
    Reindex {
        /// The index.
        index: ObjectName,
    },
    /// Drops what a failed REINDEX CONCURRENTLY left, concurrently too.
    DropLeftover {
        /// The index.
        index: ObjectName,
    },
    /// VACUUM FULL of one table.
    VacuumFull {
        /// The table.
        table: ObjectName,
    },
}

impl Action {
    /// What it works on.
    pub fn object(&self) -> &ObjectName {
        match self {
            Self::Vacuum { table, .. } | Self::Analyze { table, .. } | Self::VacuumFull { table } => table,
            Self::Reindex { index } | Self::DropLeftover { index } => index,
        }
    }

    /// Whether it has to wait for transactions that were open before it, or shuts others out: another's long
    /// transaction, such as a dump's, would make it wait to its end.
    pub fn waits_for_transactions(&self) -> bool {
        matches!(self, Self::Reindex { .. } | Self::DropLeftover { .. } | Self::VacuumFull { .. })
    }

    /// A verb phrase, for progress and messages.
    pub fn doing(&self) -> String {
        let verb = match self {
            Self::Vacuum { .. } => "vacuum",
            Self::Analyze { .. } => "analyze",
            Self::Reindex { .. } => "reindex",
            Self::DropLeftover { .. } => "drop leftover",
            Self::VacuumFull { .. } => "vacuum full",
        };
        format!("{verb} {}", self.object())
    }
}

/// One statement, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// What it works on.
    pub oid: u32,
    /// The table it belongs to.
    pub table_oid: u32,
    /// What it keeps others from doing meanwhile.
    pub blocks: String,
    /// Bytes of disk that it needs for its time, where it needs any.
    pub disk_bytes: u64,
}

/// Something that is due, or was asked for, and is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What.
    pub action: Action,
    /// Why not.
    pub reason: String,
    /// What would let it be done.
    pub remedy: Option<Remedy>,
}

/// What is done, what is not, and what a person should do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Statements, in order.
    pub steps: Vec<Step>,
    /// What is due and not done.
    pub left_out: Vec<LeftOut>,
    /// What a person should do, gravest first.
    pub recommendations: Vec<Recommendation>,
}
