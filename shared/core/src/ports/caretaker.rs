//! The caretaker port: one database as maintenance sees it, and the sessions that work on it.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Result,
    cancel::Cancel,
    maintenance::{Action, Facts, Limits, ObjectName, Remedy, Size, Thresholds},
};

/// How a statement came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CareEnd {
    /// It was run to its end; with what the server warned of.
    Done {
        /// The server's warnings.
        warnings: Vec<String>,
    },
    /// Another session's lock was in its way for longer than the lock time-out: says whose. It may be tried again.
    Locked(String),
    /// It was cancelled because the application waited for its lock: says who. It may be tried again.
    GaveWay(String),
    /// It was cancelled because its time was over.
    OutOfTime,
    /// It was cancelled because the run shall stop.
    Stopped,
    /// What it was about is not there any more.
    Gone,
    /// The server refused it: says why.
    Failed(String),
}

/// An index that is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidIndex {
    /// Its OID.
    pub oid: u32,
    /// Its name.
    pub name: ObjectName,
}

/// A database to be maintained.
#[async_trait]
pub trait Caretaker: Send + Sync {
    /// Reads everything that a plan needs, and changes nothing. Where the server has the extension pgstattuple, the bloat of
    /// larger objects is measured, for at most a minute: of those that are suspicious by their estimate, or, if
    /// `measure_all`, of all.
    async fn facts(&self, thresholds: &Thresholds, measure_all: bool) -> Result<Facts>;

    /// The statement by which an action is done.
    fn statement(&self, action: &Action) -> String;

    /// The statements by which a person settles a finding.
    fn remedy(&self, remedy: &Remedy) -> Vec<String>;

    /// Opens the sessions that work. `AlreadyRunning` where another maintenance run works on this database.
    async fn begin(&self, limits: &Limits) -> Result<Box<dyn CareSession>>;
}

/// The sessions of one run. Dropped, they end, and the server ends what they were doing.
#[async_trait]
pub trait CareSession: Send {
    /// Who would make this action wait for long: other sessions' transactions that are open for longer than the lock
    /// time-out already. `None` where nobody does, or nobody can be seen.
    async fn in_the_way(&mut self, action: &Action, table_oid: u32) -> Result<Option<String>>;

    /// What a table or index occupies now; `None` where it is gone.
    async fn size(&mut self, object: &ObjectName) -> Result<Option<Size>>;

    /// Invalid indexes of a table.
    async fn invalid_indexes(&mut self, table_oid: u32) -> Result<Vec<InvalidIndex>>;

    /// Runs one action. It waits for no lock longer than the lock time-out, is cancelled after `time`, when the run shall
    /// stop, or when another session has waited for its lock for half the lock time-out (VACUUM FULL aside, which shuts
    /// others out by its nature), and has ended on the server when this returns. An `Err` means that the connection was
    /// lost: the server ends the statement within seconds, but what it left is not known.
    async fn execute(&mut self, action: &Action, time: Duration, cancel: &Cancel) -> Result<CareEnd>;
}
