//! The server's own limit: COPY in as many streams as are asked for, shared out as a dump would, and thrown away.

use std::{collections::VecDeque, process::Command, sync::Arc};

use anyhow::{Context, Result};
use lifeboat_postgres::{ConnectionTarget, wire::WireSession};
use tokio::sync::Mutex;

/// The first argument that makes this program such a reader, and the variable that has the URL.
pub(crate) const COMMAND: &str = "raw-copy";
const URL: &str = "BENCH_DATABASE_URL";

/// Ranges of 64 MiB of every table, largest table first.
const UNITS: &str = "
SELECT format('COPY (SELECT * FROM ONLY %I.%I WHERE ctid >= ''(%s,0)''::tid AND ctid < ''(%s,0)''::tid) TO STDOUT',
              n.nspname, c.relname, first, first + 8192)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
     generate_series(0, greatest(pg_relation_size(c.oid) / 8192 - 1, 0), 8192) AS first
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY pg_table_size(c.oid) DESC, first";

/// This program again, as such a reader of a database.
pub(crate) fn command(url: &str, streams: u32) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("find the bench's own program")?);
    command.args([COMMAND, &streams.to_string()]).env(URL, url);
    Ok(command)
}

/// What such a reader does.
pub(crate) async fn run(streams: u32) -> Result<()> {
    let url = std::env::var(URL).with_context(|| format!("{URL} is not set"))?;
    let target = ConnectionTarget::parse(&url)?;
    let mut session = target.connect_wire("bench").await?;
    let units: VecDeque<String> = session.query(UNITS).await?.iter().map(|row| row.text(0).into_owned()).collect();
    let units = Arc::new(Mutex::new(units));
    let mut streaming = tokio::task::JoinSet::new();
    for _ in 0..streams {
        let (target, units) = (target.clone(), Arc::clone(&units));
        streaming.spawn(async move { stream(target.connect_wire("bench").await?, &units).await });
    }
    while let Some(ended) = streaming.join_next().await {
        ended??;
    }
    Ok(())
}

async fn stream(mut session: WireSession, units: &Mutex<VecDeque<String>>) -> Result<()> {
    loop {
        let Some(unit) = units.lock().await.pop_front() else { return Ok(()) };
        let mut copy = session.copy_out(unit).await?;
        while copy.next_block().await?.is_some() {}
    }
}
