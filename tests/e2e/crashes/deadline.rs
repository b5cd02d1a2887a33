//! A deadline in mid-dump: exit code 10 before it, and nothing stays behind.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Cluster, StoreUnderTest,
    program::wait_until,
    proxy::{Mode, Proxy},
};

use super::running::{AT_ONCE, Running, dumps, no_session_within, nothing_listed};

/// More bytes than pg_dump reads of the catalogs, and less than the table has.
const IN_MID_COPY: u64 = 4 << 20;

/// Of such a short time half is for cleaning up.
const DEADLINE: Duration = Duration::from_secs(80);

#[tokio::test]
async fn a_dump_that_cannot_end_before_its_deadline_ends_with_10_and_leaves_nothing() -> Result<()> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database("late")?;
    let sql =
        "CREATE TABLE public.a AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 20000) g";
    cluster.sql("late", sql)?;
    let store = StoreUnderTest::folder()?;
    let proxy = Proxy::start(cluster.port(), Mode::HoldAfter(IN_MID_COPY))?;
    let through = proxy.through(&cluster.url("late"), cluster.port());
    let deadline = format!("{}s", DEADLINE.as_secs());
    let began = Instant::now();
    let mut dump = Running::start(store.lifeboat(["dump", "--jobs", "2", "--deadline", &deadline]).database(&through))?;
    wait_until("the proxy holds the COPY", DEADLINE / 2, || Ok(proxy.held() > 0)).with_context(|| dump.log())?;
    let code = dump.ended(DEADLINE)?;
    ensure!(code == 10, "{code}: {}", dump.log());
    ensure!(began.elapsed() < DEADLINE, "it ended after its deadline: {}", dump.log());
    no_session_within(&cluster, AT_ONCE)?;
    nothing_listed(&store)?;
    // The lease was given back, and a deadline that is far enough stops nothing.
    store.lifeboat(["dump", "--deadline", "1h"]).database(&cluster.url("late")).run()?.expect(0)?;
    let past = store.lifeboat(["dump", "--deadline", "2026-01-01T00:00:00Z"]).database(&cluster.url("late"));
    ensure!(past.run()?.expect(2)?.stderr.contains("is past"));
    dumps(&store, &cluster.url("late"))
}
