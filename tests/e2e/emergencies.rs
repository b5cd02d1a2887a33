//! Restores for real emergencies: swaps under a running application, rescues, hooks, and runs that are killed in between.

mod application;
mod hooks;
mod killed;
mod refused;
mod rescue;
mod swap;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, Lifeboat, StoreUnderTest};

use crate::shared::with_tools;

/// A server, a store, and one backup of one database.
struct Emergency<'a> {
    server: &'a Cluster,
    store: StoreUnderTest,
    database: String,
}

impl<'a> Emergency<'a> {
    /// Dumps a database that is there into a store of its own.
    fn of(server: &'a Cluster, database: &str) -> Result<Self> {
        let emergency = Self { server, store: StoreUnderTest::folder()?, database: database.to_owned() };
        emergency.call(&["dump", "kept"]).database(&server.url(database)).run()?.expect(0)?;
        Ok(emergency)
    }

    fn call(&self, arguments: &[&str]) -> Lifeboat {
        with_tools(self.store.lifeboat(arguments.iter().copied()), &self.server.bin)
    }

    /// `restore`, with the live database as its target.
    fn restore(&self, arguments: &[&str]) -> Lifeboat {
        let call = self.call(&["restore", "--to", "env:LIVE_URL"]).args(arguments.iter().copied());
        call.env("LIVE_URL", self.server.url(&self.database))
    }

    fn sql(&self, sql: &str) -> Result<String> {
        Ok(self.server.sql(&self.database, sql)?.trim().to_owned())
    }

    /// The databases whose names begin with that of the live one, in order.
    fn databases(&self) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT datname FROM pg_database WHERE starts_with(datname, '{}') ORDER BY datname COLLATE \"C\"",
            self.database
        );
        Ok(self.server.sql("postgres", &sql)?.lines().map(str::to_owned).collect())
    }

    /// Fails unless the live database is the only one of its kind, and answers.
    fn expect_alone(&self, when: &str) -> Result<()> {
        let found = self.databases()?;
        ensure!(found == [self.database.as_str()], "{when}: {found:?}");
        ensure!(self.sql("SELECT 1").with_context(|| when.to_owned())? == "1", "{when}");
        Ok(())
    }
}
