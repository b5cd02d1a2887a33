//! Every kind of DDL that can falsify a dump, fired at every step of its start and of its units.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lifeboat_core::{
    dump::DumpRequest,
    ports::{Removal, Store},
};
use lifeboat_testkit::{MemoryStore, context};
use lifeboat_tests::{Cluster, library::dump_request};

use super::{
    application::{self, Sent},
    contents::Contents,
    steps,
};
use crate::shared::blocking;

/// A dump may take this long, whatever the application does.
pub(super) const DUMP_WITHIN: Duration = Duration::from_mins(2);

/// The application's DDL may have to wait this long after the dump has ended.
const LET_THROUGH_WITHIN: Duration = Duration::from_secs(15);

/// Where DDL that must queue meets the lock that pg_dump wants: only our rolling back lets it through.
const BEFORE_PG_DUMP: [&str; 3] = ["tables locked", "snapshot exported", "locks checked"];

/// One kind of DDL, in a database of its own. `ddl` also changes the row in `public.witness`, so that a snapshot tells which side of it it is on.
struct Case {
    database: &'static str,
    /// Makes tables of the schemas `one` and `two`, which do not exist.
    set_up: &'static str,
    ddl: &'static str,
    /// Tables, `public.witness` among them: so many units are dumped.
    tables: usize,
}

const KINDS: [Case; 12] = [
    Case {
        database: "truncate",
        set_up: "CREATE TABLE one.t AS SELECT g, 'row ' || g AS marker FROM generate_series(1, 3000) g;",
        ddl: "TRUNCATE one.t",
        tables: 2,
    },
    Case {
        database: "rewrite",
        set_up: "CREATE TABLE one.t AS SELECT g, g AS n FROM generate_series(1, 3000) g;
                 CREATE INDEX ON one.t (n);",
        ddl: "ALTER TABLE one.t ALTER n TYPE text USING 'rewritten ' || n",
        tables: 2,
    },
    Case {
        database: "columns",
        set_up: "CREATE TABLE one.t AS SELECT 'first ' || g AS a, 'second ' || g AS b FROM generate_series(1, 3000) g;
                 ALTER TABLE one.t ADD CHECK (a <> ''); CREATE VIEW one.v AS SELECT a FROM one.t;",
        ddl: "ALTER TABLE one.t RENAME a TO c; ALTER TABLE one.t RENAME b TO a; ALTER TABLE one.t RENAME c TO b",
        tables: 2,
    },
    Case {
        database: "tables",
        set_up: "CREATE TABLE one.t AS SELECT 'left ' || g AS marker FROM generate_series(1, 3000) g;
                 CREATE TABLE one.u AS SELECT 'right ' || g AS marker FROM generate_series(1, 2000) g;
                 CREATE VIEW one.v AS SELECT marker FROM one.t;",
        ddl: "ALTER TABLE one.t RENAME TO w; ALTER TABLE one.u RENAME TO t; ALTER TABLE one.w RENAME TO u",
        tables: 3,
    },
    Case {
        database: "schemas",
        set_up: "CREATE TABLE one.t AS SELECT 'one ' || g AS marker FROM generate_series(1, 3000) g;
                 CREATE TABLE two.t AS SELECT 'two ' || g AS marker FROM generate_series(1, 2000) g;
                 CREATE VIEW public.v AS SELECT marker FROM one.t;",
        ddl: "ALTER SCHEMA one RENAME TO three; ALTER SCHEMA two RENAME TO one; ALTER SCHEMA three RENAME TO two",
        tables: 3,
    },
    Case {
        database: "schemas-of-views",
        set_up: "CREATE TABLE public.t AS SELECT 'one ' || g AS marker FROM generate_series(1, 3000) g;
                 CREATE TABLE public.u AS SELECT 'two ' || g AS marker FROM generate_series(1, 2000) g;
                 CREATE VIEW one.v AS SELECT marker FROM public.t; CREATE VIEW two.v AS SELECT marker FROM public.u;
                 CREATE VIEW public.v AS SELECT marker FROM one.v;",
        ddl: "ALTER SCHEMA one RENAME TO three; ALTER SCHEMA two RENAME TO one; ALTER SCHEMA three RENAME TO two",
        tables: 3,
    },
    Case {
        database: "drop-and-create",
        set_up: "CREATE TABLE one.t AS SELECT 'old ' || g AS marker FROM generate_series(1, 3000) g;",
        ddl: "DROP TABLE one.t; CREATE TABLE one.t AS SELECT 'new ' || g AS marker FROM generate_series(1, 10) g",
        tables: 2,
    },
    // The snapshot does not know the table that bears the name then, nor its rows.
    Case {
        database: "new-schema",
        set_up: "CREATE TABLE one.t AS SELECT 'old ' || g AS marker FROM generate_series(1, 3000) g;",
        ddl: "ALTER SCHEMA one RENAME TO three; CREATE SCHEMA one;
              CREATE TABLE one.t AS SELECT 'new ' || g AS marker FROM generate_series(1, 2000) g",
        tables: 2,
    },
    Case {
        database: "labels",
        set_up: "CREATE TYPE one.kind AS ENUM ('old', 'other');
                 CREATE TABLE one.t AS SELECT 'old'::one.kind AS kind, g FROM generate_series(1, 3000) g;",
        ddl: "ALTER TYPE one.kind RENAME VALUE 'old' TO 'new'",
        tables: 2,
    },
    Case {
        database: "functions",
        set_up: "CREATE FUNCTION one.old() RETURNS int LANGUAGE sql RETURN 1; CREATE DOMAIN one.names AS regproc[];
                 CREATE TABLE one.t AS SELECT ARRAY['one.old'::regproc]::one.names AS f, g FROM generate_series(1, 3000) g;",
        ddl: "ALTER FUNCTION one.old() RENAME TO new",
        tables: 2,
    },
    Case {
        database: "made-again",
        set_up: "CREATE FUNCTION one.f() RETURNS int LANGUAGE sql RETURN 1;
                 CREATE TABLE one.t AS SELECT 'one.f'::regproc AS f, g FROM generate_series(1, 3000) g;",
        ddl: "DROP FUNCTION one.f(); CREATE FUNCTION one.f() RETURNS int LANGUAGE sql RETURN 2;
              UPDATE one.t SET f = 'one.f'",
        tables: 2,
    },
    Case {
        database: "configurations",
        set_up: "CREATE TEXT SEARCH CONFIGURATION one.old (COPY = pg_catalog.simple);
                 CREATE TABLE one.t AS SELECT 'one.old'::regconfig AS c, g FROM generate_series(1, 3000) g;",
        ddl: "ALTER TEXT SEARCH CONFIGURATION one.old RENAME TO new",
        tables: 2,
    },
];

/// Those kinds that strike whoever reads a table in ranges, and whether the DDL has to queue.
const OF_RANGES: [(&str, bool); 4] = [("truncate", true), ("columns", true), ("schemas", false), ("new-schema", false)];

/// When the DDL was sent, and how.
type Shot = Arc<Mutex<Option<(Instant, Result<Sent>)>>>;

impl Case {
    fn reset(&self, cluster: &Cluster) -> Result<()> {
        let sql = format!(
            "SET client_min_messages = error;
             DROP SCHEMA IF EXISTS one, two, three, public CASCADE; CREATE SCHEMA one; CREATE SCHEMA two; CREATE SCHEMA public;
             CREATE TABLE public.witness AS SELECT 'before' AS state; {}",
            self.set_up
        );
        cluster.sql(self.database, &sql).map(drop)
    }

    fn transaction(&self) -> String {
        format!("BEGIN; {}; UPDATE public.witness SET state = 'after'; COMMIT", self.ddl)
    }

    /// Dumps with the DDL fired at the `nth` time that `step` is done; gives the backup, and the DDL as it went.
    async fn under_fire(
        &self,
        cluster: &Cluster,
        request: &DumpRequest,
        step: &str,
        nth: usize,
    ) -> Result<(Contents, Fired)> {
        let fired: Shot = Arc::default();
        let guard = {
            let (fired, step, mut left) = (Arc::clone(&fired), step.to_owned(), nth);
            let (url, ddl) = (cluster.url(self.database), self.transaction());
            steps::hook(move |done| {
                if done == step && left > 0 {
                    left -= 1;
                    if left == 0 {
                        let sent = (Instant::now(), application::send(&url, &ddl));
                        *fired.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
                    }
                }
            })
        };
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Removal::Delete));
        let run = context().build();
        let dumping = cluster.dump(self.database, &store, request, &run);
        let outcome = tokio::time::timeout(DUMP_WITHIN, dumping).await.context("the dump hangs")?;
        let ended_at = Instant::now();
        drop(guard);
        let fired = fired.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (fired_at, sent) = fired.context("the step never came")?;
        let sent = sent?;
        let queued = sent.queued;
        let done_at = sent.done()?;
        let contents = Contents::of(&store, &outcome?.manifest, &run).await?;
        let late = done_at.saturating_duration_since(ended_at);
        ensure!(late < LET_THROUGH_WITHIN, "the application waited for {late:?} after the dump's end");
        Ok((contents, Fired { queued, waited: done_at - fired_at, before_the_end: done_at < ended_at }))
    }

    async fn quiet(&self, cluster: &Cluster, request: &DumpRequest) -> Result<Contents> {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Removal::Delete));
        let run = context().build();
        let outcome = cluster.dump(self.database, &store, request, &run).await?;
        Contents::of(&store, &outcome.manifest, &run).await
    }
}

struct Fired {
    queued: bool,
    waited: Duration,
    before_the_end: bool,
}

/// What became of one kind of DDL at all steps.
#[derive(Debug, Default)]
struct Tally {
    before: usize,
    after: usize,
    queued: usize,
    longest_wait: Duration,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} backups of before, {} of after; queued {} times, {:.1} s at most",
            self.before,
            self.after,
            self.queued,
            self.longest_wait.as_secs_f64()
        )
    }
}

/// `at`: which steps, and how often each comes by.
fn everywhere(cluster: &Cluster, kind: &Case, request: &DumpRequest, at: &[(&str, usize)]) -> Result<Tally> {
    blocking(async {
        kind.reset(cluster)?;
        let before = kind.quiet(cluster, request).await?;
        cluster.sql(kind.database, &kind.transaction())?;
        let after = kind.quiet(cluster, request).await?;
        ensure!(before != after, "the two states cannot be told apart");
        let mut tally = Tally::default();
        for (step, times) in at {
            for nth in 1..=*times {
                let place = format!("{} at '{step}' number {nth}", kind.database);
                kind.reset(cluster)?;
                let (got, fired) = kind.under_fire(cluster, request, step, nth).await.with_context(|| place.clone())?;
                if got == before {
                    tally.before += 1;
                } else if got == after {
                    tally.after += 1;
                } else {
                    bail!(
                        "{place}: neither state.\nAgainst before:\n  {}\nAgainst after:\n  {}",
                        got.difference(&before),
                        got.difference(&after)
                    );
                }
                if fired.queued && BEFORE_PG_DUMP.contains(step) {
                    ensure!(fired.before_the_end, "{place}: the application waited for the whole dump");
                }
                tally.queued += usize::from(fired.queued);
                tally.longest_wait = tally.longest_wait.max(fired.waited);
            }
        }
        Ok(tally)
    })
}

/// All kinds at the same time, each in a database and on a thread of its own.
async fn all_kinds(major: u32) -> Result<()> {
    let cluster = Cluster::start(major).await?;
    for kind in &KINDS {
        cluster.create_database(kind.database)?;
    }
    let results: Vec<Result<Tally>> = std::thread::scope(|scope| {
        let threads: Vec<_> = KINDS
            .iter()
            .map(|kind| {
                let cluster = &cluster;
                scope.spawn(move || {
                    let mut request = dump_request(kind.database)?;
                    request.jobs = 1;
                    let at: Vec<(&str, usize)> = steps::START
                        .iter()
                        .map(|step| (*step, 1))
                        .chain(steps::UNIT.iter().map(|step| (*step, kind.tables)))
                        .collect();
                    everywhere(cluster, kind, &request, &at)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
    });
    let failures: Vec<String> =
        results.iter().filter_map(|r| r.as_ref().err()).map(|error| format!("{error:#}")).collect();
    for (kind, result) in KINDS.iter().zip(&results) {
        eprintln!(
            "PostgreSQL {major}, {}: {}",
            kind.database,
            result.as_ref().map_or("failed".to_owned(), Tally::to_string)
        );
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[tokio::test]
#[ignore = "a minute of what is seen on 18 in every run: run by `make soak`"]
async fn whatever_ddl_strikes_at_whatever_step_a_backup_of_postgresql_15_is_one_state() -> Result<()> {
    all_kinds(15).await
}

#[tokio::test]
async fn whatever_ddl_strikes_at_whatever_step_a_backup_of_postgresql_18_is_one_state() -> Result<()> {
    all_kinds(18).await
}

#[tokio::test]
async fn ddl_that_strikes_while_ranges_are_read_is_let_through_and_its_result_dumped() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    let kinds: Vec<(&Case, bool)> = OF_RANGES
        .iter()
        .filter_map(|(name, queues)| Some((KINDS.iter().find(|kind| kind.database == *name)?, *queues)))
        .collect();
    ensure!(kinds.len() == OF_RANGES.len(), "a kind is unknown");
    for (kind, _) in &kinds {
        cluster.create_database(kind.database)?;
    }
    let at = [("unit begun", 1), ("unit locked", 2), ("unit copied", 1)];
    let tallies: Vec<Result<Tally>> = std::thread::scope(|scope| {
        let threads: Vec<_> = kinds
            .iter()
            .map(|(kind, _)| {
                let cluster = &cluster;
                scope.spawn(move || {
                    let mut request = dump_request(kind.database)?;
                    request.chunk_bytes = 32 << 10;
                    everywhere(cluster, kind, &request, &at)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
    });
    for ((kind, queues), tally) in kinds.iter().zip(tallies) {
        let tally = tally?;
        ensure!(tally.after > 0 && (tally.queued > 0) == *queues, "{}: {tally}", kind.database);
    }
    Ok(())
}
