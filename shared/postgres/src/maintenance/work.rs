//! The sessions that work: one runs the statements, one watches that nobody waits for it.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use lifeboat_core::{
    Error, ErrorKind, Result,
    cancel::Cancel,
    maintenance::{Action, Limits, ObjectName, Size},
    ports::{CareEnd, CareSession, InvalidIndex},
    report::words::duration,
};
use tokio::sync::mpsc;
use tokio_postgres::{
    Row,
    error::{DbError, SqlState},
};

use super::{APPLICATION, failed, queries, statements, unsigned};
use crate::{connect::ConnectionTarget, failure::Failure, session::Session};

/// "LIFE", "MAIN": the advisory lock that keeps two maintenance runs of one database apart.
const ADVISORY: (i32, i32) = (0x4c49_4645, 0x4d41_494e);

/// How long a cancelled statement may take to end before its connection counts as lost.
const ENDING: Duration = Duration::from_secs(30);

/// How long a question of the watching session may take.
const ASKING: Duration = Duration::from_secs(10);

/// Sessions of one run.
pub(super) struct Work {
    worker: Session,
    worker_pid: i32,
    notices: mpsc::UnboundedReceiver<DbError>,
    guard: Session,
    guard_pid: i32,
    lock_timeout: Duration,
    cost_delay_ms: u32,
}

/// Why a statement was cancelled.
enum Stop {
    GaveWay(String),
    Asked,
}

impl Work {
    pub(super) async fn begin(target: &ConnectionTarget, limits: &Limits) -> Result<Self> {
        let lock_timeout = Duration::from_secs(limits.lock_timeout_seconds);
        let guard = target.connect(APPLICATION).await?;
        let guard_pid =
            set_up(&guard, lock_timeout, &format!("SET statement_timeout = {}", ASKING.as_millis())).await?;
        let (class, key) = ADVISORY;
        let locked = guard
            .query_one("SELECT pg_catalog.pg_try_advisory_lock($1, $2)", &[&class, &key])
            .await
            .map_err(|e| failed("see whether another maintenance run is at work", &e))?;
        if !locked.get::<_, bool>(0) {
            return Err(Error::new(
                ErrorKind::AlreadyRunning,
                format!("another maintenance run is at work on database '{}'", target.database()),
            )
            .with_hint("wait for it; its sessions are called 'lifeboat maintenance' in pg_stat_activity"));
        }
        let (sender, notices) = mpsc::unbounded_channel();
        let worker = target.connect_and_tell(APPLICATION, Some(sender)).await?;
        // The role or the database may be set to read only by default.
        let costs = format!(
            "SET default_transaction_read_only = off; SET client_min_messages = warning; SET vacuum_cost_limit = {}",
            limits.cost_limit
        );
        let worker_pid = set_up(&worker, lock_timeout, &costs).await?;
        let cost_delay_ms = limits.cost_delay_ms;
        Ok(Self { worker, worker_pid, notices, guard, guard_pid, lock_timeout, cost_delay_ms })
    }

    async fn ask(
        &self,
        sql: &str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
        doing: &str,
    ) -> Result<Vec<Row>> {
        self.guard.query(sql, parameters).await.map_err(|e| failed(doing, &e))
    }

    /// Who has waited for our lock for too long.
    async fn held_up(&self) -> Result<Option<String>> {
        let waiting = self.ask(queries::WAITS_FOR, &[&self.worker_pid], "see who waits for maintenance").await?;
        let limit = self.lock_timeout.as_secs_f64() / 2.0;
        Ok(waiting
            .first()
            .filter(|row| row.get::<_, f64>(3) >= limit)
            .map(|row| format!("{}, which waited for its lock for {}", who(row), duration(row.get(3)))))
    }

    async fn cancel(&self) -> Result<()> {
        let sql = "SELECT pg_catalog.pg_cancel_backend($1)";
        self.ask(sql, &[&self.worker_pid], "cancel a statement").await.map(drop)
    }

    async fn table_of(&self, object: &ObjectName) -> Result<Option<u32>> {
        let found = self.ask(queries::TABLE_OF, &[&object.schema, &object.name], "find a table").await?;
        Ok(found.first().map(|row| row.get(0)))
    }

    /// Who holds a lock that kept us out, where that can still be seen.
    async fn holder(&self, object: &ObjectName) -> Result<String> {
        let ours = vec![self.worker_pid, self.guard_pid];
        let holder = match self.table_of(object).await? {
            Some(table) => self.ask(queries::HOLDERS, &[&table, &ours], "see who holds a lock").await?,
            None => Vec::new(),
        };
        Ok(match holder.first() {
            Some(row) => format!("{} holds a lock on it", who(row)),
            None => "somebody held a lock on it, or wanted one".to_owned(),
        })
    }

    /// Whom the statement waits for now.
    async fn blocker(&self) -> Result<Option<String>> {
        let found = self.ask(queries::BLOCKERS, &[&self.worker_pid], "see whom maintenance waits for").await?;
        Ok(found.first().map(|row| format!("{} holds what it waited for", who(row))))
    }

    fn noted(&mut self) -> Vec<DbError> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).collect()
    }

    async fn ended(
        &mut self,
        action: &Action,
        result: std::result::Result<(), tokio_postgres::Error>,
        stop: Option<Stop>,
        blocker: Option<String>,
        late: bool,
    ) -> Result<CareEnd> {
        let noted = self.noted();
        let error = match result {
            Ok(()) => {
                let skipped = |n: &&DbError| *n.code() == SqlState::LOCK_NOT_AVAILABLE;
                if noted.iter().any(|n| skipped(&n)) {
                    return Ok(CareEnd::Locked(self.holder(action.object()).await?));
                }
                return Ok(CareEnd::Done { warnings: noted.iter().map(|n| n.message().to_owned()).collect() });
            }
            Err(error) => error,
        };
        Ok(match (error.sql_state(), stop) {
            (None, _) => return Err(failed(&action.doing(), &error)),
            (Some(_), Some(Stop::GaveWay(who))) => CareEnd::GaveWay(who),
            (Some(_), Some(Stop::Asked)) => CareEnd::Stopped,
            (Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED), None) => {
                CareEnd::Locked(match blocker {
                    Some(who) => who,
                    None => self.holder(action.object()).await?,
                })
            }
            (Some(&SqlState::QUERY_CANCELED), None) if late => CareEnd::OutOfTime,
            (Some(&SqlState::QUERY_CANCELED), None) => CareEnd::Failed("somebody cancelled it".to_owned()),
            (Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_OBJECT), None) => CareEnd::Gone,
            (Some(_), None) => CareEnd::Failed(error.reason()),
        })
    }
}

#[async_trait]
impl CareSession for Work {
    async fn in_the_way(&mut self, action: &Action, table_oid: u32) -> Result<Option<String>> {
        let ours = vec![self.worker_pid, self.guard_pid];
        // Only REINDEX and DROP INDEX CONCURRENTLY wait for every older snapshot.
        let snapshots = !matches!(action, Action::VacuumFull { .. });
        let limit = self.lock_timeout.as_secs_f64();
        let sql = queries::OPEN_TRANSACTIONS;
        let found = self.ask(sql, &[&ours, &limit, &table_oid, &snapshots], "look for open transactions").await?;
        Ok(found.first().map(|row| {
            format!(
                "{} has had a transaction open for {}, which this would have to wait for",
                who(row),
                duration(row.get(3))
            )
        }))
    }

    async fn size(&mut self, object: &ObjectName) -> Result<Option<Size>> {
        let found = self.guard.query_opt(queries::SIZE, &[&object.schema, &object.name]).await;
        match found {
            Ok(row) => Ok(row.and_then(|row| {
                let bytes = row.get::<_, Option<i64>>(0)?;
                Some(Size { bytes: unsigned(bytes), dead_tuples: unsigned(row.get::<_, Option<i64>>(1).unwrap_or(0)) })
            })),
            // Whoever shuts us out of it, or drops it, keeps its size from us: that is no reason to fail.
            Err(e) if matches!(e.sql_state(), Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::UNDEFINED_TABLE)) => {
                Ok(None)
            }
            Err(e) => Err(failed("read a size", &e)),
        }
    }

    async fn invalid_indexes(&mut self, table_oid: u32) -> Result<Vec<InvalidIndex>> {
        let found = self.ask(queries::INVALID, &[&table_oid], "look for invalid indexes").await?;
        let index =
            |row: &Row| InvalidIndex { oid: row.get(0), name: ObjectName { schema: row.get(1), name: row.get(2) } };
        Ok(found.iter().map(index).collect())
    }

    async fn execute(&mut self, action: &Action, time: Duration, cancel: &Cancel) -> Result<CareEnd> {
        let shuts_out = matches!(action, Action::VacuumFull { .. });
        // Whoever shuts others out must not dawdle.
        let delay = if shuts_out { 0 } else { self.cost_delay_ms };
        let limits = format!(
            "SET statement_timeout = {}; SET vacuum_cost_delay = {delay}",
            time.as_millis().clamp(1, 2_000_000_000)
        );
        self.worker.batch_execute(&limits).await.map_err(|e| failed("set the time limit", &e))?;
        drop(self.noted());
        let (began, sql) = (Instant::now(), statements::of_action(action));
        let look_every = (self.lock_timeout / 8).clamp(Duration::from_millis(50), Duration::from_millis(500));
        let (mut stop, mut blocker) = (None, None);
        let mut running = Box::pin(self.worker.batch_execute(&sql));
        let result = loop {
            tokio::select! {
                biased;
                result = &mut running => break result,
                _ = cancel.cancelled() => {
                    stop = Some(Stop::Asked);
                }
                () = tokio::time::sleep(look_every) => {
                    if let Some(who) = self.blocker().await? {
                        blocker = Some(who);
                    }
                    if !shuts_out && let Some(who) = self.held_up().await? {
                        stop = Some(Stop::GaveWay(who));
                    }
                }
            }
            if stop.is_some() {
                self.cancel().await?;
                break tokio::time::timeout(ENDING, &mut running).await.map_err(|_| {
                    Error::new(
                        ErrorKind::Database,
                        format!("{}: the statement was cancelled, but does not end", action.doing()),
                    )
                    .with_hint("look at it in pg_stat_activity; it may wait for the disk")
                })?;
            }
        };
        drop(running);
        // The server's clock decides, and it began a moment later.
        let late = began.elapsed() + Duration::from_millis(200) >= time;
        self.ended(action, result, stop, blocker, late).await
    }
}

async fn set_up(session: &Session, lock_timeout: Duration, more: &str) -> Result<i32> {
    let sql = format!("SET lock_timeout = {}; {more}", lock_timeout.as_millis());
    session.batch_execute(&sql).await.map_err(|e| failed("set up session", &e))?;
    let row = session.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await;
    Ok(row.map_err(|e| failed("set up session", &e))?.get(0))
}

/// A session in words: process, user and application.
fn who(row: &Row) -> String {
    let (pid, user, application): (i32, &str, &str) = (row.get(0), row.get(1), row.get(2));
    match (pid, application, user) {
        // A prepared transaction has no process, and tells its name in place of an application's.
        (0, "", _) => "a prepared transaction".to_owned(),
        (0, name, user) => format!("{name} of {user}"),
        (pid, "", "") => format!("session {pid}"),
        (pid, "", user) => format!("session {pid} (user {user})"),
        (pid, application, user) => format!("session {pid} ({application}, user {user})"),
    }
}
