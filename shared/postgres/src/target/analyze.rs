//! ANALYZE of a whole database, the biggest tables first, in several sessions.

use std::sync::Arc;

use lifeboat_core::{
    ErrorKind, Result, ResultExt,
    ports::{Classification, ToolMessage},
};
use tokio::{sync::Mutex, task::JoinSet};

use super::{PgTarget, session_as};
use crate::{
    failure::{Failure, database_error},
    quote,
    session::Session,
};

/// Tables, matviews and partition roots; a root's ANALYZE reaches its partitions. What this role may not analyze is left
/// out, as vacuumdb leaves it to the server's warning.
const TABLES: &str = "
SELECT n.nspname::text, c.relname::text, CASE c.relkind WHEN 'p' THEN c.oid END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY CASE c.relkind
         WHEN 'p' THEN (SELECT pg_catalog.sum(pg_catalog.pg_relation_size(t.relid)) FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf)
         ELSE pg_catalog.pg_relation_size(c.oid) END DESC NULLS LAST, c.oid";

/// The tables that hold a partition root's rows.
const LEAVES: &str = "
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_partition_tree($1::oid::pg_catalog.regclass) t JOIN pg_catalog.pg_class c ON c.oid = t.relid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE t.isleaf AND c.relkind = 'r'";

/// One thing to analyze.
struct Work {
    name: String,
    /// Of a partition root.
    root: Option<u32>,
}

/// Analyzes everything; the messages say what the server refused. A root that cannot be analyzed, such as one with a
/// foreign partition out of reach, is replaced by its leaves.
pub(super) async fn run(target: &PgTarget, jobs: u32, role: Option<&str>) -> Result<Vec<ToolMessage>> {
    let session = session_as(target.target(), role).await?;
    let encoding = session
        .query_one("SELECT pg_catalog.current_setting('server_encoding')", &[])
        .await
        .map_err(|e| database_error("list tables to analyze", &e))?;
    // Without an encoding names may be any bytes, which the driver cannot send: the server goes through its tables itself.
    if encoding.get::<_, &str>(0) == "SQL_ASCII" {
        session.batch_execute("ANALYZE").await.map_err(|e| database_error("analyze", &e))?;
        return Ok(Vec::new());
    }
    let rows = session.query(TABLES, &[]).await.map_err(|e| database_error("list tables to analyze", &e))?;
    let mut queue: Vec<Work> =
        rows.iter().map(|row| Work { name: quote::qualified(row.get(0), row.get(1)), root: row.get(2) }).collect();
    queue.reverse();
    let workers = usize::try_from(jobs).unwrap_or(1).clamp(1, queue.len().max(1));
    let queue = Arc::new(Mutex::new(queue));
    let mut tasks = JoinSet::new();
    let mut first = Some(session);
    for _ in 0..workers {
        let session = match first.take() {
            Some(session) => session,
            None => session_as(target.target(), role).await?,
        };
        tasks.spawn(work(session, Arc::clone(&queue)));
    }
    let mut refused = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        refused.extend(joined.or_error(ErrorKind::Unexpected, "analyze").and_then(|r| r).map_err(|e| {
            e.with_hint(
                "the data are complete; without statistics queries are slow: run ANALYZE when the reason is gone",
            )
        })?);
    }
    Ok(refused)
}

async fn work(session: Session, queue: Arc<Mutex<Vec<Work>>>) -> Result<Vec<ToolMessage>> {
    let mut refused = Vec::new();
    loop {
        let Some(Work { name, root }) = queue.lock().await.pop() else { return Ok(refused) };
        let Err(error) = session.batch_execute(&format!("ANALYZE {name}")).await else { continue };
        if session.is_closed() || error.code().is_none_or(|code| code.code().starts_with("57")) {
            return Err(database_error(&format!("analyze {name}"), &error));
        }
        refused.push(ToolMessage {
            classification: Classification::Statistics,
            text: format!("analyze {name}: {}", error.reason()),
            entry: Some(name),
        });
        if let Some(root) = root {
            let leaves =
                session.query(LEAVES, &[&root]).await.map_err(|e| database_error("list partitions to analyze", &e))?;
            let leaves = leaves.iter().map(|row| Work { name: quote::qualified(row.get(0), row.get(1)), root: None });
            queue.lock().await.extend(leaves);
        }
    }
}
