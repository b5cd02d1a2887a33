//! A backup of a hot standby, restored: what the primary holds.

use anyhow::{Context, Result, ensure};
use lifeboat_testkit::standby::{OF_A_PRIMARY, Standby};
use lifeboat_tests::{
    Cluster, StoreUnderTest,
    cluster::run,
    program::wait_until,
    proxy::{Mode, Proxy},
};

use super::{backup::Backup, contents::Contents};
use crate::crashes::running::{AT_ONCE, Running, listed, nothing_listed};

const BESIDE_THE_SHOP: &str = "
SELECT lo_from_bytea(4711, convert_to(repeat('a large object ', 100000), 'UTF8'));
CREATE UNLOGGED TABLE public.unlogged AS SELECT 1 AS a;
CREATE SEQUENCE public.counted; SELECT nextval('public.counted') FROM generate_series(1, 1000)";

fn url_of(standby: &Standby, primary: &Cluster, database: &str) -> String {
    primary.url(database).replace(&format!(":{}/", primary.port()), &format!(":{}/", standby.port()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_standby_brings_back_what_its_primary_holds_but_for_unlogged_rows() -> Result<()> {
    let (primary, target) = (Cluster::start_with(15, &OF_A_PRIMARY).await?, Cluster::start(15).await?);
    primary.create_shop("shop", "0.05")?;
    primary.sql("shop", BESIDE_THE_SHOP)?;
    let standby = Standby::of(primary.tool("pg_basebackup", ""), &primary.bin).context("start a standby")?;
    let url = url_of(&standby, &primary, "shop");
    let backup = Backup::of_url(&url, &primary.bin, StoreUnderTest::folder()?, &["--jobs", "3"])?;
    let omitted = backup.answer["omitted"].to_string();
    ensure!(omitted.contains("unlogged"), "the backup does not say what it lacks: {omitted}");
    target.create_database_with("restored", "TEMPLATE template0")?;
    let outcome = backup.restore(&target, "restored", &["--jobs", "3"]).json()?;
    ensure!(outcome["compared"].as_array().is_some_and(|all| all.len() > 5), "too little was compared: {outcome}");
    primary.sql("shop", "TRUNCATE public.unlogged")?;
    Contents::of(&target, "restored")?.expect_same("of the standby", &Contents::of(&primary, "shop")?)
}

/// A standby that puts up with no conflict and logs the one that it has to wait for, and a primary on which no snapshot of
/// its own keeps a VACUUM from making one.
const IMPATIENT: [(&str, &str); 4] = [
    ("max_standby_streaming_delay", "0"),
    ("log_recovery_conflict_waits", "on"),
    ("deadlock_timeout", "100ms"),
    ("autovacuum", "off"),
];

/// Beyond what pg_dump reads of the catalogs, and less than the large table has.
const IN_MID_COPY: Mode = Mode::HoldAfter(4 << 20);

/// A large table, and what changes beside it.
const TABLES: &str = "
CREATE TABLE public.large AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 20000) g;
CREATE TABLE public.small AS SELECT * FROM public.large LIMIT 1000";

/// A standby that cancels whoever stands in the way of replay, and a way to it that can be held.
struct Conflicting {
    primary: Cluster,
    standby: Standby,
    proxy: Proxy,
}

impl Conflicting {
    async fn start(major: u32) -> Result<Self> {
        let settings = [&OF_A_PRIMARY[..], &IMPATIENT].concat();
        let primary = Cluster::start_with(major, &settings).await?;
        primary.create_database("source")?;
        primary.sql("source", TABLES)?;
        let standby = Standby::of(primary.tool("pg_basebackup", ""), &primary.bin).context("start a standby")?;
        let proxy = Proxy::start(standby.port(), IN_MID_COPY)?;
        Ok(Self { primary, standby, proxy })
    }

    fn dump(&self, store: &StoreUnderTest) -> Result<Running> {
        let url = self.proxy.through(&url_of(&self.standby, &self.primary, "source"), self.standby.port());
        let call = store.lifeboat(["dump", "kept", "--jobs", "1"]).env("LIFEBOAT_CLIENT_TOOLS", &self.primary.bin);
        Running::start(call.database(&url))
    }

    /// The process ids of Lifeboat's sessions on the standby of which this holds, a line each.
    fn sessions(&self, condition: &str) -> Result<String> {
        let sql = format!("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'lifeboat%' AND {condition}");
        let mut psql = self.primary.tool("psql", "postgres");
        let pids = run(psql.env("PGPORT", self.standby.port().to_string()).args(["-X", "-A", "-t", "-c", &sql]))?;
        Ok(pids.trim().to_owned())
    }

    /// Waits until a dump is held in the midst of its large table, by a session other than that of the attempt before; then
    /// lets the primary do what ends the snapshot. Gives the session that copies.
    fn conflict(&self, before: &str, sql: &[&str]) -> Result<String> {
        let mut copying = String::new();
        wait_until("the proxy holds the COPY", AT_ONCE, || {
            // pg_dump, which is told to end before, puts no quotes.
            copying = self.sessions(r#"state = 'active' AND query LIKE 'COPY "public"."large"%'"#)?;
            Ok(!copying.is_empty() && copying != before && self.proxy.held() > 0)
        })?;
        let waits = || Ok::<_, anyhow::Error>(self.standby.log()?.matches("recovery still waiting").count());
        let waits_before = waits()?;
        for statement in sql {
            self.primary.sql("source", statement)?;
        }
        // It ends those in its way one after the other, in no certain order: the one that only holds the snapshot at once,
        // the one that copies perhaps not before its client reads on, and until then it waits.
        wait_until("the standby ends what is in its way", AT_ONCE, || {
            Ok(self.sessions("query NOT LIKE 'COPY%'")?.is_empty() || waits()? > waits_before)
        })
        .with_context(|| self.standby.log().unwrap_or_default())?;
        Ok(copying)
    }

    fn no_session_is_left(&self) -> Result<()> {
        wait_until("no session of Lifeboat on the standby", AT_ONCE, || Ok(self.sessions("true")?.is_empty()))
    }
}

/// Removes rows that the snapshot still sees, and with them the reason to keep them.
const VACUUM: [&str; 2] = ["DELETE FROM public.large WHERE id % 3 = 1", "VACUUM public.large"];

/// Changes what the snapshot has locked.
const REPLACE: [&str; 2] =
    ["TRUNCATE public.small", "BEGIN; DROP TABLE public.large; CREATE TABLE public.large AS SELECT 7 AS other; COMMIT"];

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_whose_snapshot_the_standby_cancels_starts_again_and_is_whole() -> Result<()> {
    let target = Cluster::start(15).await?;
    for (name, sql) in [("vacuumed", VACUUM), ("replaced", REPLACE)] {
        let place = Conflicting::start(15).await?;
        let store = StoreUnderTest::folder()?;
        let mut dump = place.dump(&store)?;
        place.conflict("", &sql).with_context(|| format!("{name}: {}", dump.log()))?;
        place.proxy.set(Mode::Pass);
        let code = dump.ended(2 * AT_ONCE)?;
        ensure!(code == 0 && dump.log().contains("starting again"), "{name}: {code}: {}", dump.log());
        place.no_session_is_left()?;
        ensure!(listed(&store)?.len() == 1, "{name}: one backup is listed");
        target.create_database_with(name, "TEMPLATE template0")?;
        let restore = store.lifeboat(["restore", "kept/latest", "--to", "env:TARGET_URL"]);
        let restore = restore.env("TARGET_URL", target.url(name)).env("LIFEBOAT_CLIENT_TOOLS", &target.bin);
        restore.run()?.expect(0)?;
        Contents::of(&target, name)?.expect_same(name, &Contents::of(&place.primary, "source")?)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_cancels_every_attempt_is_told_with_what_to_set_and_nothing_is_listed() -> Result<()> {
    // The other one is on 15.
    let place = Conflicting::start(18).await?;
    let store = StoreUnderTest::folder()?;
    let mut dump = place.dump(&store)?;
    let mut session = String::new();
    for attempt in 1..=3 {
        let sql = [&*format!("DELETE FROM public.large WHERE id % 10 = {attempt}"), "VACUUM public.large"];
        let conflict = place.conflict(&session, &sql);
        session = conflict.with_context(|| format!("attempt {attempt}: {}", dump.log()))?;
        // The COPY of this attempt ends; that of the next is held.
        place.proxy.let_go();
    }
    let code = dump.ended(2 * AT_ONCE)?;
    ensure!(code == 4, "{code}: {}", dump.log());
    let log = dump.log();
    let (_, hint) = log.split_once("hint: ").with_context(|| log.clone())?;
    ensure!(hint.contains("max_standby_streaming_delay") && hint.contains("hot_standby_feedback"), "{log}");
    place.no_session_is_left()?;
    nothing_listed(&store)
}
