//! Each statement on a real server, and what comes of it.

use lifeboat_core::maintenance::{Operation, Outcome};

use super::{bloated, facts, index, maintain, only, request, run_sql, session, table, text};
use crate::setting::MAJORS;

#[tokio::test]
async fn vacuum_and_analyze_do_what_is_due_and_nothing_else() {
    for major in MAJORS {
        let (_cluster, connection) = bloated(major).await;
        run_sql(
            &connection,
            "CREATE TABLE public.fresh (i int); INSERT INTO public.fresh VALUES (1); ANALYZE public.fresh",
        )
        .await;
        let outcome = maintain(&connection, request(&[Operation::Vacuum, Operation::Analyze])).await;
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
        let report = &outcome.report;
        let told: Vec<_> = report.statements.iter().map(|s| (s.statement.as_str(), s.outcome)).collect();
        assert_eq!(
            told,
            [
                ("VACUUM (SKIP_LOCKED, TRUNCATE true, PARALLEL 0, INDEX_CLEANUP AUTO) \"public\".\"t\"", Outcome::Done),
                ("ANALYZE (SKIP_LOCKED) \"public\".\"t\"", Outcome::Done)
            ]
        );
        let line = &report.tables.iter().find(|t| t.before.name.name == "t").unwrap();
        assert_eq!((line.before.dead_tuples, line.after.unwrap().dead_tuples), (180_000, 0));
        assert_eq!(report.overview.after.unwrap().dead_tuples, 0);
        // Nothing is left to be done.
        let again = maintain(&connection, request(&[Operation::Vacuum, Operation::Analyze])).await;
        assert_eq!(again.report.statements, [], "{major}");
    }
}

#[tokio::test]
async fn a_bloated_index_is_built_anew_and_a_bloated_table_by_name_only() {
    for major in MAJORS {
        let (_cluster, connection) = bloated(major).await;
        run_sql(&connection, "VACUUM (ANALYZE) public.t").await;
        let outcome = maintain(&connection, request(&[Operation::Reindex])).await;
        let told: Vec<_> = outcome.report.statements.iter().map(|s| (s.object.name.as_str(), s.outcome)).collect();
        assert_eq!(told, [("t_v", Outcome::Done), ("t_pkey", Outcome::Done)], "{:#?}", outcome.report.statements);
        for line in &outcome.report.statements {
            let (before, after) = (line.before.unwrap().bytes, line.after.unwrap().bytes);
            assert!(after * 5 < before, "{}: {before} to {after}", line.statement);
        }
        assert!(outcome.report.reclaimed_bytes() > 5 << 20);
        let now = facts(&connection).await;
        assert!(index(&now, "t_v").bloat.unwrap().percent < 30 && index(&now, "t_v").valid);
        assert_eq!(maintain(&connection, request(&[Operation::Reindex])).await.report.statements, []);

        // The table is only recommended, with the statement; asked for by name it is written anew.
        let advice = outcome.report.recommendations.iter().find(|r| r.code == "bloated_table").unwrap();
        assert_eq!(advice.statements, ["VACUUM (FULL) \"public\".\"t\";"]);
        let mut full = request(&[Operation::Full]);
        full.tables = vec!["public.t".parse().unwrap()];
        let outcome = maintain(&connection, full).await;
        let line = only(&outcome);
        assert_eq!(line.outcome, Outcome::Done, "{line:#?}");
        assert!(line.after.unwrap().bytes * 5 < line.before.unwrap().bytes, "{line:#?}");
        assert_eq!(table(&facts(&connection).await, "t").live_tuples, 20_000);
    }
}

#[tokio::test]
async fn partitions_are_kept_each_and_their_root_analyzed() {
    for major in MAJORS {
        let (_cluster, connection) = bloated(major).await;
        run_sql(
            &connection,
            "DROP TABLE public.t; SET search_path = public;
             CREATE TABLE \"Ro\"\"ot\" (i int, v text) PARTITION BY HASH (i);
             CREATE TABLE p0 PARTITION OF \"Ro\"\"ot\" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE p1 PARTITION OF \"Ro\"\"ot\" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
             CREATE INDEX root_v ON \"Ro\"\"ot\" (v);
             INSERT INTO \"Ro\"\"ot\" SELECT g, md5(g::text) FROM generate_series(1, 50000) g;
             DELETE FROM \"Ro\"\"ot\" WHERE i % 5 <> 0",
        )
        .await;
        let mut all = request(&[Operation::Vacuum, Operation::Analyze, Operation::Reindex]);
        all.tables = vec!["\"Ro\"\"ot\"".parse().unwrap()];
        let outcome = maintain(&connection, all).await;
        assert!(
            outcome.report.statements.iter().all(|s| s.outcome == Outcome::Done),
            "{:#?}",
            outcome.report.statements
        );
        let count = |word: &str| outcome.report.statements.iter().filter(|s| s.statement.starts_with(word)).count();
        assert_eq!((count("VACUUM"), count("REINDEX")), (2, 2));
        // From 18 on the root is analyzed alone; before, its ANALYZE reaches its partitions.
        assert_eq!(count("ANALYZE (SKIP_LOCKED) ONLY"), usize::from(major >= 18));
        assert_eq!(count("ANALYZE"), if major >= 18 { 3 } else { 1 });
        let analyzed = text(
            &connection,
            "SELECT count(*)::text FROM pg_stats WHERE tablename IN ('Ro\"ot', 'p0', 'p1') AND attname = 'i'",
        )
        .await;
        assert_eq!(analyzed, "3");
    }
}

#[tokio::test]
async fn leftovers_are_dropped_and_other_invalid_indexes_built_anew() {
    for major in MAJORS {
        let (_cluster, connection) = bloated(major).await;
        let session = session(&connection).await;
        // As REINDEX and CREATE INDEX CONCURRENTLY leave them when they fail.
        session
            .batch_execute(
                "SET search_path = public; CREATE INDEX t_v_ccnew ON t (v); CREATE INDEX failed ON t (v, id);
                 CREATE INDEX lonely_ccnew ON t (id, v);
                 UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('t_v_ccnew'::regclass, 'failed'::regclass, 'lonely_ccnew'::regclass)",
            )
            .await
            .unwrap();
        let mut wanted = request(&[Operation::Reindex]);
        wanted.thresholds.bloat_percent = 100;
        let outcome = maintain(&connection, wanted.clone()).await;
        let mut told: Vec<_> = outcome.report.statements.iter().map(|s| s.statement.as_str()).collect();
        assert_eq!(told.remove(0), "DROP INDEX CONCURRENTLY IF EXISTS \"public\".\"t_v_ccnew\"");
        told.sort_unstable();
        assert_eq!(
            told,
            [
                "REINDEX INDEX CONCURRENTLY \"public\".\"failed\"",
                "REINDEX INDEX CONCURRENTLY \"public\".\"lonely_ccnew\""
            ]
        );
        assert!(
            outcome.report.statements.iter().all(|s| s.outcome == Outcome::Done),
            "{:#?}",
            outcome.report.statements
        );
        let left =
            "SELECT count(*)::text FROM pg_index WHERE NOT indisvalid OR indexrelid = to_regclass('public.t_v_ccnew')";
        assert_eq!(text(&connection, left).await, "0");

        // Without REINDEX among the operations they are told, with the statement.
        session
            .batch_execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'failed'::regclass")
            .await
            .unwrap();
        let told = maintain(&connection, request(&[])).await.report;
        let advice = told.recommendations.iter().find(|r| r.code == "invalid_index").unwrap();
        assert_eq!(advice.statements, ["REINDEX INDEX CONCURRENTLY \"public\".\"failed\";"]);
    }
}

#[tokio::test]
async fn a_statement_that_the_server_refuses_is_told_and_the_others_are_done() {
    let (_cluster, connection) = bloated(18).await;
    let session = session(&connection).await;
    // A unique index that failed because its values are not unique fails again, and must leave nothing behind.
    session
        .batch_execute("CREATE TABLE public.u (i int, j int); INSERT INTO public.u VALUES (1, 1), (1, 2); CREATE INDEX u_j ON public.u (j)")
        .await
        .unwrap();
    session.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY u_i ON public.u (i)").await.unwrap_err();
    let outcome = maintain(&connection, request(&[Operation::Vacuum, Operation::Reindex])).await;
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.kind(), lifeboat_core::ErrorKind::Database);
    assert!(failure.to_string().contains("1 of ") && failure.to_string().contains("u_i"), "{failure}");
    let failed = outcome.report.statements.iter().find(|s| s.outcome == Outcome::Failed).unwrap();
    assert!(failed.detail.as_deref().unwrap().contains("could not create unique index"), "{failed:#?}");
    assert_eq!(outcome.report.count(Outcome::Failed), 1);
    assert_eq!(outcome.report.count(Outcome::Done), 1, "{:#?}", outcome.report.statements);
    let left =
        text(&connection, "SELECT string_agg(indexrelid::regclass::text, ', ') FROM pg_index WHERE NOT indisvalid")
            .await;
    assert_eq!(left, "public.u_i");
}
