//! Retention over a past of many days: the plan is what is done, and what is done is what the store then holds.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, ensure};
use lifeboat_core::ports::{Removal, Store};
use lifeboat_testkit::BackupBuilder;
use lifeboat_tests::{Lifeboat, StoreUnderTest};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{access::opened, history};

const POLICY: &str = r#"
[databases.orders.retention]
daily = { keep = 3 }
weekly = { keep = 2, storage_class = "STANDARD_IA" }
monthly = { keep = 2, storage_class = "GLACIER" }
min_good = 2
grace_days = 0

[databases.old.retention]
daily = { max_age_days = 1 }
weekly = { max_age_days = 1 }
monthly = { max_age_days = 1 }
min_good = 2
grace_days = 0
"#;

struct Retention<'a> {
    under_test: &'a StoreUnderTest,
    folder: TempDir,
}

impl Retention<'_> {
    fn call(&self, arguments: &[&str]) -> Lifeboat {
        self.under_test.lifeboat(arguments).env("LIFEBOAT_CONFIG", self.folder.path().join("lifeboat.toml"))
    }

    fn plan(&self, database: &str) -> Result<Value> {
        let mut answer = self.call(&["retention", "plan", database]).json()?;
        Ok(answer["databases"][0]["plan"].take())
    }

    fn apply(&self, database: &str) -> Result<Value> {
        let mut answer = self.call(&["retention", "apply", database, "--yes"]).json()?;
        Ok(answer["databases"][0].take())
    }

    /// Applies once: what was planned is what is done, and at least `min_good` stay good. Gives what was done.
    fn apply_as_planned(&self, database: &str) -> Result<Vec<Value>> {
        let planned = self.plan(database)?;
        let report = self.apply(database)?;
        // Two calls, two moments: the limit of age for unfinished uploads counts back from each.
        let without_time = |plan: &Value| {
            let mut plan = plan.clone();
            plan["made_at"] = json!(null);
            plan["uploads"]["before"] = json!(null);
            plan
        };
        ensure!(without_time(&planned) == without_time(&report["plan"]), "{planned:#} against {report:#}");
        let done = report["done"].as_array().context("done")?.clone();
        let mut steps: Vec<(String, String)> = done.iter().map(|d| step(&d["backup_id"], &d["step"])).collect();
        let mut wanted: Vec<(String, String)> = Vec::new();
        for decision in planned["decisions"].as_array().context("decisions")? {
            let all = decision["steps"].as_array().context("steps")?;
            wanted.extend(all.iter().map(|s| step(&decision["backup_id"], s)));
        }
        for leftover in planned["leftovers"].as_array().context("leftovers")?.iter().filter(|l| l["remove"] == true) {
            wanted.push(step(&leftover["backup_id"], &json!({ "do": "remove" })));
        }
        steps.sort();
        wanted.sort();
        ensure!(steps == wanted, "planned {wanted:?}, done {steps:?}");
        ensure!(done.iter().all(|d| d.get("skipped").is_none()), "{done:#?}");
        let good = self.call(&["list", database]).json()?;
        let good = good["backups"].as_array().context("backups")?.iter().filter(|b| b["good"] == true).count();
        ensure!(good >= 2, "only {good} good backups of {database} are left");
        Ok(done)
    }
}

fn step(backup: &Value, step: &Value) -> (String, String) {
    (backup.to_string(), step.to_string())
}

fn day(id: &Value) -> Result<String> {
    let id = id.as_str().context("an id")?;
    Ok(format!("{}-{}-{}", &id[..4], &id[4..6], &id[6..8]))
}

pub(super) async fn whole(under_test: &StoreUnderTest) -> Result<()> {
    let store = opened(under_test).await?;
    if let Some(root) = under_test.path() {
        fs::create_dir_all(root)?;
    }
    history::put(&*store, under_test).await?;
    let retention = Retention { under_test, folder: tempfile::tempdir()? };
    fs::write(retention.folder.path().join("lifeboat.toml"), POLICY)?;

    // Held by a person: stays, although no tier wants it.
    let held = retention.call(&["list", "orders"]).json()?;
    let backups = held["backups"].as_array().context("backups")?;
    let fifth = backups.iter().find(|b| day(&b["backup_id"]).is_ok_and(|d| d == "2025-03-05")).context("March 5th")?;
    let fifth = format!("orders/{}", fifth["backup_id"].as_str().unwrap_or_default());
    retention.call(&["hold", &fifth, "--reason", "for the auditor"]).json()?;

    let plan = retention.plan("orders")?;
    let mut kept = Vec::new();
    for decision in plan["decisions"].as_array().context("decisions")?.iter().filter(|d| d["keep"] == true) {
        kept.push(day(&decision["backup_id"])?);
    }
    let mut expected: Vec<&str> = history::KEPT.to_vec();
    expected.push("2025-03-05");
    expected.sort_unstable_by(|a, b| b.cmp(a));
    ensure!(kept == expected, "kept {kept:?}");

    // First what is promised, then, since there is no grace, what was promised.
    let announced = retention.apply_as_planned("orders")?;
    let count = |done: &[Value], what: &str| done.iter().filter(|d| d["step"]["do"] == what).count();
    let expired = history::good_days().len() + 1 - expected.len();
    ensure!(count(&announced, "announce") == expired, "{announced:#?}");
    ensure!(count(&announced, "promote") >= 1, "Monday the 10th stands for Sunday: {announced:#?}");
    let removed = retention.apply_as_planned("orders")?;
    ensure!(count(&removed, "remove") == expired, "{removed:#?}");
    let settled = retention.plan("orders")?;
    ensure!(settled["decisions"].as_array().is_some_and(|d| d.iter().all(|d| d["steps"] == json!([]))), "{settled:#}");

    holds_what_is_kept(&*store, &expected).await?;
    retention.call(&["release", &fifth]).json()?;
    retention.apply_as_planned("orders")?;
    retention.apply_as_planned("orders")?;
    expected.retain(|day| *day != "2025-03-05");
    holds_what_is_kept(&*store, &expected).await?;
    never_fewer_than_there_must_be(&retention, &*store).await
}

/// An object of a backup, as the store has it.
struct Object {
    name: String,
    tags: BTreeMap<String, String>,
    size: u64,
}

/// In a folder what expired is gone, leftovers too. On S3 it is tagged for the lifecycle rules, which nobody runs here.
async fn holds_what_is_kept(store: &dyn Store, kept: &[&str]) -> Result<()> {
    let mut backups: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    for object in store.list("orders/").await? {
        let (id, name) = object.key.trim_start_matches("orders/").split_once('/').context("a backup's object")?;
        let tags = match store.removal() {
            Removal::TagForLifecycle => store.tags(&object.key).await?,
            Removal::Delete => BTreeMap::new(),
        };
        backups.entry(id.to_owned()).or_default().push(Object { name: name.to_owned(), tags, size: object.size });
    }
    let is_kept = |id: &str| day(&json!(id)).is_ok_and(|d| kept.contains(&d.as_str()));
    if store.removal() == Removal::Delete {
        ensure!(backups.keys().all(|id| is_kept(id)), "left: {:?} of {kept:?}", backups.keys());
        ensure!(backups.len() == kept.len());
        return Ok(());
    }
    let moved_to = |id: &str| id.starts_with("20250316").then_some("STANDARD_IA");
    for (id, objects) in &backups {
        // Written a moment ago, and so too young to be swept.
        let leftover = id.starts_with("20250303T15");
        for Object { name, tags, size } in objects {
            let expiring = tags.get("lifeboat-expire").map(String::as_str);
            // Attestations stay until the manifest is gone: else the backup would count as good again.
            let expected = (!is_kept(id) && !leftover && !name.starts_with("attestations/")).then_some("true");
            ensure!(expiring == expected, "{id}/{name}: {tags:?}");
            let large = name.starts_with("archive/") && !name.ends_with("toc.dat") && *size >= 128 << 10;
            let moving = tags.get("lifeboat-move").map(String::as_str);
            ensure!(moving == moved_to(id).filter(|_| large), "{id}/{name} of {size} bytes: {tags:?}");
        }
    }
    let of_sunday = backups.iter().filter(|(id, _)| moved_to(id).is_some()).flat_map(|(_, objects)| objects);
    ensure!(of_sunday.filter(|o| o.size >= 128 << 10).count() == 1, "nothing was there to be moved");
    Ok(())
}

/// Every backup is years too old for every tier, and still the newest two good ones stay.
async fn never_fewer_than_there_must_be(retention: &Retention<'_>, store: &dyn Store) -> Result<()> {
    for day in ["2025-01-06", "2025-01-07", "2025-01-08", "2025-01-09"] {
        BackupBuilder::new("old", &format!("{day}T02:00:00Z")).store_verified(store).await?;
    }
    BackupBuilder::new("old", "2025-01-10T02:00:00Z").store(store).await?;
    while !retention.apply_as_planned("old")?.is_empty() {}
    let listed = retention.call(&["list", "old"]).json()?;
    let mut good = Vec::new();
    for backup in listed["backups"].as_array().context("backups")?.iter().filter(|b| b["good"] == true) {
        good.push(day(&backup["backup_id"])?);
    }
    ensure!(good == ["2025-01-09", "2025-01-08"], "{listed:#}");
    Ok(())
}
