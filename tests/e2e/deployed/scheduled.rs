//! What rules bring about: this test only looks.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{cdk::PAUSE, program::wait_looking_every, sinks::posts_to};
use serde_json::Value;

use super::site::{PATIENCE, Site, site};

/// Waits for a post to the team's channel that has all these words.
fn posted(words: &[&str]) -> Result<()> {
    let mut posts = Vec::new();
    let arrived = wait_looking_every(PAUSE, &format!("a post tells {words:?}"), PATIENCE, || {
        posts = posts_to(super::site::CHANNEL)?;
        let bodies = posts.iter().filter_map(|post| post["body"].as_str());
        Ok(bodies.into_iter().any(|body| words.iter().all(|word| body.contains(word))))
    });
    arrived.with_context(|| format!("posted were {posts:#?}"))
}

/// `Key` and `Value` of every object's tags below a prefix of the bucket, with its size and storage class.
fn objects(site: &Site, bucket: &str, prefix: &str) -> Result<Vec<(String, u64, String, String)>> {
    let listing = site.account.s3("GET", &format!("/{bucket}?list-type=2&prefix={prefix}"))?;
    let mut found = Vec::new();
    for object in listing.split("<Contents>").skip(1) {
        let field = |name: &str| -> Result<String> {
            let rest = object.split(&format!("<{name}>")).nth(1).with_context(|| format!("{name} in {object}"))?;
            Ok(rest.split('<').next().unwrap_or_default().to_owned())
        };
        let key = field("Key")?;
        let tags = site.account.s3("GET", &format!("/{bucket}/{key}?tagging"))?;
        found.push((key, field("Size")?.parse()?, field("StorageClass")?, tags));
    }
    Ok(found)
}

#[test]
fn a_rules_tick_ends_as_a_verified_backup_with_tags_and_as_a_drill_on_rds_that_leaves_nothing() -> Result<()> {
    let site = site()?;

    // Rule → dump → BackupCompleted → verify.
    let completed = site.events.wait_for("BackupCompleted", "orders", PATIENCE, |_| true)?;
    let backup = completed["backup_id"].as_str().context("the backup")?.to_owned();
    ensure!(completed["verified"] == false, "dump reads nothing back: {completed:#}");
    site.events.wait_for("BackupVerified", "orders", PATIENCE, |detail| detail["backup_id"] == backup.as_str())?;
    site.account.stop_rule("lifeboat-dump-orders")?;
    let listed = site.deployed.lifeboat(&site.account, &["list", "orders"]).json()?;
    let one = listed["backups"].as_array().into_iter().flatten().find(|b| b["backup_id"] == backup.as_str());
    ensure!(one.is_some_and(|one| one["good"] == true && one["rung"] != "uploaded"), "{listed:#}");

    // BackupCompleted → queue → alert → topic → notify → the team's channel.
    posted(&["orders", &backup])?;

    // Rule → retention: everything lies in STANDARD, and what is large enough is tagged to be moved.
    let mut tagged = Vec::new();
    let moves = |tags: &str| tags.contains("<Key>lifeboat-move</Key><Value>GLACIER_IR</Value>");
    let is_to_move =
        |key: &str, size: u64| key.contains("/archive/") && !key.ends_with("toc.dat") && size >= 128 * 1024;
    // It tags one object after the other.
    let looked = wait_looking_every(PAUSE, "retention tags what is to be moved", PATIENCE, || {
        tagged = objects(site, "lifeboat-deployed", &format!("pg/orders/{backup}/"))?;
        let mut to_move = tagged.iter().filter(|(key, size, ..)| is_to_move(key, *size)).peekable();
        Ok(to_move.peek().is_some() && to_move.all(|(.., tags)| moves(tags)))
    });
    looked.with_context(|| format!("{tagged:#?}"))?;
    for (key, size, class, tags) in &tagged {
        ensure!(class == "STANDARD", "{key} is {class}");
        ensure!(moves(tags) == is_to_move(key, *size), "{key} of {size} bytes: {tags}");
        ensure!(!tags.contains("lifeboat-expire"), "{key}: {tags}");
    }

    // Rule → state machine → RDS → report.
    let passed = site.events.wait_for("DrillPassed", "orders", PATIENCE, |_| true)?;
    site.account.stop_rule("lifeboat-drill-orders")?;
    let drill = passed["drill_id"].as_str().context("the drill")?.to_owned();
    let calls = site.account.rds().calls(&Site::instances_of("orders"))?;
    let of = |action: &str| calls.iter().filter(|call| call["action"] == action && call["status"] == 200).count();
    ensure!(of("CreateDBInstance") >= 1 && of("DeleteDBInstance") >= 1, "{calls:#?}");
    let made = calls.iter().find(|call| call["action"] == "CreateDBInstance").context("the creation")?;
    let asked = &made["parameters"];
    for (parameter, value) in [
        ("ManageMasterUserPassword", "true"),
        ("PubliclyAccessible", "false"),
        ("StorageEncrypted", "true"),
        ("DeletionProtection", "false"),
        ("BackupRetentionPeriod", "0"),
    ] {
        ensure!(asked[parameter] == value, "{parameter}: {asked:#}");
    }
    let all: Vec<&str> = asked.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str()).collect();
    for tag in ["lifeboat:scratch", "lifeboat:database", "lifeboat:drill", "lifeboat:execution", "lifeboat:expires-at"]
    {
        ensure!(all.contains(&tag), "no tag {tag}: {asked:#}");
    }
    wait_looking_every(PAUSE, "the instance is gone", PATIENCE, || Ok(site.instances("orders")?.is_empty()))?;

    let page = passed["report"].as_str().context("the report")?;
    let key = page.replace("report.html", "report.json");
    let text = site.account.s3("GET", &format!("/lifeboat-deployed/pg/{key}"))?;
    let report: Value = serde_json::from_str(&text).with_context(|| format!("{key}: {text}"))?;
    ensure!(report["verdict"] == "passed" && report["drill_id"] == drill.as_str(), "{report:#}");
    let drilled = passed["backup_id"].as_str().context("the backup")?;
    let listed = site.deployed.lifeboat(&site.account, &["list", "orders"]).json()?;
    let one = listed["backups"].as_array().into_iter().flatten().find(|b| b["backup_id"] == drilled);
    ensure!(one.is_some_and(|one| one["rung"] == "restored"), "{listed:#}");

    // Rule → health: the page of everything.
    let page = site.account.s3("GET", "/lifeboat-deployed-control/status/index.html")?;
    ensure!(page.contains("orders"), "{page}");
    Ok(())
}
