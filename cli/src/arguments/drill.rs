//! The arguments of `drill`.

use std::path::PathBuf;

use clap::Args;
use lifeboat_core::{drill::Selection, ids::DatabaseSlug};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat drill orders
  lifeboat drill orders --select latest --scratch local
  lifeboat drill orders --scratch env:SCRATCH_URL
  lifeboat drill --keys --identity safe/orders.key --identity vault/ops.asc

Exit codes: 0 passed, 7 failed, 8 all data are fine but RPO or RTO was missed; what ended it early has its own code.")]
pub(crate) struct Drill {
    /// The database
    pub(crate) database: Option<DatabaseSlug>,
    /// latest, oldest, random, rotate, or a backup's id [default: rotate]
    #[arg(long, value_name = "WHICH")]
    pub(crate) select: Option<Selection>,
    /// `local`, `rds` for an instance as the configuration describes it, or the URL of a server to make a database on
    /// [default: as configured, else local]
    #[arg(long, value_name = "WHERE")]
    pub(crate) scratch: Option<String>,
    /// Drill the keys alone: each one that is given must open every kept backup that is encrypted to it; nothing is restored
    #[arg(long, conflicts_with_all = ["select", "scratch", "thaw", "jobs"])]
    pub(crate) keys: bool,
    /// The secret keys that open an encrypted backup; may be repeated [default: as configured]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Vec<PathBuf>,
    /// Thaw the backup from its archive storage class first, if need be, and wait for it: hours to days
    #[arg(long)]
    pub(crate) thaw: bool,
    /// Parallel sessions [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) jobs: Option<u32>,
}
