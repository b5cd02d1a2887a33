//! A transaction that others have to wait for.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::Result;
use lifeboat_tests::program::wait_until;

use super::fifteen;

/// A transaction that holds others up until this value ends, come what may.
pub(crate) struct Holding {
    session: Child,
    database: &'static str,
}

impl Holding {
    /// Begins it and does this in it.
    pub(crate) fn start(database: &'static str, statement: &str) -> Result<Self> {
        let mut psql = fifteen()?.tool("psql", database);
        psql.args(["-X", "-q", "-c", &format!("BEGIN; {statement}; SELECT pg_sleep(600)")]);
        let holding = Self { session: psql.stdout(Stdio::null()).spawn()?, database };
        wait_until("the transaction holds what it holds", Duration::from_mins(1), || {
            holding.sessions("wait_event = 'PgSleep'")
        })?;
        Ok(holding)
    }

    /// Whether there are such sessions on the database.
    fn sessions(&self, which: &str) -> Result<bool> {
        let sql = format!("SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '{}' AND {which}", self.database);
        Ok(fifteen()?.sql("postgres", &sql)?.trim() == "t")
    }

    /// Waits until it does.
    pub(crate) fn holds_somebody_up(&self) -> Result<()> {
        wait_until("somebody waits", Duration::from_mins(1), || self.sessions("wait_event_type = 'Lock'"))
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        drop(self.session.kill());
        drop(self.session.wait());
        let ending = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND query ~ 'pg_sleep'",
            self.database
        );
        drop(fifteen().and_then(|cluster| cluster.sql("postgres", &ending)));
    }
}
