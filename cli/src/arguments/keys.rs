//! The arguments of `keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lifeboat_core::ids::DatabaseSlug;

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  lifeboat keys new orders.key
  lifeboat keys check orders --identity orders.key")]
pub(crate) enum Keys {
    /// Make a key: the secret half into a file that only you can read, the public half printed
    #[command(after_help = "Example:
  lifeboat keys new orders.key

Take the file off this machine, to two places: without it nobody can open the backups, and nobody can make it again.
The program age opens them with it too.")]
    New(KeysNew),
    /// Try whether the keys at hand open the backups that are kept, and those to come
    #[command(after_help = "Examples:
  lifeboat keys check
  lifeboat keys check orders --identity orders.key

Exit code 7 if one of them is damaged, else 5 if one is not opened.")]
    Check(KeysCheck),
}

#[derive(Debug, Args)]
pub(crate) struct KeysNew {
    /// A new file for the secret key
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct KeysCheck {
    /// Only this database; without it, all that are configured or in the store
    pub(crate) database: Option<DatabaseSlug>,
    /// The secret keys [default: as configured]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}
