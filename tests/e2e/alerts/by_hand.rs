//! Alerts of whoever has neither bus nor functions: the program tells people itself.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Lifeboat, StoreUnderTest,
    proxy::{Mode, Proxy},
    sinks::fail_posts_to,
    stores::minio,
};

use super::Ends;
use crate::shared::{call, fifteen};

fn with_channels(call: Lifeboat, ends: &Ends, folder: &Path) -> Result<Lifeboat> {
    let file = folder.join("lifeboat.toml");
    std::fs::write(&file, ends.configuration())?;
    let call = call.env("LIFEBOAT_CONFIG", &file);
    Ok(ends.environment()?.into_iter().fold(call, |call, (name, value)| call.env(name, value)))
}

#[test]
fn a_dump_that_fails_and_then_works_tells_people_twice_in_all() -> Result<()> {
    let (store, ends, folder) = (StoreUnderTest::folder()?, Ends::of("by-hand"), tempfile::tempdir()?);
    let dump = || with_channels(call(&store, "alerts_by_hand", &["dump", "orders"])?, &ends, folder.path());
    for _ in 0..3 {
        dump()?.run()?.expect(4)?;
    }
    ensure!(ends.counts()? == (1, 1), "{:?}", ends.counts()?);
    let listed = with_channels(store.lifeboat(["alert", "list"]), &ends, folder.path())?.run()?.expect(0)?;
    ensure!(listed.stdout.contains("orders") && listed.stdout.contains("critical"), "{}", listed.stdout);
    fifteen()?.create_database("alerts_by_hand")?;
    dump()?.run()?.expect(0)?;
    dump()?.run()?.expect(0)?;
    let subjects: Vec<String> =
        ends.mail()?.iter().map(|m| m["subject"].as_str().unwrap_or_default().to_owned()).collect();
    let expected = ["[lifeboat] CRITICAL orders: backup failed", "[lifeboat] RESOLVED orders: backups work again"];
    ensure!(subjects == expected, "{subjects:?}");
    ensure!(ends.chats()?.len() == 2);
    let listed = with_channels(store.lifeboat(["alert", "list"]), &ends, folder.path())?.run()?.expect(0)?;
    ensure!(listed.stdout.contains("No incident is open"), "{}", listed.stdout);
    Ok(())
}

#[test]
fn a_test_goes_to_every_channel_and_says_which_failed() -> Result<()> {
    let (store, ends, folder) = (StoreUnderTest::folder()?, Ends::of("alert-test"), tempfile::tempdir()?);
    let test = || with_channels(store.lifeboat(["alert", "test"]), &ends, folder.path());
    let all = test()?.run()?.expect(0)?;
    ensure!(
        all.stdout.contains("team") && all.stdout.contains("mail") && all.stdout.contains("sent"),
        "{}",
        all.stdout
    );
    ensure!(ends.mail()?[0]["subject"].as_str().is_some_and(|s| s.contains("TEST")));
    fail_posts_to(&ends.slack, 1, 404)?;
    let one = test()?.run()?.expect(6)?;
    ensure!(one.stdout.contains("FAILED") && one.stdout.contains("404"), "{}", one.stdout);
    ensure!(!one.stdout.contains(&ends.slack) && !one.stdout.contains("hunter2"), "{}", one.stdout);
    ensure!(ends.counts()? == (1, 2), "{:?}", ends.counts()?);
    let nobody = store.lifeboat(["alert", "test"]).run()?.expect(2)?;
    ensure!(nobody.stderr.contains("alerts.topic"), "{}", nobody.stderr);
    Ok(())
}

#[test]
fn an_incident_of_a_database_that_is_gone_is_closed_by_hand_and_people_hear_it() -> Result<()> {
    let (store, ends, folder) = (StoreUnderTest::folder()?, Ends::of("closed"), tempfile::tempdir()?);
    with_channels(call(&store, "alerts_closed_none", &["dump", "orders"])?, &ends, folder.path())?.run()?.expect(4)?;
    let close = |kind: &[&str]| {
        let arguments = ["alert", "close", "orders"].iter().chain(kind).copied();
        with_channels(store.lifeboat(arguments), &ends, folder.path())
    };
    let wrong = close(&["drill"])?.run()?;
    ensure!(wrong.stderr.contains("no open incident") && wrong.stderr.contains("alert list"), "{}", wrong.stderr);
    let done = close(&["backup"])?.run()?.expect(0)?;
    ensure!(done.stdout.contains("1 incident of orders closed") && done.stdout.contains("told"), "{}", done.stdout);
    let mail = ends.mail()?;
    ensure!(mail.len() == 2 && mail[1]["subject"] == "[lifeboat] CLOSED orders: backup failed (closed)", "{mail:#?}");
    let listed = with_channels(store.lifeboat(["alert", "list"]), &ends, folder.path())?.run()?.expect(0)?;
    ensure!(listed.stdout.contains("No incident is open"), "{}", listed.stdout);
    Ok(())
}

#[test]
fn while_the_store_hangs_people_are_told_all_the_same() -> Result<()> {
    let (mut store, ends, folder) = (StoreUnderTest::minio()?, Ends::of("store-hangs"), tempfile::tempdir()?);
    let minio = minio()?.endpoint.rsplit(':').next().and_then(|port| port.parse().ok()).context("MinIO's port")?;
    let proxy = Proxy::start(minio, Mode::HoldAfter(0))?;
    store.reach_through(&format!("http://127.0.0.1:{}", proxy.port()));
    // The database is not there either: it is that of which they are told.
    let dump = call(&store, "alerts_store_hangs_none", &["dump", "orders"])?;
    let failed = with_channels(dump, &ends, folder.path())?.run()?;
    ensure!(failed.code != 0, "{}", failed.stderr);
    ensure!(ends.counts()? == (1, 1), "{:?}: {}", ends.counts()?, failed.stderr);
    let subject = &ends.mail()?[0]["subject"];
    ensure!(*subject == "[lifeboat] CRITICAL orders: backup failed", "{subject}");
    Ok(())
}
