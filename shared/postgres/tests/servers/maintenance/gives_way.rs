//! The application comes first: locks are not waited for, nobody waits for ours, and nothing half-built is left.

use std::time::{Duration, Instant};

use lifeboat_core::{
    ErrorKind,
    cancel::{self, Cancel},
    maintenance::{Limits, Operation, Outcome, execute, prepare},
};
use lifeboat_postgres::ConnectionTarget;

use super::{bloated, context, maintain, maintain_until, only, ports, request, run_sql, session, skipped, text};
use crate::setting::MAJORS;

const INVALID: &str = "SELECT count(*)::text FROM pg_index WHERE NOT indisvalid";

/// Waits until a statement of maintenance is under way.
async fn under_way(connection: &ConnectionTarget, statement: &str) {
    let session = session(connection).await;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lifeboat maintenance' AND state = 'active' AND query LIKE $1 || '%'";
    for _ in 0..3000 {
        if session.query_one(sql, &[&statement]).await.unwrap().get::<_, i64>(0) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{statement} did not begin");
}

#[tokio::test]
async fn whoever_holds_a_table_exclusively_is_not_waited_for() {
    for major in MAJORS {
        let (_cluster, connection) = bloated(major).await;
        let migration = session(&connection).await;
        migration.batch_execute("BEGIN; LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE").await.unwrap();
        for operation in [Operation::Vacuum, Operation::Analyze, Operation::Reindex, Operation::Full] {
            let mut wanted = request(&[operation]);
            wanted.tables = vec!["t".parse().unwrap()];
            let began = Instant::now();
            let outcome = maintain(&connection, wanted).await;
            assert!(began.elapsed() < Duration::from_secs(15), "{operation} took {:?}", began.elapsed());
            assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
            for line in &outcome.report.statements {
                assert_eq!(line.outcome, Outcome::Skipped, "{line:#?}");
                let detail = line.detail.as_deref().unwrap();
                assert!(detail.contains("(application, user postgres)"), "{major}, {operation}: {detail}");
            }
            assert!(!outcome.report.statements.is_empty());
        }
        migration.batch_execute("COMMIT").await.unwrap();
        assert_eq!(text(&connection, INVALID).await, "0");
    }
}

#[tokio::test]
async fn a_long_transaction_keeps_indexes_from_being_built_but_not_tables_from_being_vacuumed() {
    for major in MAJORS {
        let (_cluster, connection) = bloated(major).await;
        let report = session(&connection).await;
        report.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let mut wanted = request(&[Operation::Vacuum, Operation::Reindex]);
        wanted.tables = vec!["t".parse().unwrap()];
        let outcome = maintain(&connection, wanted).await;
        let told: Vec<_> = outcome.report.statements.iter().map(|s| (s.outcome, s.attempts)).collect();
        assert_eq!(told, [(Outcome::Done, 1), (Outcome::Skipped, 0), (Outcome::Skipped, 0)], "{major}");
        let detail = outcome.report.statements[1].detail.as_deref().unwrap();
        assert!(detail.contains("(application, user postgres) has had a transaction open for"), "{detail}");
        report.batch_execute("COMMIT").await.unwrap();
    }
}

#[tokio::test]
async fn a_transaction_that_begins_meanwhile_ends_a_reindex_and_nothing_is_left_of_it() {
    let (_cluster, connection) = bloated(18).await;
    run_sql(
        &connection,
        "CREATE INDEX bad ON public.t (v, id);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.bad'::regclass",
    )
    .await;
    let mut wanted = request(&[Operation::Reindex]);
    wanted.limits.attempts = 1;
    wanted.limits.lock_timeout_seconds = 5;
    wanted.thresholds.bloat_percent = 100;
    let writer = session(&connection).await;
    // Not old enough to be seen as long, and not at its end soon enough: the lock time-out ends it.
    writer.batch_execute("BEGIN; UPDATE public.t SET v = v WHERE id = 10").await.unwrap();
    let releasing = async {
        // What the time-out leaves can only be dropped when the writer has ended.
        under_way(&connection, "DROP INDEX").await;
        writer.batch_execute("COMMIT").await.unwrap();
    };
    let (outcome, ()) = tokio::join!(maintain(&connection, wanted), releasing);
    skipped(&outcome, "(application, user postgres) holds what it waited for; tried once");
    // Only the index that was invalid before still is.
    let left = "SELECT string_agg(indexrelid::regclass::text, ', ') FROM pg_index WHERE NOT indisvalid";
    assert_eq!(text(&connection, left).await, "public.bad");
}

#[tokio::test]
async fn a_reindex_that_is_cancelled_in_the_middle_leaves_no_invalid_index() {
    for major in MAJORS {
        let (_cluster, connection) = bloated(major).await;
        for by in ["time budget", "person"] {
            let (canceller, cancel) = cancel::pair();
            let mut wanted = request(&[Operation::Reindex]);
            wanted.tables = vec!["t".parse().unwrap()];
            // Nobody is seen to be in the way, and it waits for this writer until it is cancelled.
            wanted.limits.lock_timeout_seconds = 60;
            wanted.limits.time_budget_seconds = if by == "person" { 60 } else { 8 };
            let writer = session(&connection).await;
            writer.batch_execute("BEGIN; UPDATE public.t SET v = v WHERE id = 20").await.unwrap();
            let stopping = async {
                under_way(&connection, "REINDEX").await;
                if by == "person" {
                    canceller.cancel(ErrorKind::Interrupted);
                }
                // The leftover can only be dropped when the writer has ended.
                under_way(&connection, "DROP INDEX").await;
                writer.batch_execute("COMMIT").await.unwrap();
            };
            let (outcome, ()) = tokio::join!(maintain_until(&connection, wanted, cancel), stopping);
            assert!(
                outcome.report.statements.iter().all(|s| s.outcome == Outcome::Skipped),
                "{by}: {:#?}",
                outcome.report.statements
            );
            let detail = outcome.report.statements[0].detail.as_deref().unwrap();
            assert!(detail.starts_with("cancelled after its begin"), "{detail}");
            assert_eq!(outcome.failure.map(|e| e.kind()), (by == "person").then_some(ErrorKind::Interrupted));
            assert!(outcome.report.ended_by.unwrap().contains(if by == "person" {
                "interrupted"
            } else {
                "time budget of 8.0 s"
            }));
            assert_eq!(text(&connection, INVALID).await, "0", "{major}, {by}");
        }
    }
}

#[tokio::test]
async fn whoever_waits_for_our_lock_gets_it_within_the_lock_time_out() {
    for major in MAJORS {
        let (_cluster, connection) = bloated(major).await;
        let mut wanted = request(&[Operation::Vacuum]);
        // So slow that it would take minutes.
        wanted.limits =
            Limits { cost_delay_ms: 100, cost_limit: 1, attempts: 1, lock_timeout_seconds: 8, ..wanted.limits };
        let application = async {
            under_way(&connection, "VACUUM").await;
            let session = session(&connection).await;
            let began = Instant::now();
            session.batch_execute("ALTER TABLE public.t ADD COLUMN more int").await.unwrap();
            began.elapsed()
        };
        let (outcome, delay) = tokio::join!(maintain(&connection, wanted), application);
        assert!(delay < Duration::from_secs(8), "the application waited {delay:?}");
        skipped(&outcome, "gave way to session");
        eprintln!("PostgreSQL {major}: ALTER TABLE waited {delay:?} for a VACUUM with a lock time-out of 8 s");
    }
}

#[tokio::test]
async fn two_maintenance_runs_of_one_database_do_not_work_at_once() {
    let (_cluster, connection) = bloated(15).await;
    let (ports, context) = (ports(&connection).await, context(Cancel::never()));
    let first = ports.caretaker.begin(&Limits::default()).await.unwrap();
    let prepared = prepare(&ports, request(&[Operation::Vacuum]), &context).await.unwrap();
    let error = execute(&ports, prepared, &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyRunning);
    drop(first);
}

#[tokio::test]
async fn a_role_without_ownership_is_told_the_grant_to_ask_for() {
    for major in MAJORS {
        let (cluster, connection) = bloated(major).await;
        run_sql(
            &connection,
            "CREATE ROLE carer LOGIN PASSWORD 'x'; CREATE ROLE \"Own er\"; ALTER TABLE public.t OWNER TO \"Own er\"",
        )
        .await;
        let carer = ConnectionTarget::parse(&format!("postgres://carer:x@127.0.0.1:{}/d", cluster.port())).unwrap();
        let mut wanted = request(&[Operation::Vacuum, Operation::Analyze, Operation::Reindex]);
        wanted.tables = vec!["t".parse().unwrap()];
        let outcome = maintain(&carer, wanted.clone()).await;
        assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
        assert_eq!(outcome.report.statements, []);
        let owner = "GRANT \"Own er\" TO \"carer\";";
        let maintain_grant = if major >= 17 { "GRANT MAINTAIN ON TABLE \"public\".\"t\" TO \"carer\";" } else { owner };
        let told: Vec<_> = outcome.report.left_out.iter().map(|l| l.statements[0].as_str()).collect();
        assert_eq!(told, [maintain_grant, maintain_grant, owner, owner]);
        assert!(outcome.report.recommendations.iter().any(|r| r.code == "limited_view"));

        // The grants that were named are enough.
        run_sql(&connection, maintain_grant).await;
        let outcome = maintain(&carer, wanted.clone()).await;
        let done = outcome.report.count(Outcome::Done);
        assert_eq!(done, if major >= 17 { 2 } else { 4 }, "{:#?}", outcome.report.statements);
        run_sql(&connection, owner).await;
        let outcome = maintain(&carer, wanted).await;
        assert_eq!(outcome.report.count(Outcome::Done), 4, "{:#?}", outcome.report.statements);
    }
}

#[tokio::test]
async fn a_vacuum_full_that_gets_no_lock_is_skipped_after_its_attempts() {
    let (_cluster, connection) = bloated(15).await;
    let reader = session(&connection).await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM public.t").await.unwrap();
    let mut wanted = request(&[Operation::Full]);
    wanted.tables = vec!["t".parse().unwrap()];
    let began = Instant::now();
    let outcome = maintain(&connection, wanted).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(only(&outcome).outcome, Outcome::Skipped);
    assert!(only(&outcome).blocks.contains("shuts everybody out") && only(&outcome).disk_bytes > 0);
    reader.batch_execute("COMMIT").await.unwrap();
}
