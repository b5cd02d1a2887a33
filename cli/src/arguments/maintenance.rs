//! The arguments of `maintenance`.

use clap::Args;
use lifeboat_core::{ids::DatabaseSlug, maintenance::Operation, restore::TableName};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat maintenance orders --dry-run
  lifeboat maintenance orders
  lifeboat maintenance orders --reindex --table shop.orders
  lifeboat maintenance orders --check-bloat --check-queries
  # shuts everybody out of the table; asks first
  lifeboat maintenance orders --full --table shop.audit_log

The application comes first: no lock is waited for longer than `lock_timeout` (default 2s), whoever waits for one of ours
gets it, and what could not be done is told with its reason. docs/DATABASE-CARE.md explains every operation.")]
#[allow(clippy::struct_excessive_bools, reason = "each is an operation that may be asked for")]
pub(crate) struct Maintenance {
    /// The database
    pub(crate) database: Option<DatabaseSlug>,
    /// Free the space of dead tuples [default: what is configured, else --vacuum --analyze]
    #[arg(long)]
    pub(crate) vacuum: bool,
    /// Gather the statistics that queries are planned by
    #[arg(long)]
    pub(crate) analyze: bool,
    /// Build bloated and invalid indexes anew, concurrently; drop what failed ones left
    #[arg(long)]
    pub(crate) reindex: bool,
    /// VACUUM FULL of the tables named by --table: nobody can use them meanwhile. Asks first
    #[arg(long, requires = "tables")]
    pub(crate) full: bool,
    /// Show tables and indexes with their bloat; measured where the extension pgstattuple is there
    #[arg(long)]
    pub(crate) check_bloat: bool,
    /// Show connections, long queries, idle transactions and who waits for whom
    #[arg(long)]
    pub(crate) check_queries: bool,
    /// Only this table, whatever the thresholds say; may be repeated
    #[arg(long = "table", value_name = "SCHEMA.TABLE")]
    pub(crate) tables: Vec<TableName>,
    /// Print exactly what would be run, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Maintenance {
    /// What is asked for; `None` is what is configured. Checks alone run nothing.
    pub(crate) fn operations(&self) -> Option<Vec<Operation>> {
        let asked: Vec<Operation> = [
            (self.vacuum, Operation::Vacuum),
            (self.analyze, Operation::Analyze),
            (self.reindex, Operation::Reindex),
            (self.full, Operation::Full),
        ]
        .into_iter()
        .filter_map(|(wanted, operation)| wanted.then_some(operation))
        .collect();
        (!asked.is_empty() || self.check_bloat || self.check_queries).then_some(asked)
    }
}
