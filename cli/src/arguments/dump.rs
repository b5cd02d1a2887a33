//! The arguments of `dump`.

use clap::Args;
use lifeboat_archive::codec::Codec;
use lifeboat_core::ids::DatabaseSlug;
use lifeboat_runtime::deadline::Deadline;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat dump orders
  lifeboat dump --all --deadline 4h
  lifeboat dump --database-url env:ORDERS_URL --store file:///var/backups
  id=$(lifeboat dump orders --quiet)")]
pub(crate) struct Dump {
    /// The database's name in the configuration, or the name to give it
    #[arg(conflicts_with = "all")]
    pub(crate) database: Option<DatabaseSlug>,
    /// Every configured database, one after the other; goes on after a failure
    #[arg(long)]
    pub(crate) all: bool,
    /// Parallel sessions [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) jobs: Option<u32>,
    /// zstd:1 to zstd:19, gzip:1 to gzip:9, none [default: zstd:1]
    #[arg(long, value_name = "CODEC")]
    pub(crate) compress: Option<Codec>,
    /// Encrypt to this public key, age1…, or those in a file, of OpenPGP too; may be repeated [default: as configured]
    #[arg(long, value_name = "KEY")]
    pub(crate) encrypt_to: Vec<String>,
    /// Leave out the verify right after the dump
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// End by then: 2h from now, or 2026-11-30T06:00:00Z; its last minute, or half of less than two, is for cleaning up
    #[arg(long, value_name = "WHEN")]
    pub(crate) deadline: Option<Deadline>,
}
