//! The ledger of a restore as two small tables in a schema of its own, and the claim that holds other runs off.

use std::time::Duration;

use async_trait::async_trait;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{LEDGER_SCHEMA, Ledger, LedgerFound, LedgerHead},
};
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;

use super::{APPLICATION, contents};
use crate::{connect::ConnectionTarget, failure::database_error, quote, session::Session};

/// The key of the advisory lock by which restores into the same database exclude each other: `LIFEBOAT` in ASCII.
const CLAIM: i64 = 0x4c49_4645_424f_4154;

/// Only ever added to: publications of all tables refuse other changes of tables that replicas know no rows of.
const MAKE: &str = "
CREATE SCHEMA lifeboat_restore;
COMMENT ON SCHEMA lifeboat_restore IS 'What is done of a restore by Lifeboat that has not ended: lifeboat restore --resume goes on with it';
CREATE TABLE lifeboat_restore.begun (backup text NOT NULL, manifest_sha256 text NOT NULL, request text NOT NULL,
                                     at timestamptz NOT NULL DEFAULT pg_catalog.now());
CREATE TABLE lifeboat_restore.run (run text PRIMARY KEY, at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp());
CREATE TABLE lifeboat_restore.done (what text PRIMARY KEY, at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp())";

const REMOVE: &str = "DROP SCHEMA IF EXISTS lifeboat_restore CASCADE";

/// Event triggers of the database, which a restore has just brought back, are about what its users do.
const REMOVE_UNNOTICED: &str =
    "BEGIN; SET LOCAL session_replication_role = replica; DROP SCHEMA IF EXISTS lifeboat_restore CASCADE; COMMIT";

const THERE: &str =
    "SELECT count(*) = 3 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'lifeboat_restore' AND c.relname IN ('begun', 'run', 'done') AND c.relkind = 'r'";

const HEAD: &str = "SELECT backup, manifest_sha256, request,
 coalesce((SELECT run FROM lifeboat_restore.run ORDER BY at DESC LIMIT 1), ''),
 pg_catalog.to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM lifeboat_restore.begun";

/// Sessions of the tools of earlier runs, and of these runs' loads, which hold no claim. This one holds it.
const END_SESSIONS: &str = "
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
  AND (application_name = $1 OR application_name IN (SELECT 'lifeboat ' || run FROM lifeboat_restore.run))";

/// How long sessions may take to go: a `COPY` that was told to end does so within a moment.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often they are looked for.
const PAUSE: Duration = Duration::from_millis(100);

/// A `pg_restore` whose workers were ended ends by itself, but may connect once more before: so often, nobody must be there.
const QUIET: u32 = 5;

/// The statement by which a load tells the ledger what it has done.
pub(super) fn entry(what: &str) -> String {
    format!("INSERT INTO {LEDGER_SCHEMA}.done (what) VALUES ({}) ON CONFLICT DO NOTHING", quote::literal(what))
}

/// The ledger of one target.
pub(super) struct PgLedger {
    session: Session,
}

impl PgLedger {
    pub(super) async fn open(target: &ConnectionTarget) -> Result<Self> {
        Ok(Self { session: target.connect(APPLICATION).await? })
    }

    async fn note_run(&self, run: &str) -> Result<()> {
        let sql = "INSERT INTO lifeboat_restore.run (run) VALUES ($1) ON CONFLICT DO NOTHING";
        let noted = self.session.execute(sql, &[&run]).await;
        noted.map(drop).map_err(|e| database_error("note this run in the restore's ledger", &e))
    }

    async fn may_remove_unnoticed(&self) -> Result<bool> {
        let failed = |e| database_error("read the role's privileges", &e);
        let sql = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user";
        let superuser = self.session.query_one(sql, &[]).await.map_err(failed)?.get(0);
        contents::may_disable_triggers(&self.session, self.session.server_version_num().await?, superuser).await
    }
}

#[async_trait]
impl Ledger for PgLedger {
    async fn read(&self) -> Result<Option<LedgerFound>> {
        let failed = |e| database_error("read the ledger of an earlier restore", &e);
        if !self.session.query_one(THERE, &[]).await.map_err(failed)?.get::<_, bool>(0) {
            return Ok(None);
        }
        let Some(head) = self.session.query_opt(HEAD, &[]).await.map_err(failed)? else { return Ok(None) };
        let done = self.session.query("SELECT what FROM lifeboat_restore.done", &[]).await.map_err(failed)?;
        Ok(Some(LedgerFound {
            head: LedgerHead {
                backup: head.get(0),
                manifest_sha256: head.get(1),
                request: head.get(2),
                run: head.get(3),
            },
            begun_at: head.get(4),
            done: done.iter().map(|row| row.get(0)).collect(),
        }))
    }

    async fn claim(&self) -> Result<()> {
        let row = self
            .session
            .query_one("SELECT pg_catalog.pg_try_advisory_lock($1), pg_catalog.current_database()::text", &[&CLAIM])
            .await
            .map_err(|e| database_error("claim the database for this run", &e))?;
        if row.get(0) {
            return Ok(());
        }
        let database: &str = row.get(1);
        Err(Error::new(ErrorKind::AlreadyRunning, format!("another run restores into database '{database}'")).with_hint(
            "wait for it; a run that died lets go at once, one whose machine is gone when the server notices, within a minute",
        ))
    }

    async fn take_over(&self, run: &str) -> Result<()> {
        let doing = "end the sessions that the interrupted restore has left";
        let until = Instant::now() + PATIENCE;
        let mut quiet = 0;
        while quiet < QUIET {
            let left =
                self.session.query(END_SESSIONS, &[&APPLICATION]).await.map_err(|e| database_error(doing, &e))?;
            quiet = if left.is_empty() { quiet + 1 } else { 0 };
            if Instant::now() >= until {
                let message = format!("{doing}: {} of them are still there after {} s", left.len(), PATIENCE.as_secs());
                return Err(Error::new(ErrorKind::Database, message)
                    .with_hint("end them with pg_terminate_backend, or wait until they are gone, and resume then"));
            }
            sleep(PAUSE).await;
        }
        self.note_run(run).await
    }

    async fn begin(&self, head: &LedgerHead, role: Option<&str>) -> Result<bool> {
        let failed = |e| database_error("begin the restore's ledger", &e);
        let granted = role.map(quote::identifier).map_or_else(String::new, |role| {
            format!("; GRANT USAGE ON SCHEMA {LEDGER_SCHEMA} TO {role}; GRANT INSERT, SELECT ON {LEDGER_SCHEMA}.done TO {role}")
        });
        // One message is one transaction.
        match self.session.batch_execute(&format!("{REMOVE}; {MAKE}{granted}")).await {
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => return Ok(false),
            begun => begun.map_err(failed)?,
        }
        let LedgerHead { backup, manifest_sha256, request, run } = head;
        self.note_run(run).await?;
        let sql = "INSERT INTO lifeboat_restore.begun (backup, manifest_sha256, request) VALUES ($1, $2, $3)";
        self.session.execute(sql, &[backup, manifest_sha256, request]).await.map_err(failed)?;
        Ok(true)
    }

    async fn note(&self, step: &str) -> Result<()> {
        let doing = format!("note in the restore's ledger that '{step}' is done");
        self.session.batch_execute(&entry(step)).await.map_err(|e| database_error(&doing, &e))
    }

    async fn remove(&self) -> Result<()> {
        let remove = if self.may_remove_unnoticed().await? { REMOVE_UNNOTICED } else { REMOVE };
        self.session.batch_execute(remove).await.map_err(|e| {
            database_error("remove the restore's ledger", &e)
                .with_hint(format!("the restore is complete: DROP SCHEMA {LEDGER_SCHEMA} CASCADE"))
        })
    }
}
