//! The exchange: two renames in one transaction, with sessions ended, and new ones waiting, while it lasts.
//!
//! `ALTER DATABASE … RENAME` locks the database's name before it looks for sessions, and new sessions wait for that lock.
//! So nothing has to be switched off that a crash could leave switched off: while the renames wait, a second session ends
//! what is connected, and whatever interrupts the transaction undoes all of it.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{Classification, DatabaseEntries, Exchange, Exchanged, ToolMessage},
};
use tokio_postgres::error::SqlState;

use super::APPLICATION;
use crate::{
    classify::refused_statement,
    connect::ConnectionTarget,
    failure::{Failure, database_error},
    quote, scratch,
    session::Session,
};

/// How long each rename may wait for a lock: as long, new sessions wait too. The second ends it where this program's machine
/// is gone, or stands still.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '8s'; SET LOCAL idle_in_transaction_session_timeout = '8s'";

/// How often sessions are looked for.
const PAUSE: Duration = Duration::from_millis(20);

const SESSIONS: &str = "
SELECT pid, coalesce(usename::text, ''), coalesce(application_name, '')
FROM pg_catalog.pg_stat_activity
WHERE datname = ANY ($1::text[]::name[]) AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()";

/// Sessions that were ended, and those that this role may not end.
#[derive(Default)]
struct Ended {
    pids: HashSet<i32>,
    refused: HashSet<String>,
}

pub(super) async fn run(server: &ConnectionTarget, session: &Session, exchange: &Exchange) -> Result<Exchanged> {
    // Opened before anything is locked.
    let second = server.connect(APPLICATION).await?;
    let mut ended = Ended::default();
    let began = Instant::now();
    session.batch_execute(BEGIN).await.map_err(|e| database_error("begin the exchange", &e))?;
    let names = [exchange.live.as_str(), exchange.from.as_str()];
    let renamed = tokio::select! {
        renamed = renames(session, exchange) => renamed,
        never = end_sessions(&second, &names, &mut ended) => match never {},
    };
    let messages = match renamed {
        Ok(messages) => messages,
        Err(error) => {
            // If the session is gone, the server has undone it already.
            drop(session.batch_execute("ROLLBACK").await);
            return Err(explained(&error, exchange, &ended));
        }
    };
    if let Err(error) = session.batch_execute("COMMIT").await {
        let known = error.as_db_error().is_some();
        let error = database_error("commit the exchange", &error);
        if known || !was_committed(server, exchange).await? {
            return Err(error);
        }
    }
    Ok(Exchanged { downtime_seconds: began.elapsed().as_secs_f64(), sessions_ended: ended.pids.len() as u64, messages })
}

/// All statements of the exchange, within the transaction.
async fn renames(session: &Session, exchange: &Exchange) -> Result<Vec<ToolMessage>, tokio_postgres::Error> {
    let rename = async |from: &str, to: &str| {
        let sql = format!("ALTER DATABASE {} RENAME TO {}", quote::identifier(from), quote::identifier(to));
        session.batch_execute(&sql).await
    };
    rename(&exchange.live, &exchange.kept_as).await?;
    let Some(entries) = &exchange.entries else {
        rename(&exchange.from, &exchange.live).await?;
        return Ok(Vec::new());
    };
    // The archive's statements name the database as it was called there: for a moment, within this transaction, it is.
    let usable = entries.named == exchange.live || !exists(session, &entries.named).await?;
    let called = if usable { entries.named.as_str() } else { exchange.live.as_str() };
    rename(&exchange.from, called).await?;
    let no_remark = format!("COMMENT ON DATABASE {} IS NULL", quote::identifier(called));
    session.batch_execute(&no_remark).await?;
    let mut messages: Vec<ToolMessage> = own(session, called, entries).await?.into_iter().collect();
    if usable {
        for statement in entries.statements.iter().flat_map(|text| scratch::statements(text)) {
            messages.extend(attempt(session, statement).await?);
        }
    } else {
        messages.push(ToolMessage {
            classification: Classification::Ownership,
            text: format!(
                "settings and privileges of the database were not set: the archive calls it '{}', as another one on the server is called",
                entries.named
            ),
            entry: None,
        });
    }
    if called != exchange.live {
        rename(called, &exchange.live).await?;
    }
    Ok(messages)
}

async fn exists(session: &Session, database: &str) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1::text::name)";
    Ok(session.query_one(sql, &[&database]).await?.get(0))
}

async fn own(
    session: &Session,
    called: &str,
    entries: &DatabaseEntries,
) -> Result<Option<ToolMessage>, tokio_postgres::Error> {
    let Some(owner) = &entries.owner else { return Ok(None) };
    let sql = format!("ALTER DATABASE {} OWNER TO {}", quote::identifier(called), quote::identifier(owner));
    attempt(session, &sql).await
}

/// Runs a statement without which the exchange still stands; what the server refuses is a message.
async fn attempt(session: &Session, statement: &str) -> Result<Option<ToolMessage>, tokio_postgres::Error> {
    session.batch_execute("SAVEPOINT lifeboat").await?;
    match session.batch_execute(statement).await {
        Ok(()) => session.batch_execute("RELEASE SAVEPOINT lifeboat").await.map(|()| None),
        Err(error) => match error.as_db_error() {
            None => Err(error),
            Some(refused) => {
                let message = refused_statement(refused.message(), statement);
                session.batch_execute("ROLLBACK TO SAVEPOINT lifeboat; RELEASE SAVEPOINT lifeboat").await?;
                Ok(Some(message))
            }
        },
    }
}

/// Ends sessions in the databases for as long as it is polled. The names are those that others see: the old ones.
async fn end_sessions(session: &Session, names: &[&str], ended: &mut Ended) -> std::convert::Infallible {
    loop {
        for row in session.query(SESSIONS, &[&names]).await.unwrap_or_default() {
            let pid: i32 = row.get(0);
            match session.query_one("SELECT pg_catalog.pg_terminate_backend($1)", &[&pid]).await {
                Ok(_) => drop(ended.pids.insert(pid)),
                Err(error) => {
                    let who = format!("{} ({})", row.get::<_, String>(1), row.get::<_, String>(2));
                    tracing::debug!(%error, who, "a session cannot be ended");
                    ended.refused.insert(who);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn explained(error: &tokio_postgres::Error, exchange: &Exchange, ended: &Ended) -> Error {
    let doing = format!("exchange '{}' and '{}' (nothing was changed)", exchange.live, exchange.from);
    match error.sql_state() {
        Some(&SqlState::OBJECT_IN_USE) if !ended.refused.is_empty() => {
            let who = ended.refused.iter().cloned().collect::<Vec<_>>().join(", ");
            Error::new(
                ErrorKind::Refused,
                format!("{doing}: sessions that this role may not end stay connected: {who}"),
            )
            .with_hint(
                "stop what they belong to, or connect as a role that may end them (pg_signal_backend; superuser)",
            )
        }
        Some(&SqlState::OBJECT_IN_USE) => Error::new(ErrorKind::Database, format!("{doing}: {}", error.reason()))
            .with_hint("something in the database does not end in time; run the command again"),
        Some(&SqlState::LOCK_NOT_AVAILABLE) => Error::new(
            ErrorKind::Database,
            format!("{doing}: another session holds the database's name locked"),
        )
        .with_hint(
            "look for a transaction with ALTER or COMMENT ON DATABASE that was left open; then run the command again",
        ),
        _ => database_error(&doing, error),
    }
}

/// After the answer to COMMIT was lost.
async fn was_committed(server: &ConnectionTarget, exchange: &Exchange) -> Result<bool> {
    let unknown = |e: Error| {
        e.context("commit the exchange: the connection was lost, and it is not known whether it took place").with_hint(
            format!(
                "look whether a database '{}' exists: if so, it did, and the old database is there",
                exchange.kept_as
            ),
        )
    };
    let session = server.connect(APPLICATION).await.map_err(unknown)?;
    exists(&session, &exchange.kept_as).await.map_err(|e| unknown(database_error("look", &e)))
}
