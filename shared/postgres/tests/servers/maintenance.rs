//! Maintenance of real servers: the facts, each statement, and everything that keeps it out of others' way.

mod facts;
mod gives_way;
mod statements;

use std::{sync::Arc, time::Instant};

use lifeboat_core::{
    cancel::Cancel,
    maintenance::{
        Facts, IndexFacts, Limits, MaintenanceOutcome, MaintenancePorts, MaintenanceRequest, Operation, Outcome,
        StatementLine, TableFacts, Thresholds, execute, prepare,
    },
    ports::{Caretaker, Clock, RunContext},
};
use lifeboat_postgres::{ConnectionTarget, PgCaretaker, cluster::ThrowawayCluster, session::Session};

use crate::setting::{cluster, create_database};

/// The time as it is: budgets and locks of a real server need a real clock.
struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn monotonic_seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

fn context(cancel: Cancel) -> RunContext {
    lifeboat_testkit::context().clock(Arc::new(RealClock(Instant::now()))).cancel(cancel).build()
}

/// A database with a table `t`, of whose rows every second is dead, and an index that is as bloated.
async fn bloated(major: u32) -> (ThrowawayCluster, ConnectionTarget) {
    let cluster = cluster(major).await;
    let connection = create_database(&cluster, "d", "").await;
    run_sql(
        &connection,
        "CREATE TABLE public.t (id int PRIMARY KEY, v text NOT NULL);
         INSERT INTO public.t SELECT g, md5(g::text) FROM generate_series(1, 200000) g;
         CREATE INDEX t_v ON public.t (v);
         DELETE FROM public.t WHERE id % 10 <> 0",
    )
    .await;
    (cluster, connection)
}

async fn session(connection: &ConnectionTarget) -> Session {
    connection.connect("application").await.unwrap()
}

async fn run_sql(connection: &ConnectionTarget, sql: &str) {
    session(connection).await.batch_execute(sql).await.unwrap();
}

async fn text(connection: &ConnectionTarget, sql: &str) -> String {
    session(connection).await.query_one(sql, &[]).await.unwrap().get(0)
}

fn request(operations: &[Operation]) -> MaintenanceRequest {
    MaintenanceRequest {
        operations: operations.to_vec(),
        thresholds: Thresholds { bloat_least_bytes: 64 << 10, ..Thresholds::default() },
        limits: Limits { lock_timeout_seconds: 1, attempts: 2, time_budget_seconds: 60, ..Limits::default() },
        ..MaintenanceRequest::new("orders".parse().unwrap())
    }
}

async fn ports(connection: &ConnectionTarget) -> MaintenancePorts {
    MaintenancePorts { caretaker: Arc::new(PgCaretaker::new(connection.clone()).await.unwrap()), control: None }
}

async fn facts(connection: &ConnectionTarget) -> Facts {
    PgCaretaker::new(connection.clone()).await.unwrap().facts(&request(&[]).thresholds, true).await.unwrap()
}

async fn maintain(connection: &ConnectionTarget, request: MaintenanceRequest) -> MaintenanceOutcome {
    maintain_until(connection, request, Cancel::never()).await
}

async fn maintain_until(
    connection: &ConnectionTarget,
    request: MaintenanceRequest,
    cancel: Cancel,
) -> MaintenanceOutcome {
    let (ports, context) = (ports(connection).await, context(cancel));
    let prepared = prepare(&ports, request, &context).await.unwrap();
    execute(&ports, prepared, &context).await.unwrap()
}

fn table<'a>(facts: &'a Facts, name: &str) -> &'a TableFacts {
    facts.tables.iter().find(|t| t.name.name == name).unwrap()
}

fn index<'a>(facts: &'a Facts, name: &str) -> &'a IndexFacts {
    facts.indexes.iter().find(|i| i.name.name == name).unwrap()
}

/// The one statement of an outcome.
fn only(outcome: &MaintenanceOutcome) -> &StatementLine {
    assert_eq!(outcome.report.statements.len(), 1, "{:#?}", outcome.report.statements);
    &outcome.report.statements[0]
}

fn skipped(outcome: &MaintenanceOutcome, why: &str) {
    let line = only(outcome);
    assert_eq!(line.outcome, Outcome::Skipped, "{line:#?}");
    assert!(line.detail.as_deref().unwrap_or_default().contains(why), "{line:#?}");
}
