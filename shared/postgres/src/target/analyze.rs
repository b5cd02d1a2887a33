//! ANALYZE of a whole database, the biggest tables first, in several sessions.

use std::sync::Arc;

use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use tokio::{sync::Mutex, task::JoinSet};

use crate::{
    connect::ConnectionTarget,
    quote,
    session::{database_error, reason},
};

/// Tables, matviews and partition roots; a root's ANALYZE reaches its partitions. What this role may not analyze is left
/// out, as vacuumdb leaves it to the server's warning.
const TABLES: &str = "
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY CASE c.relkind
         WHEN 'p' THEN (SELECT pg_catalog.sum(pg_catalog.pg_relation_size(t.relid)) FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf)
         ELSE pg_catalog.pg_relation_size(c.oid) END DESC NULLS LAST, c.oid";

pub(super) async fn run(target: &ConnectionTarget, application_name: &str, jobs: u32) -> Result<()> {
    let session = target.connect(application_name).await?;
    let rows = session.query(TABLES, &[]).await.map_err(|e| database_error("list tables to analyze", &e))?;
    let mut names: Vec<String> = rows.iter().map(|row| quote::qualified(row.get(0), row.get(1))).collect();
    names.reverse();
    let workers = usize::try_from(jobs).unwrap_or(1).clamp(1, names.len().max(1));
    let queue = Arc::new(Mutex::new(names));
    let mut tasks = JoinSet::new();
    let mut first = Some(session);
    for _ in 0..workers {
        let queue = Arc::clone(&queue);
        let session = match first.take() {
            Some(session) => session,
            None => target.connect(application_name).await?,
        };
        tasks.spawn(async move {
            let mut failed = Vec::new();
            loop {
                let Some(name) = queue.lock().await.pop() else { return failed };
                if let Err(error) = session.batch_execute(&format!("ANALYZE {name}")).await {
                    failed.push(format!("{name}: {}", reason(&error)));
                    if session.is_closed() {
                        return failed;
                    }
                }
            }
        });
    }
    let mut failed = Vec::new();
    while let Some(joined) = tasks.join_next().await {
        failed.extend(joined.or_error(ErrorKind::Unexpected, "analyze")?);
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Database, format!("analyze: {}", failed.join("; "))).with_hint(
            "the data are complete; without statistics queries are slow: run ANALYZE when the reason is gone",
        ))
    }
}
