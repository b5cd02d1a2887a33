//! A database under care, from before its first dump on, with everything around it stopped in turn.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Ended, Lifeboat, StoreUnderTest};
use serde_json::Value;

use crate::shared::{fifteen, no_session_stays_on, with_tools};

/// A configuration with one database, and a store in a folder.
pub(super) struct Watched {
    pub(super) store: StoreUnderTest,
    folder: tempfile::TempDir,
    url: String,
}

impl Watched {
    /// With more lines of configuration.
    pub(super) fn new(database: &str, more: &str) -> Result<Self> {
        let (cluster, store, folder) = (fifteen()?, StoreUnderTest::folder()?, tempfile::tempdir()?);
        cluster.create_database(database)?;
        cluster.sql(database, "CREATE TABLE public.notes AS SELECT generate_series(1, 500) AS id")?;
        // As an administrator makes it; health itself makes none in the place of one that is gone.
        fs::create_dir(store.path().context("a folder")?)?;
        let file = folder.path().join("lifeboat.toml");
        // Neither this machine's disk nor what other tests do at the same time is what is tested.
        let all = "[health]\ndisk_free_percent = 1\nconnections_percent = 100\n";
        fs::write(&file, format!("{all}[databases.orders]\nurl = {{ env = \"ORDERS_URL\" }}\nrpo = \"26h\"\n{more}"))?;
        Ok(Self { store, folder, url: cluster.url(database) })
    }

    pub(super) fn call(&self, arguments: &[&str]) -> Result<Lifeboat> {
        Ok(with_tools(self.store.lifeboat(arguments), &fifteen()?.bin)
            .env("LIFEBOAT_CONFIG", self.folder.path().join("lifeboat.toml"))
            .env("TMPDIR", self.folder.path())
            .env("ORDERS_URL", &self.url))
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Result<Ended> {
        self.call(arguments)?.run()
    }

    pub(super) fn page(&self) -> Result<PathBuf> {
        Ok(self.store.path().context("a folder")?.join(".control/status/index.html"))
    }
}

/// The codes of the findings in a document.
fn codes(ended: &Ended) -> Result<Vec<String>> {
    let document: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    let findings = document["databases"][0]["findings"].as_array().context("findings")?;
    findings.iter().map(|f| Ok(f["code"].as_str().context("a code")?.to_owned())).collect()
}

#[test]
fn a_database_is_watched_from_before_its_first_dump_on() -> Result<()> {
    let watched = Watched::new("health_watched", "")?;
    let before = watched.run(&["health"])?.expect(8)?;
    ensure!(before.stdout.contains("orders needs attention now"), "{before:?}");
    ensure!(
        before.stdout.contains("critical  no_backup: there is no backup at all\n          -> lifeboat dump orders")
    );
    // The tools found, with their versions, and the server.
    for part in ["client tools", "15.", "PostgreSQL 15.", "connections", "cache hit ratio", "disk"] {
        ensure!(before.stdout.contains(part), "{part} is missing: {before:?}");
    }
    ensure!(!before.stdout.contains("s'cr"), "the password is told");

    watched.run(&["dump", "orders"])?.expect(0)?;
    let after = watched.run(&["health", "orders"])?.expect(0)?;
    ensure!(
        after.stdout.starts_with("orders is well\n") && after.stderr.contains("wrote status/index.html"),
        "{after:?}"
    );
    let page = fs::read_to_string(watched.page()?)?;
    ensure!(page.contains("The database is well") && page.contains("id=\"db-orders\""));
    ensure!(!page.contains("s'cr") && !page.contains("s%27cr"), "the password is on the page");

    // The same page, made anew.
    let html = watched.run(&["status", "--format", "html"])?.expect(0)?;
    ensure!(html.stdout.starts_with("<!doctype html>") && html.stdout.contains("The database is well"));
    let refused = watched.run(&["status", "--format", "html", "--output", "json"])?.expect(2)?;
    ensure!(refused.stdout.contains("contradicts"), "{refused:?}");

    // For programs: one document with facts and findings.
    let document = watched.call(&["health"])?.json()?;
    let facts = &document["databases"][0]["facts"];
    ensure!(facts["server"]["state"] == "observed" && facts["tools"]["chosen"].is_string(), "{facts:#}");
    ensure!(document["page"] == "status/index.html", "{document:#}");
    no_session_stays_on(&["health_watched"])
}

#[test]
fn damage_is_critical_and_stays_so_until_it_is_gone() -> Result<()> {
    let watched = Watched::new("health_damaged", "")?;
    watched.run(&["dump", "orders"])?.expect(0)?;
    let made: Value = watched.call(&["dump", "orders"])?.json()?;
    let id = made["backup_id"].as_str().context("an id")?;
    let folder = watched.store.path().context("a folder")?.join("orders").join(id);
    fs::write(folder.join("globals.sql"), "-- nothing\n")?;
    watched.run(&["verify", &format!("orders/{id}")])?.expect(7)?;
    let found = watched.run(&["health", "--output", "json"])?.expect(7)?;
    ensure!(codes(&found)? == ["backup_corrupt"], "{found:?}");
    fs::remove_dir_all(&folder)?;
    let after = watched.run(&["health", "--output", "json"])?.expect(0)?;
    ensure!(codes(&after)?.is_empty(), "{after:?}");
    Ok(())
}

#[test]
fn what_stops_is_named_and_health_says_so_until_it_is_back() -> Result<()> {
    let watched = Watched::new("health_stopped", "")?;
    watched.run(&["dump", "orders"])?.expect(0)?;
    watched.run(&["health"])?.expect(0)?;

    // The database: nobody listens at its port.
    let gone = watched.call(&["health", "--output", "json"])?.env("ORDERS_URL", "postgres://a:b@127.0.0.1:1/x");
    let gone = gone.run()?.expect(4)?;
    ensure!(codes(&gone)? == ["source_unreachable"], "{gone:?}");

    // The secret: the variable that holds it.
    let file = watched.folder.path().join("lifeboat.toml");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text.replace("ORDERS_URL", "NOWHERE_URL"))?;
    let unknown = watched.run(&["health", "--output", "json"])?.expect(4)?;
    ensure!(codes(&unknown)? == ["source_unreachable"] && unknown.stdout.contains("NOWHERE_URL"), "{unknown:?}");
    fs::write(&file, text)?;

    // The store, and with it the control store.
    let (store, aside) = (watched.store.path().context("a folder")?, watched.folder.path().join("aside"));
    fs::rename(&store, &aside)?;
    let blind = watched.run(&["health", "--output", "json"])?.expect(6)?;
    ensure!(codes(&blind)? == ["store_unreachable", "control_store_unreachable"], "{blind:?}");
    ensure!(!store.exists(), "health must not make an empty store in the place of the one that is gone");
    fs::rename(&aside, &store)?;

    let well = watched.run(&["health", "--output", "json"])?.expect(0)?;
    ensure!(codes(&well)?.is_empty(), "{well:?}");
    Ok(())
}

#[test]
fn events_that_could_not_be_told_are_found_and_a_warning_is_no_failure() -> Result<()> {
    let watched = Watched::new("health_untold", "[events]\nbus = \"lifeboat\"\n")?;
    let call = |arguments: &[&str]| {
        anyhow::Ok(
            watched
                .call(arguments)?
                .env("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:1")
                .env("AWS_REGION", "us-east-1")
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test")
                .env("AWS_EC2_METADATA_DISABLED", "true"),
        )
    };
    call(&["dump", "orders"])?.run()?.expect(0)?;
    let found = call(&["health", "--output", "json"])?.run()?.expect(0)?;
    ensure!(codes(&found)? == ["events_undelivered"], "{found:?}");
    let page = fs::read_to_string(watched.page()?)?;
    ensure!(page.contains("could not be told to anybody yet"));
    Ok(())
}

#[test]
fn thresholds_of_the_configuration_decide_and_what_is_ignored_is_only_shown() -> Result<()> {
    let watched = Watched::new("health_thresholds", "[databases.orders.health]\nconnections_percent = 1\n")?;
    watched.run(&["dump", "orders"])?.expect(0)?;
    let found = watched.run(&["health"])?.expect(0)?;
    ensure!(found.stdout.contains("warning   connections_near_limit: "), "{found:?}");
    let file = watched.folder.path().join("lifeboat.toml");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, format!("{text}ignore = [\"connections_near_limit\"]\n"))?;
    let ignored = watched.run(&["health"])?.expect(0)?;
    ensure!(ignored.stdout.contains("orders is well") && ignored.stdout.contains("info      connections_near_limit"));
    Ok(())
}
