//! The functions `alert` and `notify` while the control store takes connections and gives no answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    StoreUnderTest,
    proxy::{Mode, Proxy},
    stores::minio,
};
use serde_json::json;

use super::{Ends, functions};

/// After so long Lambda would still let the function work; the deadline of its own comes at a minute.
const IN_TIME: Duration = Duration::from_secs(45);

#[test]
fn while_the_control_store_hangs_the_functions_tell_people_in_time() -> Result<()> {
    let (mut store, ends) = (StoreUnderTest::minio()?, Ends::of("functions-hang"));
    let port = minio()?.endpoint.rsplit(':').next().and_then(|port| port.parse().ok()).context("MinIO's port")?;
    let proxy = Proxy::start(port, Mode::HoldAfter(0))?;
    store.reach_through(&format!("http://127.0.0.1:{}", proxy.port()));
    let functions = functions(&store, &ends, "alerts_functions_hang")?;

    let began = Instant::now();
    // The queue delivers it again: what happened is not on record.
    let error = functions.invoke("alert", "failed.json")?.error("store")?;
    ensure!(error.contains("no answer within 15 s"), "{error}");
    ensure!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    ensure!(ends.counts()? == (1, 1), "{:?}", ends.counts()?);

    let began = Instant::now();
    let told = functions.invoke("notify", "incident.json")?.answer()?;
    ensure!(
        told["messages"][0]["sent"] == json!(["team", "mail"])
            || told["messages"][0]["sent"] == json!(["mail", "team"]),
        "{told:#}"
    );
    ensure!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    ensure!(ends.counts()? == (2, 2), "{:?}", ends.counts()?);
    ensure!(proxy.held() > 0, "nobody asked the store");

    // It answers again: what the queue delivers again is on record now.
    proxy.set(Mode::Pass);
    let again = functions.invoke("alert", "failed.json")?.answer()?;
    ensure!(again["opened"] == 1, "{again:#}");
    Ok(())
}
