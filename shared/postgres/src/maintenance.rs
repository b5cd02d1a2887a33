//! Maintenance of a real database: its facts, its statements, and the sessions that run them.

mod bloat;
mod facts;
mod objects;
mod queries;
mod sequences;
mod statements;
mod work;

use std::time::Duration;

use async_trait::async_trait;
use lifeboat_core::{
    Error, Result,
    maintenance::{Action, Facts, Limits, Remedy, Thresholds},
    ports::{CareSession, Caretaker},
};
use tokio_postgres::error::SqlState;

use crate::{
    connect::ConnectionTarget,
    failure::{Failure, database_error},
    session::Session,
};

/// As `pg_stat_activity` shows sessions of maintenance.
pub(crate) const APPLICATION: &str = "lifeboat maintenance";

/// How long reading facts may wait for one lock: sizes cannot be read of a table whose definition is being changed.
const READ_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How often facts are read again where a lock was in the way.
const READ_ATTEMPTS: u32 = 3;

/// A database to be maintained, its address pinned.
#[derive(Debug)]
pub struct PgCaretaker {
    target: ConnectionTarget,
}

impl PgCaretaker {
    /// Resolves the host; connects only when asked for something.
    pub async fn new(target: ConnectionTarget) -> Result<Self> {
        Ok(Self { target: target.pin().await? })
    }
}

#[async_trait]
impl Caretaker for PgCaretaker {
    async fn facts(&self, thresholds: &Thresholds, measure_all: bool) -> Result<Facts> {
        let session = self.target.connect(APPLICATION).await?;
        let lock = READ_LOCK_TIMEOUT.as_millis();
        let set_up = format!("SET lock_timeout = {lock}; SET jit = off");
        session.batch_execute(&set_up).await.map_err(|e| failed("set up session", &e))?;
        let mut attempt = 1;
        loop {
            match facts::read(&session, thresholds, measure_all).await {
                Err(Unread::Locked) if attempt < READ_ATTEMPTS => attempt += 1,
                Err(Unread::Locked) => {
                    return Err(Error::new(
                        lifeboat_core::ErrorKind::Database,
                        "read the database's facts: somebody holds an exclusive lock on a table or sequence",
                    )
                    .with_hint("a migration may be under way: run maintenance when it has ended"));
                }
                Err(Unread::Failed(error)) => return Err(error),
                Ok(facts) => return Ok(facts),
            }
        }
    }

    fn statement(&self, action: &Action) -> String {
        statements::of_action(action)
    }

    fn remedy(&self, remedy: &Remedy) -> Vec<String> {
        statements::of_remedy(remedy)
    }

    async fn begin(&self, limits: &Limits) -> Result<Box<dyn CareSession>> {
        Ok(Box::new(work::Work::begin(&self.target, limits).await?))
    }
}

/// Why facts could not be read.
enum Unread {
    /// A lock was in the way.
    Locked,
    /// Anything else.
    Failed(Error),
}

/// Rows of a query that reads facts.
async fn rows(
    session: &Session,
    sql: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    doing: &str,
) -> std::result::Result<Vec<tokio_postgres::Row>, Unread> {
    session.query(sql, parameters).await.map_err(|e| match e.sql_state() {
        // Dropped between two looks is as good as locked: the next reading does not see it.
        Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_OBJECT) => {
            Unread::Locked
        }
        _ => Unread::Failed(failed(doing, &e)),
    })
}

/// What the server refused; the hint is for maintenance, where a cancelled query has nothing to do with standbys.
fn failed(doing: &str, error: &tokio_postgres::Error) -> Error {
    let told = database_error(doing, error);
    match error.sql_state() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            told.with_hint("docs/DATABASE-CARE.md has the role for maintenance and the statements that make it")
        }
        Some(&SqlState::QUERY_CANCELED) => told.with_hint("somebody, or a time-out, cancelled it: run it again"),
        _ => told,
    }
}

/// A count from the server, which has no unsigned numbers.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Microseconds since 1970 as a time.
fn time(microseconds: Option<i64>) -> Option<jiff::Timestamp> {
    microseconds.and_then(|us| jiff::Timestamp::from_microsecond(us).ok())
}
