//! Asks a server one question after the other; a question it refuses is named with the reason, and the rest goes on.

use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{
        Archiver, Connections, Counters, Hidden, IdAges, OpenTransaction, PreparedTransaction, Replay, ServerFacts,
        Slot, Standby, WatchedRole, question,
    },
};
use tokio_postgres::{Row, error::SqlState};

use super::{disk, statements};
use crate::{
    connect::ConnectionTarget,
    failure::{Failure, database_error},
    session::Session,
};

/// A question may take so long: health must not load a server that is in trouble already.
const LIMITS: &str = "SET statement_timeout = '20s'; SET lock_timeout = '2s'";

pub(super) struct Questions<'a> {
    session: &'a Session,
    hidden: Vec<Hidden>,
}

impl Questions<'_> {
    /// The answer's rows; none where the server refuses. An `Err` means that there is no server to ask any more.
    pub(super) async fn ask(&mut self, what: &str, sql: &str) -> Result<Vec<Row>> {
        match self.session.query(sql, &[]).await {
            Ok(rows) => Ok(rows),
            Err(error) if error.as_db_error().is_some() && !self.session.is_closed() => {
                let why = match error.sql_state() {
                    Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                        "this role may not see it: GRANT pg_monitor TO the role".to_owned()
                    }
                    _ => error.reason(),
                };
                self.hide(what, why);
                Ok(Vec::new())
            }
            Err(error) => Err(database_error(&format!("ask for {what}"), &error)),
        }
    }

    pub(super) fn hide(&mut self, what: &str, why: impl Into<String>) {
        self.hidden.push(Hidden { what: what.to_owned(), why: why.into() });
    }

    async fn number(&mut self, what: &str, sql: &str) -> Result<Option<u64>> {
        Ok(self.ask(what, sql).await?.first().map(|row| unsigned(row, 0)))
    }
}

fn unsigned(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or(0)
}

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}

fn maybe_moment(row: &Row, column: usize) -> Option<Timestamp> {
    row.get::<_, Option<i64>>(column).map(moment)
}

/// Everything that this role may see.
pub(super) async fn ask_all(target: &ConnectionTarget, our_clock: Timestamp) -> Result<ServerFacts> {
    let session = target.connect("lifeboat health").await?;
    session.batch_execute(LIMITS).await.map_err(|e| database_error("set up session", &e))?;
    let row = session.query_one(statements::SERVER, &[]).await.map_err(|e| database_error("ask for the server", &e))?;
    let mut q = Questions { session: &session, hidden: Vec::new() };
    let mut facts = ServerFacts {
        server: target.server_label(),
        version: row.get(0),
        version_num: u32::try_from(row.get::<_, i32>(1)).unwrap_or(0),
        clock: moment(row.get(2)),
        our_clock,
        standby: row.get(3),
        database_bytes: q.number("the database's size", statements::DATABASE_BYTES).await?,
        wal_bytes: q.number("the size of WAL", statements::WAL_BYTES).await?,
        temporary_bytes: q.number("the size of temporary files", statements::TEMPORARY_BYTES).await?,
        disk: None,
        connections: None,
        counters: None,
        ids: None,
        transactions: Vec::new(),
        prepared: Vec::new(),
        slots: Vec::new(),
        archiver: None,
        standbys: Vec::new(),
        replay: None,
        role: None,
        hidden: Vec::new(),
    };
    if facts.version_num < 100_000 {
        let message = format!("{} is PostgreSQL {}: too old to be watched", facts.server, facts.version);
        return Err(Error::new(ErrorKind::Database, message).with_hint("upgrade the server"));
    }
    activity(&mut q, &mut facts).await?;
    replication(&mut q, &mut facts).await?;
    facts.disk = disk::of(&mut q, target).await?;
    facts.hidden = q.hidden;
    Ok(facts)
}

async fn activity(q: &mut Questions<'_>, facts: &mut ServerFacts) -> Result<()> {
    facts.role = q.ask(question::ROLE, statements::ROLE).await?.first().map(|row| WatchedRole {
        name: row.get(0),
        valid_until: maybe_moment(row, 1),
        sees_all: row.get(2),
    });
    if facts.role.as_ref().is_some_and(|role| !role.sees_all) {
        q.hide("other roles' sessions", "long transactions of others are not seen: GRANT pg_monitor TO the role");
    }
    facts.connections = q
        .ask(question::CONNECTIONS, statements::CONNECTIONS)
        .await?
        .first()
        .map(|row| Connections { used: unsigned(row, 0), most: unsigned(row, 1) });
    facts.counters = q.ask("counters", statements::COUNTERS).await?.first().map(|row| Counters {
        at: moment(row.get(0)),
        since: maybe_moment(row, 1),
        transactions: unsigned(row, 2),
        blocks_hit: unsigned(row, 3),
        blocks_read: unsigned(row, 4),
    });
    facts.ids = q.ask(question::IDS, statements::IDS).await?.first().map(|row| IdAges {
        transaction_ids: unsigned(row, 0),
        database: row.get(1),
        multixact_ids: unsigned(row, 2),
        multixact_database: row.get(3),
    });
    let open = |row: &Row| OpenTransaction {
        pid: row.get(0),
        role: row.get(1),
        database: row.get(2),
        application: row.get(3),
        age_seconds: unsigned(row, 4),
        idle_seconds: row.get::<_, Option<i64>>(5).and_then(|s| u64::try_from(s).ok()),
    };
    facts.transactions = q.ask(question::TRANSACTIONS, statements::TRANSACTIONS).await?.iter().map(open).collect();
    let prepared = |row: &Row| PreparedTransaction {
        gid: row.get(0),
        database: row.get(1),
        owner: row.get(2),
        age_seconds: unsigned(row, 3),
    };
    facts.prepared = q.ask(question::PREPARED, statements::PREPARED).await?.iter().map(prepared).collect();
    Ok(())
}

async fn replication(q: &mut Questions<'_>, facts: &mut ServerFacts) -> Result<()> {
    let slot = |row: &Row| Slot {
        name: row.get(0),
        kind: row.get(1),
        active: row.get(2),
        retained_bytes: row.get::<_, Option<i64>>(3).and_then(|bytes| u64::try_from(bytes).ok()),
        wal_status: row.get(4),
    };
    facts.slots = q.ask(question::SLOTS, statements::SLOTS).await?.iter().map(slot).collect();
    facts.archiver = q.ask(question::ARCHIVER, statements::ARCHIVER).await?.first().map(|row| Archiver {
        last_archived_at: maybe_moment(row, 0),
        last_failed_at: maybe_moment(row, 1),
        last_failed_wal: row.get(2),
    });
    let standby = |row: &Row| Standby {
        name: row.get(0),
        state: row.get(1),
        lag_seconds: row.get(2),
        lag_bytes: row.get::<_, Option<i64>>(3).and_then(|bytes| u64::try_from(bytes).ok()),
    };
    facts.standbys = q.ask(question::STANDBYS, statements::STANDBYS).await?.iter().map(standby).collect();
    facts.replay = q.ask(question::REPLAY, statements::REPLAY).await?.first().and_then(|row| {
        let delay_seconds: Option<f64> = row.get(0);
        Some(Replay { delay_seconds: delay_seconds?, receiving: row.get(1) })
    });
    Ok(())
}
