//! What a person should do: findings in the facts that maintenance does not settle itself, each with its remedy; pure.

mod objects;
mod server;

use serde::{Deserialize, Serialize};

use super::{Action, Facts, MaintenanceRequest, ObjectName, Plan};
use crate::events::Severity;

/// What settles a finding; the caretaker writes it as statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "remedy", rename_all = "snake_case")]
pub enum Remedy {
    /// A statement that maintenance could run itself.
    Run {
        /// The statement.
        action: Action,
    },
    /// The role gets the right to VACUUM and ANALYZE a table.
    AllowMaintenance {
        /// The table.
        table: ObjectName,
        /// Its owner.
        owner: String,
        /// The role.
        role: String,
        /// From 17 on there is a privilege for it.
        server_version_num: u32,
    },
    /// The role becomes a member of the owner.
    GrantOwner {
        /// The owner.
        owner: String,
        /// The role.
        role: String,
    },
    /// The role may see what others' sessions do.
    GrantMonitor {
        /// The role.
        role: String,
    },
    /// REINDEX that blocks writes.
    ReindexLocking {
        /// The index.
        index: ObjectName,
    },
    /// The index is dropped.
    DropIndex {
        /// The index.
        index: ObjectName,
        /// Not possible for partitioned indexes.
        concurrently: bool,
    },
    /// Sequence and column get a type that reaches further.
    Widen {
        /// The sequence.
        sequence: ObjectName,
        /// Whether the sequence's own type ends its way.
        sequence_too: bool,
        /// Table and column, where the column's type ends its way.
        column: Option<(ObjectName, String)>,
    },
    /// The sequence's own limit is raised.
    RaiseLimit {
        /// The sequence.
        sequence: ObjectName,
    },
    /// The query is cancelled.
    CancelQuery {
        /// Its process.
        pid: i32,
    },
    /// The session is ended.
    EndSession {
        /// Its process.
        pid: i32,
    },
    /// The prepared transaction is rolled back.
    RollbackPrepared {
        /// Its name.
        gid: String,
    },
    /// Autovacuum is turned on: for a table, or at all.
    TurnOnAutovacuum {
        /// The table.
        table: Option<ObjectName>,
    },
    /// Everything is frozen: in a table, or in the database.
    Freeze {
        /// The table.
        table: Option<ObjectName>,
    },
    /// The table gets a primary key.
    AddPrimaryKey {
        /// The table.
        table: ObjectName,
    },
    /// A look at who is connected.
    ShowConnections,
    /// A look at what is read from disk.
    ShowReads,
}

/// One thing that a person should do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// Stable name; docs/DATABASE-CARE.md lists them.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about, where it is one thing.
    pub object: Option<String>,
    /// What is the matter, with figures.
    pub message: String,
    /// What settles it.
    pub remedy: Remedy,
}

/// Everything that a person should do, gravest first. What the plan settles is left out.
pub(super) fn recommend(
    facts: &Facts,
    request: &MaintenanceRequest,
    plan: &Plan,
    now: jiff::Timestamp,
) -> Vec<Recommendation> {
    let mut found = Vec::new();
    server::sessions(facts, &mut found);
    server::server(facts, &mut found);
    objects::sequences(facts, request, &mut found);
    objects::tables(facts, request, plan, &mut found);
    objects::indexes(facts, request, plan, now, &mut found);
    found.sort_by_key(|r| std::cmp::Reverse(r.severity));
    found
}

/// One more, about one thing or the whole.
fn add(
    found: &mut Vec<Recommendation>,
    code: &str,
    severity: Severity,
    object: Option<String>,
    message: String,
    remedy: Remedy,
) {
    found.push(Recommendation { code: code.to_owned(), severity, object, message, remedy });
}
