//! A restore that was killed in its definitions, in its data and in its indexes, and went on each time to the same end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Cluster, Lifeboat, StoreUnderTest,
    program::wait_until,
    proxy::{Mode, Proxy},
};
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use super::{backup::Backup, contents::Contents, lock::Kind};
use crate::crashes::running::{AT_ONCE, Running, To, no_session_within};

/// Two large objects, so that not only tables are resumed, and a table of a dozen chunks.
const BESIDE_EVERY_KIND: &str = "
CREATE TABLE public.big AS SELECT g AS id, repeat(md5(g::text), 10) AS text FROM generate_series(1, 40000) g;
ALTER TABLE public.big ADD PRIMARY KEY (id);
CREATE INDEX big_by_text ON public.big (text);
SELECT lo_from_bytea(4711, convert_to(repeat('a large object ', 10000), 'UTF8'))";

/// In the midst of the definitions: a tenth of what these are as SQL.
const IN_PRE_DATA: u64 = 20 << 10;

/// More than all definitions, and less than the table has.
const IN_DATA: u64 = 5 << 20;

const TARGET: &str = "resumed";

/// Rows go in beside this lock; indexes have to wait for it.
const HOLD_INDEXES: &str = "BEGIN; LOCK TABLE public.big IN ROW EXCLUSIVE MODE";

/// A second to notice, and the server's time to end what it was at.
const AT_A_WORD: Duration = Duration::from_secs(3);

struct Place {
    cluster: Cluster,
    backup: Backup,
}

impl Place {
    fn restore(&self, options: &[&str]) -> Lifeboat {
        self.backup.restore(&self.cluster, TARGET, options)
    }

    /// Begins a restore through a proxy that holds every connection after so many bytes, and waits for that.
    fn held_after(&self, bytes: u64, options: &[&str]) -> Result<(Proxy, Running)> {
        let proxy = Proxy::start(self.cluster.port(), Mode::HoldAfter(bytes))?;
        let to = proxy.through(&self.cluster.bare_url(TARGET), self.cluster.port());
        let call = self.backup.lifeboat(["restore", &self.backup.reference, "--to", &to, "--jobs", "1"]);
        let call =
            call.args(options.iter().copied()).args(self.backup.identity()).env("PGPASSWORD", self.cluster.password());
        let mut restore = Running::start(call)?;
        wait_until("the proxy holds the restore", AT_ONCE, || Ok(proxy.held() > 0)).with_context(|| restore.log())?;
        Ok((proxy, restore))
    }

    /// Kills a restore after so many bytes.
    fn killed_after(&self, bytes: u64, options: &[&str]) -> Result<()> {
        let (_proxy, mut restore) = self.held_after(bytes, options)?;
        restore.signal("KILL", To::Program)?;
        ensure!(restore.ended(AT_ONCE)? == 137, "it was not killed: {}", restore.log());
        // Whoever does not say that it shall be resumed is told that it could be.
        let refused = self.restore(&[]).run()?.expect(9)?;
        ensure!(
            refused.stderr.contains("unfinished restore") && refused.stderr.contains("--resume"),
            "{}",
            refused.stderr
        );
        Ok(())
    }

    /// What a resumed restore would find.
    fn found(&self) -> Result<Value> {
        let plan = self.restore(&["--resume", "--dry-run"]).json()?;
        ensure!(plan["resumed"]["begun_at"].is_string(), "{plan:#}");
        Ok(plan["resumed"].clone())
    }

    /// Steps that are done, and objects that are loaded.
    fn done(&self) -> Result<(Vec<String>, u64)> {
        let found = self.found()?;
        let steps = found["steps"].as_array().context("steps")?;
        let steps = steps.iter().map(|step| Ok(step.as_str().context("a step")?.to_owned())).collect::<Result<_>>()?;
        Ok((steps, found["objects"].as_u64().context("objects")?))
    }

    /// Begins a restore, and waits until one of its indexes waits for the lock of another session.
    fn held_by_an_index(&self, options: &[&str]) -> Result<Running> {
        let mut restore = Running::start(self.restore(options))?;
        let waits = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{TARGET}' AND application_name LIKE 'lifeboat %'
             AND wait_event_type = 'Lock' AND query ~ 'INDEX|CONSTRAINT'"
        );
        wait_until("an index waits for the lock", 2 * AT_ONCE, || {
            Ok(self.cluster.sql("postgres", &waits)?.trim() != "0")
        })
        .with_context(|| restore.log())?;
        Ok(restore)
    }

    async fn session(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.cluster.url(TARGET), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

async fn killed_in_every_phase(major: u32) -> Result<()> {
    let cluster = Cluster::start_with_extension(major).await?;
    cluster.create_every_kind("source")?;
    cluster.sql("source", BESIDE_EVERY_KIND)?;
    let backup = Backup::of(&cluster, "source", StoreUnderTest::folder()?, &["--jobs", "2"])?;
    for name in ["uninterrupted", TARGET] {
        cluster.create_database_with(name, "TEMPLATE template0")?;
    }
    let whole = backup.restore(&cluster, "uninterrupted", &["--jobs", "2"]).json()?;
    ensure!(whole["resumed"].is_null(), "{whole:#}");
    let place = Place { cluster, backup };

    // An empty database has nothing to resume: it is restored from the start.
    place.killed_after(IN_PRE_DATA, &["--resume"]).context("in pre-data")?;
    ensure!(place.done()? == (Vec::new(), 0), "killed in pre-data: {}", place.found()?);
    place.killed_after(IN_DATA, &["--resume"]).context("in data")?;
    let (steps, objects) = place.done()?;
    ensure!(steps == ["pre-data", "data definitions"] && objects > 0, "killed in data: {steps:?}, {objects} objects");
    ensure!(place.cluster.sql(TARGET, "SELECT count(*) < 40000 FROM public.big")?.trim() == "t", "all of it is there");

    let other = place.session().await?;
    other.batch_execute(HOLD_INDEXES).await?;
    let mut restore = place.held_by_an_index(&["--resume", "--jobs", "2"])?;
    restore.signal("KILL", To::Program)?;
    ensure!(restore.ended(AT_ONCE)? == 137, "it was not killed: {}", restore.log());
    let (steps, all) = place.done()?;
    ensure!(
        steps == ["pre-data", "data definitions", "data"] && all > objects,
        "killed in post-data: {steps:?}, {all} objects"
    );

    // pg_restore has outlived the program and waits still: the next run ends it, and makes what it had not made.
    let mut restore = Running::start(place.restore(&["--resume", "--jobs", "2"]))?;
    restore.until("phase begins phase=\"post-data\"", 1)?;
    other.batch_execute("ROLLBACK").await?;
    ensure!(restore.ended(3 * AT_ONCE)? == 0, "{}", restore.log());
    Contents::of(&place.cluster, TARGET)?
        .expect_same("a restore killed three times", &Contents::of(&place.cluster, "uninterrupted")?)?;
    // Nothing is left to be resumed.
    let refused = place.restore(&["--resume"]).run()?.expect(9)?;
    ensure!(refused.stderr.contains("holds no restore that could be resumed"), "{}", refused.stderr);
    no_session_within(&place.cluster, AT_ONCE).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_killed_in_each_of_its_phases_goes_on_to_the_same_end() -> Result<()> {
    killed_in_every_phase(18).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the same on the older major versions: run by `make soak`"]
async fn a_restore_killed_in_each_of_its_phases_goes_on_to_the_same_end_on_older_servers() -> Result<()> {
    for major in [15, 16, 17] {
        killed_in_every_phase(major).await.with_context(|| format!("PostgreSQL {major}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_longer_fits_is_not_resumed() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("source")?;
    let tables =
        "CREATE TABLE public.a AS SELECT g AS id, repeat(md5(g::text), 20) AS text FROM generate_series(1, 20000) g;
                  CREATE TABLE public.b AS SELECT 1 AS id";
    cluster.sql("source", tables)?;
    cluster.create_database_with(TARGET, "TEMPLATE template0")?;
    let backup = Backup::of(&cluster, "source", StoreUnderTest::folder()?, &[])?;
    let other = backup.lifeboat(["dump", "kept"]).database(&cluster.url("source")).json()?;
    let other = format!("kept/{}", other["backup_id"].as_str().context("another backup")?);
    let place = Place { cluster, backup };
    place.killed_after(2 << 20, &[])?;
    let refused = |call: Lifeboat, why: &str| -> Result<()> {
        let ended = call.run()?.expect(9)?;
        ensure!(ended.stderr.contains(why), "'{why}' is not said: {}", ended.stderr);
        Ok(())
    };
    let of_other = place.backup.lifeboat(["restore", &other, "--to", &place.cluster.bare_url(TARGET), "--resume"]);
    refused(of_other.env("PGPASSWORD", place.cluster.password()), &format!("not of {other}"))?;
    refused(place.restore(&["--resume", "--no-owner"]), "not as: definitions and data without owners")?;
    // While another run is at it, nobody else is.
    let holder = place.session().await?;
    holder.batch_execute("SELECT pg_advisory_lock(x'4c494645424f4154'::int8)").await?;
    let busy = place.restore(&["--resume"]).run()?.expect(75)?;
    ensure!(busy.stderr.contains("another run restores into database 'resumed'"), "{}", busy.stderr);
    holder.batch_execute("SELECT pg_advisory_unlock_all()").await?;
    place.cluster.sql(TARGET, "ALTER TABLE public.b RENAME TO c")?;
    refused(place.restore(&["--resume"]), "no longer holds table public.b")?;
    place.cluster.sql(TARGET, "ALTER TABLE public.c RENAME TO b")?;
    // What somebody has put there meanwhile is seen, as after any restore.
    place.cluster.sql(TARGET, "INSERT INTO public.b VALUES (2)")?;
    let differs = place.restore(&["--resume"]).run()?.expect(7)?;
    ensure!(differs.stderr.contains("public.b"), "{}", differs.stderr);
    place.cluster.sql(TARGET, "DELETE FROM public.b WHERE id = 2")?;
    place.restore(&["--resume"]).run()?.expect(0)?;
    let counted = place.cluster.sql(TARGET, "SELECT count(*) FROM public.a")?;
    ensure!(counted.trim() == "20000", "{counted}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_an_encrypted_backup_goes_on_after_its_network_was_cut_and_after_it_was_interrupted() -> Result<()>
{
    let cluster = Cluster::start(15).await?;
    cluster.create_database("source")?;
    cluster.sql("source", BESIDE_EVERY_KIND)?;
    cluster.create_database_with(TARGET, "TEMPLATE template0")?;
    let backup = Backup::encrypted(&cluster, "source", StoreUnderTest::folder()?, &[], Kind::Age)?;
    let place = Place { cluster, backup };
    let (proxy, mut restore) = place.held_after(IN_DATA, &[])?;
    proxy.set(Mode::Cut);
    let code = restore.ended(3 * AT_ONCE)?;
    ensure!(code == 4, "{code}: {}", restore.log());
    ensure!(restore.log().contains("--resume"), "{}", restore.log());
    let (steps, objects) = place.done()?;
    ensure!(steps == ["pre-data", "data definitions"] && objects > 0, "cut in data: {steps:?}, {objects} objects");

    let other = place.session().await?;
    other.batch_execute(HOLD_INDEXES).await?;
    let mut restore = place.held_by_an_index(&["--resume", "--jobs", "2"])?;
    restore.signal("TERM", To::Program)?;
    ensure!(restore.ended(AT_ONCE)? == 130, "{}", restore.log());
    ensure!(restore.log().contains("--resume"), "{}", restore.log());
    // Told to end, pg_restore ends its queries: the server does not go on with them until it notices that nobody listens.
    no_session_within(&place.cluster, AT_A_WORD)?;
    let (steps, _) = place.done()?;
    ensure!(steps == ["pre-data", "data definitions", "data"], "interrupted in post-data: {steps:?}");
    other.batch_execute("ROLLBACK").await?;

    place.restore(&["--resume", "--jobs", "2"]).run()?.expect(0)?;
    let all = "SELECT count(*), sum(hashtext(b::text)), (SELECT md5(lo_get(4711))) FROM public.big b GROUP BY ()";
    assert_eq!(place.cluster.sql(TARGET, all)?, place.cluster.sql("source", all)?);
    no_session_within(&place.cluster, AT_ONCE).map(drop)
}
