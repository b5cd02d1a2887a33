//! The life of a backup from preflight to removal, told by the program's own answers.

use std::fs;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Lifeboat, StoreUnderTest, cluster::run};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::access::nothing_lies_about;
use crate::shared::{call, fifteen, no_session_stays_on};

/// One database with its store, and a configuration by which one backup of a day is enough and grace is over at once.
struct Life<'a> {
    store: &'a StoreUnderTest,
    database: &'a str,
    target: String,
    folder: TempDir,
}

impl Life<'_> {
    fn call(&self, arguments: &[&str]) -> Result<Lifeboat> {
        let call = call(self.store, self.database, arguments)?
            .env("TARGET_URL", fifteen()?.url(&self.target))
            .env("LIFEBOAT_CONFIG", self.folder.path().join("lifeboat.toml"));
        Ok(call)
    }

    /// Runs a command as programs do. Whatever it was, no session of it stays.
    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.call(arguments)?.json().with_context(|| arguments.join(" "))?;
        no_session_stays_on(&[self.database, &self.target]).with_context(|| arguments.join(" "))?;
        Ok(answer)
    }

    /// Runs a command as people do.
    fn text(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.call(arguments)?.run()?.expect(0).with_context(|| arguments.join(" "))?.stdout)
    }

    /// What `list` says of one backup.
    fn listed(&self, id: &str) -> Result<Value> {
        let listed = self.json(&["list"])?;
        let backups = listed["backups"].as_array().context("backups")?;
        backups.iter().find(|b| b["backup_id"] == id).cloned().with_context(|| format!("{id} is not in {listed:#}"))
    }

    /// The decision of a plan about one backup.
    fn decision(&self, id: &str) -> Result<Value> {
        let plan = self.json(&["retention", "plan"])?;
        let decisions = plan["databases"][0]["plan"]["decisions"].as_array().context("decisions")?;
        decisions.iter().find(|d| d["backup_id"] == id).cloned().with_context(|| format!("{id} is not in {plan:#}"))
    }
}

pub(super) fn whole(store: &StoreUnderTest, database: &str) -> Result<()> {
    let cluster = fifteen()?;
    cluster.create_shop(database, "0.01")?;
    let target = format!("{database}_restored");
    cluster.create_database_with(&target, "TEMPLATE template0")?;
    let life = Life { store, database, target, folder: tempfile::tempdir()? };
    // No tier wants any: on a Sunday, or the first of a month, a backup would have two tiers that could.
    let policy = "daily = { keep = 0 }, weekly = { keep = 0 }, monthly = { keep = 0 }, min_good = 1, grace_days = 0";
    let config = format!("[databases.{database}]\nrpo = \"1h\"\nretention = {{ {policy} }}\n");
    fs::write(life.folder.path().join("lifeboat.toml"), config)?;

    before_the_first_backup(&life)?;
    let first = life.json(&["dump"])?;
    let id = first["backup_id"].as_str().context("an id")?;
    told_by_the_readers(&life, &first, id)?;
    fetched_and_restored(&life, &first)?;
    drilled(&life, id)?;
    held_and_let_go(&life, id)?;
    replaced_and_removed(&life, id)?;
    status_in_every_form(&life)?;
    nothing_lies_about(store)
}

fn before_the_first_backup(life: &Life<'_>) -> Result<()> {
    let preflight = life.json(&["preflight"])?;
    ensure!(preflight["preflight"]["findings"] == json!([]), "{preflight:#}");
    ensure!(preflight["database"] == life.database && preflight["store"] == life.store.url, "{preflight:#}");
    let config = life.json(&["config", "check"])?;
    ensure!(config["origins"]["store.url"] == "LIFEBOAT_STORE", "{config:#}");
    ensure!(config["databases"][life.database]["retention"]["grace_days"] == 0, "{config:#}");
    let status = life.json(&["status"])?;
    ensure!(status["databases"][0]["standing"] == "no_backup", "{status:#}");
    let listed = life.json(&["list"])?;
    ensure!(listed["backups"] == json!([]) && listed["unfinished"] == json!([]), "{listed:#}");
    let plan = life.text(&["retention", "plan"])?;
    ensure!(plan.contains("cost: $0.00 a month now") && plan.contains("warning: 0 good backups"), "{plan}");
    Ok(())
}

fn told_by_the_readers(life: &Life<'_>, first: &Value, id: &str) -> Result<()> {
    ensure!(first["verified"]["objects"] == first["objects"], "{first:#}");
    let listed = life.listed(id)?;
    ensure!(listed["rung"] == "verified" && listed["good"] == true, "{listed:#}");
    let shown = life.json(&["show"])?;
    ensure!(shown["manifest"]["backup_id"] == id && shown["manifest"]["totals"]["rows"] == first["rows"], "{shown:#}");
    let verified = life.json(&["verify", "latest"])?;
    ensure!(verified["damage"] == json!([]) && verified["objects"] == first["objects"], "{verified:#}");
    let all = life.json(&["verify", "all"])?;
    ensure!(all["checked"] == 1 && all["damaged"] == 0, "{all:#}");
    for (arguments, says) in
        [(&["list"] as &[&str], id), (&["show"], "To restore it: lifeboat restore"), (&["verify"], "verified: ")]
    {
        let text = life.text(arguments)?;
        ensure!(text.contains(says), "{arguments:?}: {text}");
    }
    let shown = life.text(&["show"])?;
    for time in ["verified ", "snapshot"] {
        let (_, rest) = shown.split_once(time).context("show tells times")?;
        let told = rest.split_whitespace().next().unwrap_or_default();
        ensure!(told.len() == "2026-11-20T12:00:00Z".len(), "people read seconds, not {told}");
    }
    Ok(())
}

fn fetched_and_restored(life: &Life<'_>, first: &Value) -> Result<()> {
    let cluster = fifteen()?;
    let folder = life.folder.path().join("archive");
    life.json(&["fetch", "latest", &folder.display().to_string(), "--plain"])?;
    let contents = run(cluster.tool("pg_restore", "postgres").arg("-l").arg(&folder))?;
    ensure!(contents.contains("TABLE DATA shop customers"), "{contents}");

    let restore = ["restore", "latest", "--to", "env:TARGET_URL"];
    let plan = life.json(&[&restore as &[&str], &["--dry-run"]].concat())?;
    ensure!(plan["target_contents"] == json!([]) && plan["rows"] == first["rows"], "{plan:#}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'shop'";
    ensure!(cluster.sql(&life.target, tables)?.trim() == "0", "a dry run made tables");
    let restored = life.json(&restore)?;
    ensure!(restored["rows"] == first["rows"] && restored["not_compared"] == json!(null), "{restored:#}");
    for sql in [tables, "SELECT count(*), sum(hashtext(c::text)) FROM shop.customers c"] {
        ensure!(cluster.sql(&life.target, sql)? == cluster.sql(life.database, sql)?, "{sql}");
    }
    Ok(())
}

fn drilled(life: &Life<'_>, id: &str) -> Result<()> {
    let drill = life.json(&["drill", "--select", "latest"])?;
    ensure!(drill["verdict"] == "passed" && drill["backup_id"] == id, "{drill:#}");
    ensure!(life.listed(id)?["rung"] == "restored");
    let status = life.json(&["status"])?;
    ensure!(status["databases"][0]["last_drill"]["verdict"] == "passed", "{status:#}");
    Ok(())
}

fn held_and_let_go(life: &Life<'_>, id: &str) -> Result<()> {
    let held = life.json(&["hold", "latest", "--reason", "before the migration"])?;
    ensure!(held["held"] == "before the migration" && held["attestation"] != json!(null), "{held:#}");
    let again = life.json(&["hold", id])?;
    ensure!(again["attestation"] == json!(null), "held twice: {again:#}");
    ensure!(life.listed(id)?["held"] == "before the migration");
    ensure!(life.text(&["list"])?.contains("held: before the migration"));

    // A second backup of the day would let it go, were it not held.
    let second = life.json(&["dump"])?;
    let decision = life.decision(id)?;
    ensure!(decision["keep"] == true && decision["reason"]["code"] == "held", "{decision:#}");
    let released = life.json(&["release", id])?;
    ensure!(released["held"] == json!(null), "{released:#}");
    ensure!(life.text(&["release", id])?.contains("was not held"));
    let decision = life.decision(id)?;
    // Where midnight went by between the two, it is the one backup of its day, and of a day too many.
    let one_day = second["backup_id"].as_str().context("the backup")?.get(..8) == id.get(..8);
    let code = if one_day { "superseded" } else { "surplus" };
    ensure!(decision["keep"] == false && decision["reason"]["code"] == code, "{decision:#}");
    Ok(())
}

fn replaced_and_removed(life: &Life<'_>, id: &str) -> Result<()> {
    // Nobody is there to be asked.
    let unasked = life.call(&["retention", "apply"])?.run()?.expect(9)?;
    ensure!(unasked.stderr.contains("--yes") && life.listed(id)?["expiring"] == json!(null), "{unasked:?}");

    let apply = ["retention", "apply", "--yes"];
    let announced = life.json(&apply)?;
    ensure!(announced["databases"][0]["done"][0]["step"]["do"] == "announce", "{announced:#}");
    let listed = life.listed(id)?;
    ensure!(listed["expiring"] != json!(null) && listed["good"] == false, "{listed:#}");

    life.json(&["retention", "undo", id])?;
    let listed = life.listed(id)?;
    ensure!(listed["expiring"] == json!(null) && listed["good"] == true, "{listed:#}");
    let twice = life.call(&["retention", "undo", id])?.run()?.expect(9)?;
    ensure!(twice.stderr.contains("is not expiring"), "{twice:?}");

    life.json(&apply)?;
    let removed = life.json(&apply)?;
    ensure!(removed["databases"][0]["done"][0]["step"]["do"] == "remove", "{removed:#}");
    ensure!(removed["databases"][0]["reclaimed_bytes"].as_u64() > Some(0), "{removed:#}");
    if let Some(folder) = life.store.path() {
        ensure!(!folder.join(life.database).join(id).exists(), "the folder of {id} is still there");
        life.call(&["show", id])?.run()?.expect(6)?;
    } else {
        let late = life.call(&["retention", "undo", id])?.run()?.expect(9)?;
        ensure!(late.stderr.contains("tagged for removal") && late.stderr.contains("administrator"), "{late:?}");
    }
    let nothing = life.json(&apply)?;
    ensure!(nothing["databases"][0]["done"] == json!([]), "{nothing:#}");
    ensure!(nothing["databases"][0]["plan"]["good"] == 1, "{nothing:#}");
    Ok(())
}

fn status_in_every_form(life: &Life<'_>) -> Result<()> {
    let status = life.json(&["status"])?;
    let database = &status["databases"][0];
    ensure!(database["standing"] == "fresh" && database["rpo_seconds"] == 3600, "{status:#}");
    ensure!(database["running"] == json!(null), "the lease was not given back: {status:#}");
    let by_format: Value = serde_json::from_str(&life.text(&["status", "--format", "json"])?)?;
    ensure!(by_format["databases"][0]["newest_good"] == database["newest_good"], "{by_format:#}");
    let text = life.text(&["status"])?;
    ensure!(text.contains(life.database) && text.contains("fresh") && text.contains("1 good"), "{text}");
    let metrics = life.text(&["status", "--format", "prometheus"])?;
    ensure!(metrics.contains(&format!("lifeboat_fresh{{database=\"{}\"}} 1\n", life.database)), "{metrics}");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
        ensure!(name.starts_with("lifeboat_") && value.parse::<f64>().is_ok(), "{line}");
    }
    Ok(())
}
