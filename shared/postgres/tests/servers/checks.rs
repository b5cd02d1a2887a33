//! The checks of a drill: assertions, orphans, sequences, emptiness. Each can fail.

use lifeboat_core::{ErrorKind, ports::Target};

use crate::setting::{MAJORS, cluster, create_database, target};

#[tokio::test]
async fn an_assertion_is_one_boolean_and_changes_nothing() {
    let cluster = cluster(18).await;
    let connection = create_database(&cluster, "d", "").await;
    let session = connection.connect("test").await.unwrap();
    session
        .batch_execute("CREATE TABLE public.users (i int); INSERT INTO public.users VALUES (1); CREATE VIEW public.v AS SELECT * FROM public.users")
        .await
        .unwrap();
    let target = target(&connection).await;
    assert!(target.assert("SELECT count(*) > 0 FROM users").await.unwrap());
    assert!(target.assert("SELECT count(*) = 1 FROM v").await.unwrap());
    assert!(!target.assert("SELECT count(*) > 1 FROM users").await.unwrap());
    assert!(!target.assert("SELECT NULL::bool").await.unwrap());
    for odd in ["SELECT 1", "SELECT true, true", "SELECT true FROM generate_series(1, 2)", "SELECT true WHERE false"] {
        assert_eq!(target.assert(odd).await.unwrap_err().kind(), ErrorKind::Config, "{odd}");
    }
    for bad in [
        "DELETE FROM users RETURNING true",
        "COMMIT; DROP TABLE users",
        "SELECT * FROM gone",
        "SELECT lo_create(5) > 0",
    ] {
        assert_eq!(target.assert(bad).await.unwrap_err().kind(), ErrorKind::Database, "{bad}");
    }
    assert!(target.assert("SELECT count(*) = 1 FROM users").await.unwrap());
}

#[tokio::test]
async fn orphans_are_found_in_every_kind_of_foreign_key() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let connection = create_database(&cluster, "d", "").await;
        let session = connection.connect("test").await.unwrap();
        session
            .batch_execute(
                "SET search_path = public;
                 CREATE TABLE p (a int, b bigint, t varchar, PRIMARY KEY (a, b), UNIQUE (t)); INSERT INTO p VALUES (1, 1, 'x');
                 CREATE TABLE simple (a int, b int, FOREIGN KEY (a, b) REFERENCES p);
                 CREATE TABLE full_match (a int, b int, CONSTRAINT k FOREIGN KEY (a, b) REFERENCES p MATCH FULL);
                 CREATE TABLE \"Te\"\"xt\" (t text COLLATE \"C\" REFERENCES p (t));
                 CREATE TABLE tree (i int PRIMARY KEY, up int REFERENCES tree); INSERT INTO tree VALUES (1, NULL), (2, 1);
                 CREATE TABLE root (i int PRIMARY KEY, p int) PARTITION BY HASH (i);
                 CREATE TABLE r0 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 0);
                 CREATE TABLE r1 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 1);
                 ALTER TABLE root ADD CONSTRAINT up FOREIGN KEY (p) REFERENCES root;
                 INSERT INTO root SELECT g, nullif(g - 1, 0) FROM generate_series(1, 10) g;
                 CREATE TABLE later (a int); INSERT INTO later VALUES (9);
                 ALTER TABLE later ADD CONSTRAINT never_checked FOREIGN KEY (a) REFERENCES tree NOT VALID",
            )
            .await
            .unwrap();
        let target = target(&connection).await;
        assert_eq!(target.orphans().await.unwrap(), []);
        session
            .batch_execute(
                "SET session_replication_role = replica;
                 INSERT INTO simple VALUES (1, 1), (1, NULL), (1, 2), (2, 1);
                 INSERT INTO full_match VALUES (1, 1), (NULL, NULL), (1, NULL), (3, 3);
                 INSERT INTO \"Te\"\"xt\" VALUES ('x'), ('y'), (NULL);
                 INSERT INTO tree VALUES (3, 99); DELETE FROM root WHERE i = 5",
            )
            .await
            .unwrap();
        let expected = [
            ("public.Te\"xt.Te\"xt_t_fkey", 1),
            ("public.full_match.k", 2),
            ("public.root.up", 1),
            ("public.simple.simple_a_b_fkey", 2),
            ("public.tree.tree_up_fkey", 1),
        ];
        assert_eq!(target.orphans().await.unwrap(), expected.map(|(name, n)| (name.to_owned(), n)));
    }
}

#[tokio::test]
async fn a_temporal_foreign_key_is_covered_by_all_its_periods_together() {
    let cluster = cluster(18).await;
    let connection = create_database(&cluster, "d", "").await;
    let session = connection.connect("test").await.unwrap();
    let made = session
        .batch_execute(
            "SET search_path = public;
             CREATE TABLE p (i int4range, r int4range, PRIMARY KEY (i, r WITHOUT OVERLAPS)); INSERT INTO p VALUES ('[1,1]', '[1,5)'), ('[1,1]', '[5,9)');
             CREATE TABLE c (i int4range, r int4range, CONSTRAINT k FOREIGN KEY (i, PERIOD r) REFERENCES p (i, PERIOD r));
             INSERT INTO c VALUES ('[1,1]', '[2,8)')",
        )
        .await;
    made.unwrap();
    let target = target(&connection).await;
    assert_eq!(target.orphans().await.unwrap(), []);
    session
        .batch_execute(
            "SET session_replication_role = replica; INSERT INTO c VALUES ('[1,1]', '[2,12)'), ('[2,2]', '[1,2)')",
        )
        .await
        .unwrap();
    assert_eq!(target.orphans().await.unwrap(), [("public.c.k".to_owned(), 2)]);
}

#[tokio::test]
async fn sequences_behind_their_columns_are_found() {
    let cluster = cluster(15).await;
    let connection = create_database(&cluster, "d", "").await;
    let session = connection.connect("test").await.unwrap();
    session
        .batch_execute(
            "SET search_path = public;
             CREATE TABLE s (\"I d\" serial); CREATE TABLE a (i int GENERATED ALWAYS AS IDENTITY);
             CREATE SEQUENCE down INCREMENT -1; CREATE TABLE d (i bigint DEFAULT nextval('down'));
             CREATE SEQUENCE free; CREATE TABLE f (i int DEFAULT nextval('free')); CREATE TABLE empty (i serial);
             INSERT INTO s DEFAULT VALUES; INSERT INTO a DEFAULT VALUES; INSERT INTO d DEFAULT VALUES; INSERT INTO f DEFAULT VALUES",
        )
        .await
        .unwrap();
    let target = target(&connection).await;
    assert_eq!(target.sequences_behind().await.unwrap(), []);
    session
        .batch_execute(
            "INSERT INTO s VALUES (7); INSERT INTO a OVERRIDING SYSTEM VALUE VALUES (5); INSERT INTO d VALUES (-3); SELECT setval('free', 1, false)",
        )
        .await
        .unwrap();
    let expected =
        [("public.a_i_seq", 1, 5), ("public.down", -1, -3), ("public.free", 1, 1), ("public.s_I d_seq", 1, 7)];
    let expected: Vec<_> = expected.map(|(name, last, most)| (name.to_owned(), last, most)).into();
    assert_eq!(target.sequences_behind().await.unwrap(), expected);
}

#[tokio::test]
async fn a_target_is_empty_only_if_nothing_of_a_users_is_in_it() {
    let cluster = cluster(15).await;
    for (number, (sql, seen)) in [
        ("CREATE TABLE public.t (i int)", "table public.t"),
        ("CREATE VIEW public.v AS SELECT 1", "view public.v"),
        ("CREATE SEQUENCE public.s", "sequence public.s"),
        ("CREATE TYPE public.c AS (i int)", "type public.c"),
        ("CREATE TYPE public.e AS ENUM ('a')", "type public.e"),
        ("CREATE DOMAIN public.d AS int", "type public.d"),
        ("CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.f"),
        ("CREATE SCHEMA s", "schema s"),
        ("SELECT lo_create(4711)", "large objects: 1"),
        ("CREATE PUBLICATION p", "publication p"),
        ("CREATE EXTENSION hstore SCHEMA public", "extension hstore"),
        ("CREATE FOREIGN DATA WRAPPER w", "foreign data wrapper w"),
        ("CREATE CAST (bigint AS date) WITHOUT FUNCTION", "cast to date"),
        ("CREATE COLLATION public.c (locale = 'C')", "collation public.c"),
        ("CREATE TEXT SEARCH CONFIGURATION public.t (COPY = simple)", "text search configuration public.t"),
    ]
    .into_iter()
    .enumerate()
    {
        let connection = create_database(&cluster, &format!("d{number}"), "").await;
        let target = target(&connection).await;
        assert_eq!(target.facts().await.unwrap().contents, Vec::<String>::new());
        let session = connection.connect("test").await.unwrap();
        if let Err(error) = session.batch_execute(sql).await {
            // A cast between types of different size is refused; then there is another.
            assert!(sql.contains("CAST"), "{sql}: {error}");
            session.batch_execute("CREATE CAST (int4 AS date) WITHOUT FUNCTION").await.unwrap();
        }
        assert_eq!(target.facts().await.unwrap().contents, [seen], "{sql}");
    }
}
