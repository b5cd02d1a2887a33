//! The function `retention`: once per scheduled time, and without the permission to delete.

use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use lifeboat_core::attestation::Statement;
use lifeboat_testkit::{BackupBuilder, attestation, servers::Minio, store_attestation};
use lifeboat_tests::{StoreUnderTest, gatekeeper::Gatekeeper};
use serde_json::Value;

use super::emulator::Functions;
use crate::stores::access::opened;

/// A MinIO whose every request is decided upon by the gatekeeper; it ends with the process.
fn guarded() -> Result<&'static (Gatekeeper, Minio)> {
    static GUARDED: OnceLock<Result<(Gatekeeper, Minio), String>> = OnceLock::new();
    let start = || {
        let gatekeeper = Gatekeeper::start()?;
        let server = Minio::start_with(&[("MINIO_POLICY_PLUGIN_URL", &gatekeeper.url)])?;
        anyhow::Ok((gatekeeper, server))
    };
    GUARDED.get_or_init(|| start().map_err(|e| format!("{e:#}"))).as_ref().map_err(|e| anyhow::anyhow!("{e}"))
}

/// A month of daily backups, and one that has been expiring for long enough.
async fn history(store: &StoreUnderTest) -> Result<String> {
    let inside = opened(store).await?;
    for (month, days) in [(9, 16..=30), (10, 1..=15)] {
        for day in days {
            let at = format!("2025-{month:02}-{day:02}T02:00:00Z");
            BackupBuilder::new("orders", &at).store_verified(&*inside).await?;
        }
    }
    let manifest = BackupBuilder::new("orders", "2025-08-13T02:00:00Z").store_verified(&*inside).await?;
    let expiring = Statement::Expiring { reason: "long ago".to_owned() };
    store_attestation(&*inside, &attestation(&manifest, "2025-09-01T00:00:00Z".parse()?, expiring)).await?;
    Ok(manifest.folder())
}

fn steps(report: &Value, wanted: &str) -> usize {
    let done = report["done"].as_array().map(Vec::as_slice).unwrap_or_default();
    done.iter().filter(|d| d["step"]["do"] == wanted && d.get("skipped").is_none()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_works_without_any_permission_to_delete_and_happens_once() -> Result<()> {
    let (gatekeeper, server) = guarded()?;
    server.create_bucket("undeletable")?;
    let store = StoreUnderTest::in_bucket(server, "undeletable");
    let expired = history(&store).await?;
    let mut functions = Functions::start(&store, "postgres")?;
    functions.serve("retention", 1, &[])?;
    gatekeeper.allow(|action| !action.contains("Delete") && !action.contains("Bypass"));

    let plan = functions.invoke("retention", "plan.json")?.answer()?;
    ensure!(plan["status"] == "done" && plan["dry_run"] == true && plan["done"] == serde_json::json!([]), "{plan:#}");
    let done = functions.invoke("retention", "daily.json")?.answer()?;
    ensure!(done["dry_run"] == false && steps(&done, "announce") > 10, "{done:#}");
    ensure!(steps(&done, "remove") == 1 && done["reclaimed_bytes"].as_u64() > Some(0), "{done:#}");
    ensure!(gatekeeper.refused().is_empty(), "asked for {:?}", gatekeeper.refused());
    for needed in ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:PutObjectTagging"] {
        ensure!(gatekeeper.asked().contains(needed), "{needed} was not asked for: {:?}", gatekeeper.asked());
    }

    // Nothing is gone; what a lifecycle rule is to remove is tagged.
    let inside = opened(&store).await?;
    let objects = inside.list(&expired).await?;
    ensure!(objects.iter().any(|o| o.key.ends_with("/manifest.json")), "{objects:#?}");
    for object in objects.iter().filter(|o| !o.key.contains("/attestations/")) {
        let tags = inside.tags(&object.key).await?;
        ensure!(tags.get("lifeboat-expire").map(String::as_str) == Some("true"), "{}: {tags:?}", object.key);
    }
    let again = functions.invoke("retention", "daily.json")?.answer()?;
    ensure!(again["status"] == "already_done" && again["earlier"]["plan"] == done["plan"], "{again:#}");

    // The guard is real: deleting is refused.
    let manifest = objects.iter().find(|o| o.key.ends_with("/manifest.json")).context("the manifest")?;
    ensure!(inside.delete(&manifest.key).await.is_err() && !gatekeeper.refused().is_empty());
    Ok(())
}
