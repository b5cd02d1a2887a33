//! A transaction that others have to wait for.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::Result;
use lifeboat_tests::{
    StoreUnderTest,
    program::{wait_looking_every, wait_until},
};

use super::{blocking, fifteen};
use crate::stores::access::documents;

/// A transaction that holds others up until this value ends, come what may, and then comes to nothing.
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

/// Waits until a dump has the lease of a database in this store. Where tables are locked, its sessions come and go too fast
/// to be seen: it does not wait for the lock, but tries again and again, for half a minute.
pub(crate) fn a_dump_is_at_work(store: &StoreUnderTest) -> Result<()> {
    wait_looking_every(Duration::from_millis(200), "a dump has the lease", Duration::from_mins(1), || {
        // A dump makes the folder of its store.
        if store.path().is_some_and(|folder| !folder.exists()) {
            return Ok(false);
        }
        let leases = blocking(documents(store, ".control/leases/"))?;
        Ok(leases.iter().any(|lease| lease["released"] != true))
    })
}
