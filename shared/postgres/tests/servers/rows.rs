//! Rows in and out: committed whole or not at all, with the error that caused it.

use lifeboat_core::{
    Error, ErrorKind,
    ports::{LoadStatement, Target, TargetWorker},
};
use lifeboat_postgres::{ConnectionTarget, cluster::ThrowawayCluster, session::Session};

use crate::setting::{Blocks, cluster, create_database, target};

fn statement(copy_stmt: &str) -> LoadStatement {
    LoadStatement {
        copy_stmt: copy_stmt.as_bytes().to_vec(),
        encoding: "UTF8".to_owned(),
        lc_monetary: "C".to_owned(),
        disable_triggers: false,
    }
}

struct Setting {
    cluster: ThrowawayCluster,
    connection: ConnectionTarget,
    session: Session,
    worker: Box<dyn TargetWorker>,
}

async fn setting(sql: &str) -> Setting {
    let cluster = cluster(15).await;
    let connection = create_database(&cluster, "d", "").await;
    let session = connection.connect("test").await.unwrap();
    session.batch_execute(sql).await.unwrap();
    let worker = target(&connection).await.worker(None).await.unwrap();
    Setting { cluster, connection, session, worker }
}

impl Setting {
    async fn count(&self, table: &str) -> i64 {
        self.session.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<u8> {
    range.flat_map(|n| format!("{n}\n").into_bytes()).collect()
}

#[tokio::test]
async fn a_source_that_fails_commits_nothing_and_its_error_comes_back() {
    let mut s = setting("CREATE TABLE public.t (i int)").await;
    let copy = statement("COPY public.t (i) FROM stdin;\n");
    let failure = Error::new(ErrorKind::Corrupt, "the chunk's hash is wrong");
    let error = s.worker.copy_in(&copy, &mut Blocks::then_fail(&numbers(0..100_000), failure), None).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Corrupt, "the chunk's hash is wrong"));
    assert_eq!(s.count("public.t").await, 0);
    // The session goes on.
    assert_eq!(s.worker.copy_in(&copy, &mut Blocks::of(&numbers(0..50_000)), None).await.unwrap(), 50_000);
    assert_eq!(s.count("public.t").await, 50_000);
}

#[tokio::test]
async fn rows_that_the_server_refuses_are_told_with_its_reason() {
    let mut s = setting("CREATE TABLE public.t (i int PRIMARY KEY)").await;
    let copy = statement("COPY public.t (i) FROM stdin;\n");
    for (rows, state) in [(b"1\n1\n".as_slice(), "23505"), (b"x\n", "22P02"), (b"\\N\n", "23502")] {
        let error = s.worker.copy_in(&copy, &mut Blocks::of(rows), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.to_string().contains(state), "{error}");
    }
    assert_eq!(s.count("public.t").await, 0);
    let missing = statement("COPY public.gone (i) FROM stdin;\n");
    let error = s.worker.copy_in(&missing, &mut Blocks::of(b""), None).await.unwrap_err();
    assert!(error.to_string().contains("42P01"), "{error}");
}

#[tokio::test]
async fn triggers_act_unless_they_are_disabled_for_the_load() {
    let mut s = setting(
        "CREATE TABLE public.t (i int); CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER g BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()",
    )
    .await;
    let mut copy = statement("COPY public.t (i) FROM stdin;\n");
    assert_eq!(s.worker.copy_in(&copy, &mut Blocks::of(b"1\n"), None).await.unwrap(), 0);
    copy.disable_triggers = true;
    assert_eq!(s.worker.copy_in(&copy, &mut Blocks::of(b"1\n2\n"), None).await.unwrap(), 2);
    copy.disable_triggers = false;
    assert_eq!(s.worker.copy_in(&copy, &mut Blocks::of(b"3\n"), None).await.unwrap(), 0);
}

#[tokio::test]
async fn a_worker_acts_as_the_role_that_it_is_given_in_all_it_does() {
    let s = setting(
        "CREATE ROLE \"the owner\"; CREATE ROLE agent LOGIN NOINHERIT PASSWORD 'pw' IN ROLE \"the owner\";
         GRANT CREATE, USAGE ON SCHEMA public TO \"the owner\"; SET ROLE \"the owner\"; CREATE TABLE public.t (i int);
         SELECT lo_from_bytea(77, ''); RESET ROLE",
    )
    .await;
    let password = Some("pw".to_owned().into());
    let agent = ConnectionTarget::local("127.0.0.1", s.cluster.port(), "agent", password, "d");
    let (target, copy) = (target(&agent).await, statement("COPY public.t (i) FROM stdin;\n"));
    let mut alone = target.worker(None).await.unwrap();
    let error = alone.copy_in(&copy, &mut Blocks::of(b"1\n"), None).await.unwrap_err();
    assert!(error.to_string().contains("42501"), "{error}");

    let mut worker = target.worker(Some("the owner")).await.unwrap();
    assert_eq!(worker.copy_in(&copy, &mut Blocks::of(b"1\n2\n"), None).await.unwrap(), 2);
    assert_eq!(worker.checksum(&copy, false).await.unwrap().rows, 2);
    assert_eq!(worker.load_large_object(77, &mut Blocks::of(b"content"), None).await.unwrap(), 7);
    assert_eq!(worker.large_object_digest(77).await.unwrap().unwrap().0, 7);
    let analyzed = "SELECT count(*) FROM pg_stats WHERE tablename = 't'";
    target.analyze(2, None).await.unwrap();
    assert_eq!(s.session.query_one(analyzed, &[]).await.unwrap().get::<_, i64>(0), 0);
    target.analyze(2, Some("the owner")).await.unwrap();
    assert_eq!(s.session.query_one(analyzed, &[]).await.unwrap().get::<_, i64>(0), 1);

    let error = target.worker(Some("nobody")).await.err().unwrap();
    assert!(error.to_string().contains("act as role 'nobody'"), "{error}");
}

#[tokio::test]
async fn triggers_are_disabled_by_the_role_that_logged_in_and_the_rows_loaded_by_the_other() {
    let s = setting(
        "CREATE ROLE owner; CREATE TABLE public.t (i int, loader text DEFAULT current_user); ALTER TABLE public.t OWNER TO owner;
         CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER g BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()",
    )
    .await;
    let mut worker = target(&s.connection).await.worker(Some("owner")).await.unwrap();
    let mut copy = statement("COPY public.t (i) FROM stdin;\n");
    copy.disable_triggers = true;
    assert_eq!(worker.copy_in(&copy, &mut Blocks::of(b"1\n"), None).await.unwrap(), 1);
    let loader = s.session.query_one("SELECT loader FROM public.t", &[]).await.unwrap();
    assert_eq!(loader.get::<_, &str>(0), "owner");
    copy.disable_triggers = false;
    assert_eq!(worker.copy_in(&copy, &mut Blocks::of(b"2\n"), None).await.unwrap(), 0);
}

#[tokio::test]
async fn checksums_do_not_depend_on_partitions_order_of_columns_or_settings_of_the_database() {
    let mut s = setting(
        "CREATE TABLE public.plain (a int, \"B\" text, c timestamptz, d bytea, g int GENERATED ALWAYS AS (a + 1) STORED);
         INSERT INTO public.plain SELECT n, 'x' || n, timestamptz '2026-01-01 12:00+00' + n * interval '1 hour', '\\x00ff' FROM generate_series(1, 100) n;
         CREATE TABLE public.root (c timestamptz, a int, d bytea, \"B\" text) PARTITION BY HASH (a);
         CREATE TABLE public.r0 PARTITION OF public.root FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE public.r1 PARTITION OF public.root FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO public.root SELECT c, a, d, \"B\" FROM public.plain;
         ALTER DATABASE d SET TimeZone = 'Asia/Tokyo'; ALTER DATABASE d SET bytea_output = 'escape'; ALTER DATABASE d SET DateStyle = 'German'",
    )
    .await;
    let plain = statement("COPY public.plain (a, \"B\", c, d) FROM stdin;\n");
    let root = statement("COPY public.root (c, a, d, \"B\") FROM stdin;\n");
    let before = s.worker.checksum(&plain, true).await.unwrap();
    assert_eq!(before.rows, 100);
    assert_eq!(s.worker.checksum(&root, true).await.unwrap(), before);
    assert_ne!(s.worker.checksum(&root, false).await.unwrap(), s.worker.checksum(&plain, false).await.unwrap());
    // A session that begins under the database's own settings.
    let mut late = target(&s.connection).await.worker(None).await.unwrap();
    assert_eq!(late.checksum(&plain, true).await.unwrap(), before);
    s.session.batch_execute("UPDATE public.plain SET \"B\" = 'y' WHERE a = 7").await.unwrap();
    assert_ne!(late.checksum(&plain, true).await.unwrap(), before);
}

#[tokio::test]
async fn a_large_object_is_filled_whole_or_not_at_all() {
    let mut s = setting("SELECT lo_from_bytea(77, 'what was there before, and longer')").await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let failure = Error::new(ErrorKind::Store, "gone");
    let error = s.worker.load_large_object(77, &mut Blocks::then_fail(&content, failure), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert_eq!(s.worker.large_object_digest(77).await.unwrap().unwrap().0, 33);
    for content in [content.as_slice(), b"short", b""] {
        let bytes = s.worker.load_large_object(77, &mut Blocks::of(content), None).await.unwrap();
        assert_eq!(bytes, content.len() as u64);
        let expected = (bytes, lifeboat_core::manifest::sha256_hex(content));
        assert_eq!(s.worker.large_object_digest(77).await.unwrap(), Some(expected));
    }
    assert!(s.worker.load_large_object(78, &mut Blocks::of(b"x"), None).await.is_err());
}

#[tokio::test]
async fn a_money_locale_that_is_missing_matters_only_where_there_is_money() {
    let mut s = setting("CREATE TABLE public.t (i int)").await;
    let mut copy = statement("COPY public.t (i) FROM stdin;\n");
    copy.lc_monetary = "xx_XX.nowhere".to_owned();
    assert_eq!(s.worker.copy_in(&copy, &mut Blocks::of(b"1\n"), None).await.unwrap(), 1);
    s.session.batch_execute("CREATE TABLE public.m (m money)").await.unwrap();
    let error = s.worker.copy_in(&copy, &mut Blocks::of(b"1\n"), None).await.unwrap_err();
    assert!(error.to_string().contains("xx_XX.nowhere"), "{error}");
}
