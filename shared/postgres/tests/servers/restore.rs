//! Whole restores through a target, and what pg_restore says when not all can be done.

use std::time::{Duration, Instant};

use lifeboat_archive::toc::Section;
use lifeboat_core::{
    ErrorKind, cancel,
    ports::{Classification, Target},
};

use crate::setting::{Dump, MAJORS, cluster, count, create_database, every_kind, fatal, step, target};

/// Restores a dump of one major version into another and compares all that can be compared.
async fn restores(from: u32, to: u32) {
    let source_cluster = cluster(from).await;
    let source = every_kind(from, &source_cluster, "source").await;
    let dump = Dump::of(from, &source, "UTF8").await;
    let other = cluster(to).await;
    // Roles belong to the cluster, not to the archive.
    every_kind(to, &other, "brings_the_roles").await;
    // A name that would be something else in a connection string.
    let restored = create_database(&other, "it's a \"test\" dbname=x \\", "").await;
    let (before, after) = (target(&source).await, target(&restored).await);
    assert_eq!(after.facts().await.unwrap().contents, Vec::<String>::new());
    let messages = dump.restore(&after).await;
    assert_eq!(fatal(&messages), Vec::<&_>::new(), "{from} into {to}");
    let mut reading = (before.worker(None).await.unwrap(), after.worker(None).await.unwrap());
    let mut rows = 0;
    for (statement, _) in dump.tables() {
        let expected = reading.0.checksum(&statement, true).await.unwrap();
        let name = String::from_utf8_lossy(&statement.copy_stmt).into_owned();
        assert_eq!(reading.1.checksum(&statement, true).await.unwrap(), expected, "{name}");
        rows += expected.rows;
    }
    assert!(rows > 1000, "{rows}");
    let large_objects = dump.large_objects();
    assert!(!large_objects.is_empty());
    for (oid, content) in large_objects {
        let expected = (content.len() as u64, lifeboat_core::manifest::sha256_hex(&content));
        assert_eq!(reading.1.large_object_digest(oid).await.unwrap(), Some(expected));
    }
    assert_eq!(reading.1.large_object_digest(4).await.unwrap(), None);
    after.analyze(2, None).await.unwrap();
    assert_eq!(after.facts().await.unwrap().contents.len(), 20);
    if from == to {
        assert_eq!(before.inventory().await.unwrap(), after.inventory().await.unwrap());
        let kinds = |toc: &lifeboat_archive::toc::Toc| {
            let of_database =
                |e: &&lifeboat_archive::toc::Entry| e.desc == b"DATABASE" || e.tag.starts_with(b"DATABASE ");
            let kept = toc.entries.iter().filter(|e| !of_database(e) && !e.desc.starts_with(b"DATABASE "));
            let mut all: Vec<String> = kept.map(|e| format!("{} {}", e.desc_str(), e.tag_str())).collect();
            all.sort();
            all
        };
        assert_eq!(kinds(&after.toc().await.unwrap()), kinds(&dump.toc));
    }
    assert_eq!(after.orphans().await.unwrap(), before.orphans().await.unwrap());
    assert_eq!(after.sequences_behind().await.unwrap(), before.sequences_behind().await.unwrap());
}

#[tokio::test]
async fn every_kind_comes_back_on_the_same_version() {
    for major in MAJORS {
        restores(major, major).await;
    }
}

#[tokio::test]
async fn every_kind_comes_back_on_a_newer_version() {
    restores(16, 18).await;
}

#[tokio::test]
async fn a_newer_archive_into_an_older_server_is_told_as_differences_of_versions() {
    let (new, old) = (cluster(18).await, cluster(15).await);
    let source = create_database(&new, "source", "").await;
    let sql = "CREATE TABLE public.t (i int PRIMARY KEY); INSERT INTO public.t VALUES (1), (2)";
    source.connect("test").await.unwrap().batch_execute(sql).await.unwrap();
    let dump = Dump::of(18, &source, "UTF8").await;
    let restored = target(&create_database(&old, "restored", "").await).await;
    let messages = dump.restore(&restored).await;
    assert_eq!(fatal(&messages), Vec::<&_>::new());
    assert!(count(&messages, Classification::VersionDifference) > 0, "{messages:?}");
    assert!(restored.facts().await.unwrap().client_version.starts_with("18"));
}

#[tokio::test]
async fn a_role_without_superuser_restores_what_it_may_and_is_told_the_rest() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let source = create_database(&cluster, "source", "").await;
        let session = source.connect("test").await.unwrap();
        session
            .batch_execute(
                "CREATE ROLE bob; CREATE ROLE restorer LOGIN CREATEDB;
                 CREATE TABLE public.t (i int PRIMARY KEY); INSERT INTO public.t VALUES (1); ALTER TABLE public.t OWNER TO bob;
                 CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
                 CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION public.e();
                 CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
                 CREATE FOREIGN TABLE public.ft (i int) SERVER s; COMMENT ON FOREIGN TABLE public.ft IS 'x';
                 CREATE PUBLICATION p FOR ALL TABLES; COMMENT ON EXTENSION plpgsql IS 'changed';
                 CREATE FUNCTION public.leakproof(int) RETURNS int LANGUAGE internal IMMUTABLE LEAKPROOF AS 'int4um'",
            )
            .await
            .unwrap();
        let dump = Dump::of(major, &source, "UTF8").await;
        let restored = create_database(&cluster, "restored", "OWNER restorer").await;
        let as_restorer = lifeboat_postgres::ConnectionTarget::local(
            restored.host(),
            restored.port(),
            "restorer",
            None,
            restored.database(),
        );
        let restored = target(&as_restorer).await;
        assert!(!restored.facts().await.unwrap().superuser);
        let messages = dump.restore(&restored).await;
        assert_eq!(fatal(&messages), Vec::<&_>::new(), "PostgreSQL {major}");
        assert!(count(&messages, Classification::Ownership) >= 2, "{messages:#?}");
        assert!(count(&messages, Classification::ClusterPrivilege) >= 8, "{messages:#?}");
    }
}

#[tokio::test]
async fn what_is_there_already_and_what_is_missing_is_fatal() {
    let cluster = cluster(15).await;
    let source = create_database(&cluster, "source", "").await;
    let sql = "CREATE ROLE gone; CREATE TABLE public.t (i int); ALTER TABLE public.t OWNER TO gone";
    let session = source.connect("test").await.unwrap();
    session.batch_execute(sql).await.unwrap();
    let dump = Dump::of(15, &source, "UTF8").await;
    session.batch_execute("ALTER TABLE public.t OWNER TO postgres; DROP ROLE gone").await.unwrap();
    let context = lifeboat_testkit::context().build();
    let again = target(&source).await;
    dump.stage(&again).await;
    let messages = again.pg_restore(&step(dump.ids(Section::PreData), 1), &context).await.unwrap();
    assert_eq!(count(&messages, Classification::Data), 1, "{messages:?}");
    assert_eq!(count(&messages, Classification::MissingDependency), 1, "{messages:?}");
    // With --clean the table is replaced, without owners nobody is missed.
    let mut clean = step(dump.ids(Section::PreData), 1);
    (clean.clean, clean.no_owner) = (true, true);
    let messages = again.pg_restore(&clean, &context).await.unwrap();
    assert_eq!(fatal(&messages), Vec::<&_>::new());
}

#[tokio::test]
async fn a_database_that_is_not_there_is_an_error_not_a_message() {
    let cluster = cluster(15).await;
    let source = create_database(&cluster, "source", "").await;
    source.connect("test").await.unwrap().batch_execute("CREATE TABLE public.t (i int)").await.unwrap();
    let dump = Dump::of(15, &source, "UTF8").await;
    let gone = target(&source).await;
    dump.stage(&gone).await;
    let session = cluster.target("postgres").connect("test").await.unwrap();
    session.batch_execute("DROP DATABASE source WITH (FORCE)").await.unwrap();
    let context = lifeboat_testkit::context().build();
    let error = gone.pg_restore(&step(dump.ids(Section::PreData), 1), &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
}

#[tokio::test]
async fn a_cancelled_step_ends_pg_restore_and_its_sessions() {
    let cluster = cluster(15).await;
    let source = create_database(&cluster, "source", "").await;
    let session = source.connect("test").await.unwrap();
    session.batch_execute("CREATE TABLE public.t (i int); CREATE INDEX x ON public.t (i)").await.unwrap();
    let dump = Dump::of(15, &source, "UTF8").await;
    session.batch_execute("DROP INDEX public.x; BEGIN; LOCK TABLE public.t").await.unwrap();
    let (canceller, switch) = cancel::pair();
    let context = lifeboat_testkit::context().cancel(switch).build();
    let blocked = target(&source).await;
    dump.stage(&blocked).await;
    let post_data = step(dump.ids(Section::PostData), 2);
    let running = tokio::spawn(async move { blocked.pg_restore(&post_data, &context).await });
    let watching = cluster.target("postgres").connect("test").await.unwrap();
    let sessions = || async {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'lifeboat%' AND query LIKE 'CREATE INDEX%'";
        watching.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    let until = Instant::now() + Duration::from_secs(30);
    while sessions().await == 0 {
        assert!(Instant::now() < until && !running.is_finished());
    }
    canceller.cancel(ErrorKind::Interrupted);
    assert_eq!(running.await.unwrap().unwrap_err().kind(), ErrorKind::Interrupted);
    while sessions().await > 0 {
        assert!(Instant::now() < until, "a session of pg_restore goes on");
    }
}

#[tokio::test]
async fn several_jobs_begin_with_the_indexes_of_the_biggest_tables() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let source = create_database(&cluster, "source", "").await;
        // pg_dump puts them in order by name: of all the same size, the biggest tables' would be made last.
        let sql = "DO $$ DECLARE name text; BEGIN FOREACH name IN ARRAY '{a, b, c, y, z}'::text[] LOOP
                     EXECUTE format('CREATE TABLE public.%s (i int)', name);
                     EXECUTE format('CREATE INDEX of_%1$s ON public.%1$s (i)', name);
                   END LOOP; END $$;
                   INSERT INTO public.a VALUES (1); INSERT INTO public.c VALUES (1), (2);
                   INSERT INTO public.y SELECT generate_series(1, 1000);
                   INSERT INTO public.z SELECT generate_series(1, 50000)";
        source.connect("test").await.unwrap().batch_execute(sql).await.unwrap();
        let dump = Dump::of(major, &source, "UTF8").await;
        let database = create_database(&cluster, "restored", "").await;
        let restored = target(&database).await;
        dump.stage(&restored).await;
        let context = lifeboat_testkit::context().build();
        restored.pg_restore(&step(dump.ids(Section::PreData), 1), &context).await.unwrap();
        // Every index has to wait for this lock: what both jobs began with can be looked at.
        let session = database.connect("test").await.unwrap();
        session
            .batch_execute("BEGIN; LOCK TABLE public.a, public.b, public.c, public.y, public.z IN ROW EXCLUSIVE MODE")
            .await
            .unwrap();
        let post_data = step(dump.ids(Section::PostData), 2);
        let running = tokio::spawn(async move { restored.pg_restore(&post_data, &context).await });
        let watching = cluster.target("postgres").connect("test").await.unwrap();
        let waiting = "SELECT coalesce(array_agg(substring(query FROM 'CREATE INDEX (\\w+)') ORDER BY query), '{}')
                       FROM pg_stat_activity WHERE application_name LIKE 'lifeboat%' AND wait_event_type = 'Lock'";
        let until = Instant::now() + Duration::from_secs(30);
        let begun = loop {
            let begun: Vec<String> = watching.query_one(waiting, &[]).await.unwrap().get(0);
            if begun.len() == 2 {
                break begun;
            }
            assert!(Instant::now() < until && !running.is_finished(), "only {begun:?} was begun");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(begun, ["of_y", "of_z"], "PostgreSQL {major}");
        session.batch_execute("COMMIT").await.unwrap();
        assert_eq!(fatal(&running.await.unwrap().unwrap()), Vec::<&_>::new());
    }
}

#[tokio::test]
async fn indexes_are_made_by_several_jobs_and_attached_by_one() {
    let cluster = cluster(15).await;
    let source = create_database(&cluster, "source", "").await;
    // Two tables, because stock pg_restore itself attaches indexes of one table one after the other.
    let sql = "DO $$ BEGIN FOR p IN 1..2 LOOP
                 EXECUTE format('CREATE TABLE public.p%s (i int PRIMARY KEY, a int, b int) PARTITION BY RANGE (i)', p);
                 FOR n IN 1..12 LOOP EXECUTE format(
                   'CREATE TABLE public.p%1$s_%2$s PARTITION OF public.p%1$s FOR VALUES FROM (%2$s) TO (%3$s)', p, n, n + 1);
                 END LOOP;
                 EXECUTE format('CREATE INDEX ON public.p%s (a)', p); EXECUTE format('CREATE INDEX ON public.p%s (b)', p);
               END LOOP; END $$;
               CREATE TABLE public.refers (i int REFERENCES public.p1); INSERT INTO public.p1 SELECT 1, 2, 3;";
    source.connect("test").await.unwrap().batch_execute(sql).await.unwrap();
    let dump = Dump::of(15, &source, "UTF8").await;
    let database = create_database(&cluster, "restored", "").await;
    let session = database.connect("test").await.unwrap();
    // Notes which session ran which command.
    let watch = "CREATE SCHEMA watch; CREATE TABLE watch.ran (tag text, pid int);
                 CREATE FUNCTION watch.note() RETURNS event_trigger LANGUAGE plpgsql AS
                   'BEGIN INSERT INTO watch.ran VALUES (tg_tag, pg_catalog.pg_backend_pid()); END';
                 CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watch.note()";
    session.batch_execute(watch).await.unwrap();
    let messages = dump.restore(&target(&database).await).await;
    assert_eq!(fatal(&messages), Vec::<&_>::new());
    let ran = "SELECT count(*), count(DISTINCT pid) FROM watch.ran WHERE tag = $1";
    let attached = session.query_one(ran, &[&"ALTER INDEX"]).await.unwrap();
    assert_eq!((attached.get::<_, i64>(0), attached.get::<_, i64>(1)), (72, 1));
    let made = session.query_one(ran, &[&"CREATE INDEX"]).await.unwrap();
    assert!(made.get::<_, i64>(1) > 1, "one job made them all");
    let invalid = session.query("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid", &[]);
    assert!(invalid.await.unwrap().is_empty(), "an index is not valid");
}
