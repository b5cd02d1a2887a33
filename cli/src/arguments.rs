//! The command line: what may be asked, with examples for every command.

mod drill;
mod dump;
mod keys;
mod maintenance;
mod restore;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use lifeboat_core::{catalog::BackupReference, ids::DatabaseSlug};

pub(crate) use drill::Drill;
pub(crate) use dump::Dump;
pub(crate) use keys::{Keys, KeysCheck, KeysNew};
pub(crate) use maintenance::Maintenance;
pub(crate) use restore::Restore;

/// What goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// Tables and sentences for people.
    #[default]
    Text,
    /// Exactly one JSON document, errors included.
    Json,
}

/// Backs up PostgreSQL to object storage, and proves that every backup can be restored.
#[derive(Debug, Parser)]
#[command(
    name = "lifeboat",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:
  lifeboat demo
  lifeboat dump --database-url postgres://backup@db/orders --store s3://acme/pg
  lifeboat list
  lifeboat restore latest --to env:TARGET_URL --dry-run
  lifeboat drill orders

A URL with a password is refused: write env:NAME, or use PGPASSWORD or PGPASSFILE.
Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 client tool, 4 database, 5 keys, 6 store,
7 data differ or corrupt, 8 objective missed, 9 refused, 10 deadline, 11 part failed, 75 already running,
130 interrupted."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration file [default: $LIFEBOAT_CONFIG, then ./lifeboat.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// Where backups live: file:///folder or s3://bucket/prefix
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    pub(crate) store: Option<String>,
    /// The database's URL without a password, or env:NAME
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    pub(crate) database_url: Option<String>,
    /// text for people, or json: exactly one document on standard output, errors included
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        hide_possible_values = true,
        default_value_t,
        help_heading = "Everywhere"
    )]
    pub(crate) output: Output,
    /// Tell more on standard error; twice for every step
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet", help_heading = "Everywhere")]
    pub(crate) verbose: u8,
    /// Tell errors only
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make one backup, verified right after, and print its id
    Dump(Dump),
    /// List backups, newest first
    List(List),
    /// Show one backup in full
    Show(Show),
    /// Read a backup back from the store and check every byte
    Verify(Verify),
    /// Restore a backup, or part of it, into a database
    Restore(Restore),
    /// Write a backup to disk as a plain pg_dump directory archive
    Fetch(Fetch),
    /// Rehearse a restore in a scratch target, compare every table, and write the report
    Drill(Drill),
    /// Plan, apply or question what is kept
    #[command(subcommand)]
    Retention(Retention),
    /// Keep a backup, whatever retention plans
    Hold(Hold),
    /// End a hold
    Release(Release),
    /// Look at everything that can go wrong between two backups, and say what to do
    Health(Health),
    /// Show the state of every database
    Status(Status),
    /// Say what would go wrong with a dump; only reads the database
    Preflight(Preflight),
    /// Try whether alerts arrive, and list what lasts
    #[command(subcommand)]
    Alert(Alert),
    /// Vacuum, analyze and reindex what needs it, and say what else does
    Maintenance(Maintenance),
    /// Make a key for encrypted backups, or try whether the keys at hand open them
    #[command(subcommand)]
    Keys(Keys),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Configuration),
    /// Take a database through everything: dump, verify, restore, drill, retention
    Demo(Demo),
    /// Print completions for a shell
    Completions(Completions),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat list
  lifeboat list orders --output json")]
pub(crate) struct List {
    /// Only this database's
    pub(crate) database: Option<DatabaseSlug>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat show latest
  lifeboat show orders/20261120T020000Z-abcd")]
pub(crate) struct Show {
    /// An id, `latest`, or either with a database in front
    #[arg(default_value = "latest")]
    pub(crate) backup: BackupReference,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat verify
  lifeboat verify orders/latest
  lifeboat verify all")]
pub(crate) struct Verify {
    /// An id, `latest`, either with a database in front, or `all`
    #[arg(default_value = "latest")]
    pub(crate) backup: String,
    /// Objects read at the same time [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) jobs: Option<u32>,
    /// The secret keys that open an encrypted backup; without them it is hashed, not decoded [default: as configured]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat fetch latest ./orders-archive
  pg_restore -j4 -d orders_copy ./orders-archive")]
pub(crate) struct Fetch {
    /// An id, `latest`, or either with a database in front
    pub(crate) backup: BackupReference,
    /// A new or empty folder
    pub(crate) folder: PathBuf,
    /// Write data files decompressed, for a pg_restore that does not know the codec
    #[arg(long)]
    pub(crate) plain: bool,
    /// The secret keys that open an encrypted backup [default: as configured]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  lifeboat retention plan
  lifeboat retention apply orders --yes
  lifeboat retention lint
  lifeboat retention undo 20261120T020000Z-abcd")]
pub(crate) enum Retention {
    /// Say what would be kept and what would expire, and why
    #[command(after_help = "Example:\n  lifeboat retention plan orders")]
    Plan(OneDatabase),
    /// Do what the plan says
    #[command(after_help = "Example:\n  lifeboat retention apply orders --yes")]
    Apply(OneDatabase),
    /// Warn of settings that make no sense
    #[command(after_help = "Example:\n  lifeboat retention lint")]
    Lint(OneDatabase),
    /// Take back the intent to expire a backup
    #[command(after_help = "Example:\n  lifeboat retention undo orders/20261120T020000Z-abcd")]
    Undo(Undo),
}

#[derive(Debug, Args)]
pub(crate) struct OneDatabase {
    /// Only this database; without it, all
    pub(crate) database: Option<DatabaseSlug>,
}

#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// An id, or one with a database in front
    pub(crate) backup: BackupReference,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  lifeboat hold orders/20261120T020000Z-abcd --reason 'before the migration'")]
pub(crate) struct Hold {
    /// An id, `latest`, or either with a database in front
    pub(crate) backup: BackupReference,
    /// Why, for whoever finds it later [default: "held by hand", or the reason it is held for already]
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  lifeboat release orders/20261120T020000Z-abcd")]
pub(crate) struct Release {
    /// An id, `latest`, or either with a database in front
    pub(crate) backup: BackupReference,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat health
  lifeboat health orders
  lifeboat health --output json

Exit codes: 0 nothing critical (warnings are printed), 8 the newest good backup is older than the RPO, 7 damage or a failed
drill, 6 a store, 4 the database, 3 client tools; the first of these that applies. docs/HEALTH.md explains every finding.")]
pub(crate) struct Health {
    /// Only this database; without it, all that are configured or in the store
    pub(crate) database: Option<DatabaseSlug>,
}

/// How the status is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    /// A table for people.
    Text,
    /// JSON.
    Json,
    /// Prometheus' text format.
    Prometheus,
    /// The status page, as health writes it to the control store.
    Html,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat status
  lifeboat status --format prometheus > /var/lib/node_exporter/lifeboat.prom
  lifeboat status --format html > status.html
  lifeboat status orders --cost")]
pub(crate) struct Status {
    /// Only this database
    pub(crate) database: Option<DatabaseSlug>,
    /// Forecasts too: how long a restore will take, when the RTO will be missed, what a month costs, also by other policies
    #[arg(long)]
    pub(crate) cost: bool,
    /// How it is written [default: as --output says]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<StatusFormat>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat preflight orders
  lifeboat preflight --database-url env:ORDERS_URL")]
pub(crate) struct Preflight {
    /// The database
    pub(crate) database: Option<DatabaseSlug>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  lifeboat alert test
  lifeboat alert digest
  lifeboat alert list
  lifeboat alert close orders backup")]
pub(crate) enum Alert {
    /// Send one message, marked as a test, to the topic and to every channel
    #[command(after_help = "Example:
  lifeboat alert test

Exit code 6 if one of them did not take it.")]
    Test,
    /// Send the digest now, whether it is due or not
    #[command(after_help = "Example, for a crontab where no functions run:
  0 7 * * 1  lifeboat alert digest")]
    Digest,
    /// List open incidents, and messages that did not arrive
    #[command(after_help = "Examples:
  lifeboat alert list
  lifeboat alert list orders --output json")]
    List(OneDatabase),
    /// End an incident of a database that is no longer backed up
    #[command(after_help = "Examples:
  lifeboat alert close orders
  lifeboat alert close orders health:backup_too_old

People are told that it was closed. If it happens again, they are told of that too.")]
    Close(AlertClose),
}

#[derive(Debug, Args)]
pub(crate) struct AlertClose {
    /// The database, configured or not
    pub(crate) database: DatabaseSlug,
    /// Only the incident of this kind, as `lifeboat alert list` names it
    pub(crate) kind: Option<lifeboat_core::messages::Kind>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  lifeboat config check")]
pub(crate) enum Configuration {
    /// Print every setting in force, with its default and where it came from; no secrets
    #[command(after_help = "Examples:
  lifeboat config check
  lifeboat config check --output json | jq .databases")]
    Check,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lifeboat demo
  lifeboat demo --database-url env:MY_URL --store s3://bucket/prefix

Without --database-url it makes a shop of a million rows in a throwaway cluster. With it, the database is only read:
restore and drill go to a throwaway cluster on this machine.")]
pub(crate) struct Demo {
    /// Where the drill's report is written
    #[arg(long, value_name = "FOLDER", default_value = "lifeboat-demo")]
    pub(crate) dir: PathBuf,
    /// How large the shop is; 1 is 1.1 million rows
    #[arg(long, hide = true, default_value_t = 1.0)]
    pub(crate) scale: f64,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  lifeboat completions bash > /etc/bash_completion.d/lifeboat")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests;
