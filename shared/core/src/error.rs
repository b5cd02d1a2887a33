//! The one error type of every operation: its kind decides exit code, retry and hint.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong, as a program would want to distinguish it. DESIGN §12 lists the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The command line or a request makes no sense.
    Usage,
    /// The configuration file or a setting is wrong or missing.
    Config,
    /// `pg_dump`, `pg_restore` or another client tool is missing, too old, or newer than `restorer`.
    ClientTool,
    /// The database refused, was unreachable, or answered with an error.
    Database,
    /// The consistent state was lost in mid-dump; the whole run may start again.
    SnapshotLost,
    /// A key is missing or wrong.
    Keys,
    /// The store or another cloud API failed, or refused.
    Store,
    /// What was asked for is not in the store.
    NotFound,
    /// An object exists already where a new one was to be written.
    AlreadyExists,
    /// A backup's bytes are not what its manifest says, or restored data differ.
    Corrupt,
    /// RPO or RTO objective missed, though all else went well.
    ObjectiveMissed,
    /// Refused because it would put data at risk.
    Refused,
    /// The deadline came before the end.
    Deadline,
    /// Part of a fleet failed.
    FleetPartial,
    /// Another run holds the lease.
    AlreadyRunning,
    /// A person or the platform asked the run to stop.
    Interrupted,
    /// Anything else: a defect in Lifeboat or its surroundings.
    Unexpected,
}

/// Whether trying the very same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call may succeed in a moment.
    Soon,
    /// The same run may succeed when the next schedule comes.
    Later,
    /// Something has to be changed first.
    Never,
}

impl ErrorKind {
    /// The stable name that programs see in `{"error":{"kind":…}}`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Config => "config",
            Self::ClientTool => "client_tool",
            Self::Database => "database",
            Self::SnapshotLost => "snapshot_lost",
            Self::Keys => "keys",
            Self::Store => "store",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Corrupt => "corrupt",
            Self::ObjectiveMissed => "objective_missed",
            Self::Refused => "refused",
            Self::Deadline => "deadline",
            Self::FleetPartial => "fleet_partial",
            Self::AlreadyRunning => "already_running",
            Self::Interrupted => "interrupted",
            Self::Unexpected => "unexpected",
        }
    }

    /// The exit code of the command line, DESIGN §12.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unexpected => 1,
            Self::Usage | Self::Config => 2,
            Self::ClientTool => 3,
            Self::Database | Self::SnapshotLost => 4,
            Self::Keys => 5,
            Self::Store | Self::NotFound | Self::AlreadyExists => 6,
            Self::Corrupt => 7,
            Self::ObjectiveMissed => 8,
            Self::Refused => 9,
            Self::Deadline => 10,
            Self::FleetPartial => 11,
            Self::AlreadyRunning => 75,
            Self::Interrupted => 130,
        }
    }

    /// Whether the same attempt may be repeated.
    pub fn retry(self) -> Retry {
        match self {
            Self::SnapshotLost => Retry::Soon,
            Self::Database | Self::Store | Self::Deadline | Self::AlreadyRunning | Self::FleetPartial => Retry::Later,
            _ => Retry::Never,
        }
    }

    /// What to do next when the place that failed knows nothing better.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Usage => "see `lifeboat --help`",
            Self::Config => "see docs/CONFIG.md; `lifeboat config check` shows what is in force",
            Self::ClientTool => {
                "install the PostgreSQL client of the server's major version or newer, or set `client_tools`"
            }
            Self::Database => {
                "check that the server runs and that host, port, user and password are right; `lifeboat preflight` tells more"
            }
            Self::SnapshotLost => {
                "tables kept changing shape while the dump started; run it again when migrations have ended"
            }
            Self::Keys => "name the key that the manifest lists under `encryption`",
            Self::Store => "check the store's URL, its credentials and that it can be reached",
            Self::NotFound => "`lifeboat list` shows what the store holds",
            Self::AlreadyExists => "nothing was overwritten; run the command again",
            Self::Corrupt => {
                "do not rely on this backup; `lifeboat list` shows older ones, `lifeboat verify BACKUP` tells what is damaged"
            }
            Self::ObjectiveMissed => "the data are fine; see the report for the phase that took long",
            Self::Refused => "read the reason; nothing was changed",
            Self::Deadline => "raise the time limit, use more jobs, or split the database",
            Self::FleetPartial => "the others are done; run it again for those that failed",
            Self::AlreadyRunning => "wait for the other run to end; its lease lapses within a minute of its death",
            Self::Interrupted => "nothing half-done remains; run it again when ready",
            Self::Unexpected => "run again with -v and report what it prints",
        }
    }
}

/// An error with what was being done, what happened, and what to do next.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything in the domain.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind, with a message that says what failed, on what, and why.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A next step better than the kind's own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts a verb phrase in front: "read manifest: …".
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or_else(|| self.kind.hint())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// Turns foreign errors into ours with a kind and a verb phrase.
pub trait ResultExt<T> {
    /// Wraps the error: its text is kept in the message, itself as the source.
    fn or_error(self, kind: ErrorKind, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> ResultExt<T> for std::result::Result<T, E> {
    fn or_error(self, kind: ErrorKind, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::new(kind, format!("{doing}: {e}")).with_source(e))
    }
}
