//! Health's questions to a standby and its primary.

use lifeboat_postgres::ConnectionTarget;
use lifeboat_testkit::standby::{OF_A_PRIMARY, Standby};

use crate::{
    health::{cluster_with, observe, sql, until},
    setting::{create_database, search, tool},
};

#[tokio::test]
async fn a_standby_tells_how_far_it_lies_behind_and_its_primary_too() {
    let primary = cluster_with(15, &OF_A_PRIMARY).await;
    let target = create_database(&primary, "origin", "").await;
    let base_backup = tool(15, "pg_basebackup", &primary.tcp_target("postgres")).await;
    let programs = search().find_for(150_000).await.unwrap().folder().to_owned();
    let standby = Standby::of(base_backup, &programs).unwrap();
    let on_standby =
        ConnectionTarget::local(standby.socket().to_str().unwrap(), standby.port(), "postgres", None, "origin");
    // Replay is held back, so that there is a lag to be seen.
    let facts = until("the standby streams", async || {
        let facts = observe(&target).await;
        facts.standbys.iter().any(|s| s.state == "streaming").then_some(facts)
    })
    .await;
    assert_eq!(facts.standbys.len(), 1);
    let seen = observe(&on_standby).await;
    assert!(seen.standby && seen.replay.as_ref().is_some_and(|r| r.receiving), "{:?}", seen.replay);
    assert!(seen.ids.is_some() && seen.hidden.is_empty(), "{:?}", seen.hidden);
    sql(&on_standby, "SELECT pg_catalog.pg_wal_replay_pause()").await;
    sql(&target, "CREATE TABLE public.t AS SELECT pg_catalog.generate_series(1, 10000) AS a").await;
    until("both see the lag", async || {
        let (behind, facts) = (observe(&on_standby).await, observe(&target).await);
        let seen = behind.replay.as_ref().is_some_and(|r| r.delay_seconds > 0.0);
        (seen && facts.standbys.first()?.lag_bytes > Some(0)).then_some(())
    })
    .await;
    // Cut off from its primary it says so, and counts from what it knows.
    drop(primary);
    let alone =
        until("the standby is cut off", async || observe(&on_standby).await.replay.filter(|replay| !replay.receiving))
            .await;
    assert!(alone.delay_seconds > 0.0);
}
