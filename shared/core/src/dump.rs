//! Dump: one backup of one database, from preflight to the manifest that makes it exist.

mod chunk_writer;
mod data;
mod large_objects;
mod plan;
mod run;
mod sealing;
mod squeezing;
mod tables;

pub use plan::{DumpPlan, MAX_CHUNKS, plan};
pub use run::{DumpOutcome, DumpPorts, run};

use std::sync::Arc;

use jiff::Timestamp;
use lifeboat_archive::{codec::Codec, encryption::Recipients};
use secrecy::SecretString;

use crate::ids::DatabaseSlug;

/// What a dump is asked for.
#[derive(Debug, Clone)]
pub struct DumpRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// Parallel sessions, at least 1.
    pub jobs: u32,
    /// How data are compressed.
    pub codec: Codec,
    /// IANA time zone that decides the tier.
    pub timezone: String,
    /// Bytes of heap and TOAST that one chunk covers at least, where a table is split; less in a small database, so that
    /// all sessions work to the end.
    pub chunk_bytes: u64,
    /// The time it was scheduled for: one backup is made of each.
    pub scheduled_at: Option<Timestamp>,
    /// Whom every object but manifest and recovery kit is encrypted to, if it is.
    pub encryption: Option<Arc<Recipients>>,
    /// What keeps the backup's own key, where it is encrypted and nobody is named.
    pub passphrase: Option<SecretString>,
}

impl DumpRequest {
    /// A request with the defaults: 2 jobs, zstd 1, not encrypted, UTC, chunks of 64 MiB of the table.
    pub fn new(database: DatabaseSlug) -> Self {
        Self {
            database,
            jobs: 2,
            codec: Codec::Zstd { level: 1 },
            timezone: "UTC".to_owned(),
            chunk_bytes: 64 << 20,
            scheduled_at: None,
            encryption: None,
            passphrase: None,
        }
    }
}
