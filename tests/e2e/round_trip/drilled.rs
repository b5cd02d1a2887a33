//! A drill of a backup in a throwaway cluster: passed, with every table and large object compared, and on record.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lifeboat_tests::Cluster;
use serde_json::Value;

use super::backup::Backup;

/// Drills in a local scratch cluster of the source's own programs.
pub(super) fn expect_drill_to_pass(backup: &Backup, source: &Cluster) -> Result<()> {
    let answer = backup
        .lifeboat(["drill", "kept", "--select", "latest", "--scratch", "local"])
        .env("LIFEBOAT_CLIENT_TOOLS", &source.bin)
        .args(["--output", "json"])
        .args(backup.identity())
        .run()?;
    let answer: Value = serde_json::from_str(&answer.stdout).with_context(|| format!("drill: {answer:?}"))?;
    let read = |format: &str| backup.read(answer["report"][format].as_str().context("the answer names its report")?);
    ensure!(answer["verdict"] == "passed", "{answer:#}\n{}", read("markdown")?);
    let (html, markdown) = (read("html")?, read("markdown")?);
    ensure!(html.trim_start().to_lowercase().starts_with("<!doctype html>"), "not HTML: {html:.80}");
    ensure!(html.contains("<title>Passed") && markdown.starts_with("# ") && markdown.contains("Passed"), "{markdown}");
    let report: Value = serde_json::from_str(&read("json")?)?;
    expect_all_compared(&report, &backup.manifest()?)?;
    let controls = report["proof"]["negative_controls"].as_array().context("negative controls")?;
    ensure!(!controls.is_empty() && controls.iter().all(|c| c["rejected"] == true), "{controls:#?}");
    ensure!(report["closure"]["torn_down"] == true, "{:#}", report["closure"]);
    let encryption = &backup.manifest()?["encryption"];
    ensure!(report["crypto"]["encryption"] == *encryption, "{:#}", report["crypto"]);
    ensure!(encryption.is_null() || report["crypto"]["decrypted"]["value"] == true, "{:#}", report["crypto"]);
    Ok(())
}

/// Every table and large object of the manifest is among what the report says was compared, and all are equal.
fn expect_all_compared(report: &Value, manifest: &Value) -> Result<()> {
    let tables = report["data"]["tables"].as_array().context("compared tables")?;
    let equal: BTreeSet<&str> =
        tables.iter().filter(|t| t["outcome"] == "equal").filter_map(|t| t["table"].as_str()).collect();
    ensure!(equal.len() == tables.len(), "{:#}", report["data"]["coverage"]);
    for table in manifest["tables"].as_array().context("the manifest's tables")? {
        let own = format!("{}.{}", table["schema"].as_str().unwrap_or(""), table["name"].as_str().unwrap_or(""));
        let name = table["loads_into"].as_str().unwrap_or(&own);
        ensure!(equal.contains(name), "{name} was not compared");
    }
    let large_objects = manifest["large_objects"].as_array().map_or(0, Vec::len);
    ensure!(report["data"]["large_objects"]["compared"] == large_objects, "{:#}", report["data"]["large_objects"]);
    Ok(())
}
