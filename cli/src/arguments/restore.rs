//! The arguments of `restore`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use lifeboat_core::{catalog::BackupReference, restore::TableName};

#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("where").required(true).args(["to", "target"])),
    group(ArgGroup::new("way").args(["swap", "swap_back", "into_schema"])),
    group(ArgGroup::new("part").multiple(true).args([
        "schema_only", "data_only", "clean", "no_owner", "no_acl", "role", "force", "no_safety_backup",
    ])),
    after_help = "Examples:
  lifeboat restore latest --to postgres://ann@localhost/orders_copy
  # the plan, and how long it will take
  lifeboat restore orders/latest --to env:TARGET_URL --dry-run
  lifeboat restore latest --to env:TARGET_URL --table shop.users
  # takes a safety backup of the target first
  lifeboat restore latest --to env:TARGET_URL --force
  # beside the live tables
  lifeboat restore latest --to env:LIVE --table shop.orders --into-schema rescue
  # takes the live database's place; then the old one has its place again
  lifeboat restore latest --to env:LIVE --swap
  lifeboat restore --swap-back --to env:LIVE

The target must exist and be empty (createdb -T template0 orders_copy), but for --swap and --into-schema."
)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that pg_restore users know")]
pub(crate) struct Restore {
    /// An id, `latest`, or either with a database in front
    #[arg(required_unless_present = "swap_back", conflicts_with = "swap_back")]
    pub(crate) backup: Option<BackupReference>,
    /// The database to restore into: its URL without a password, or env:NAME
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// A target of the configuration, with its hooks ([restore.targets.NAME])
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// Only this table, with what it needs; may be repeated
    #[arg(long = "table", value_name = "SCHEMA.TABLE", conflicts_with_all = ["swap", "swap_back"])]
    pub(crate) tables: Vec<TableName>,
    /// Put the tables into this new schema of a live database, say what differs, and print statements that bring rows back
    #[arg(long, value_name = "SCHEMA", requires = "tables", conflicts_with = "part")]
    pub(crate) into_schema: Option<String>,
    /// Restore beside a live database, compare, check, and exchange the two; the old one is kept as the way back
    #[arg(long, conflicts_with = "part")]
    pub(crate) swap: bool,
    /// Take the last swap back: the old database has its name again, the other one is kept
    #[arg(long, conflicts_with_all = ["part", "jobs"])]
    pub(crate) swap_back: bool,
    /// Definitions only
    #[arg(long, conflicts_with = "data_only")]
    pub(crate) schema_only: bool,
    /// Rows only, into tables that exist and are empty
    #[arg(long, conflicts_with = "clean")]
    pub(crate) data_only: bool,
    /// Drop what is restored before creating it; fails where objects that are not restored depend on it, such as views
    /// on a table. To restore beside, into a new database, is the safe way
    #[arg(long)]
    pub(crate) clean: bool,
    /// Leave objects to the role that restores
    #[arg(long)]
    pub(crate) no_owner: bool,
    /// Leave privileges out
    #[arg(long)]
    pub(crate) no_acl: bool,
    /// SET ROLE before creating objects
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<String>,
    /// Parallel sessions [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) jobs: Option<u32>,
    /// The secret keys that open an encrypted backup [default: as configured]
    #[arg(long, value_name = "FILE", conflicts_with = "swap_back")]
    pub(crate) identity: Option<PathBuf>,
    /// Go on with a restore that was interrupted: only what is missing is loaded
    #[arg(long, conflicts_with_all = ["swap", "swap_back", "into_schema", "data_only", "clean", "force"])]
    pub(crate) resume: bool,
    /// Load faster into a target that may be lost: its server may crash before all is on disk, and gives more memory to indexes
    #[arg(long, conflicts_with_all = ["swap", "swap_back", "into_schema", "data_only", "force"])]
    pub(crate) fast_scratch: bool,
    /// Print what would be done and how long it will take, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Restore into a target that is not empty, after a safety backup of it
    #[arg(long)]
    pub(crate) force: bool,
    /// With --force: without a safety backup
    #[arg(long, requires = "force")]
    pub(crate) no_safety_backup: bool,
}
