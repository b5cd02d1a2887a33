//! The status page in a real browser, at two widths, light and dark. `make browser` runs it: it needs Chromium.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::cluster::{repository, tools};
use serde_json::{Value, json};

use super::watched::Watched;

/// Findings of every severity with the longest words there are, and sizes of a whole quarter.
fn worst(state: &mut Value) {
    let finding = |code: &str, severity: &str, message: &str, remedy: &str| json!({ "code": code, "severity": severity, "message": message, "remedy": remedy });
    state["findings"] = json!([
        finding(
            "backup_too_old",
            "critical",
            "the newest good backup is 2 d 3 h old (snapshot of 18 Nov 2026, 02:00 UTC); the RPO is 1 d 2 h",
            "lifeboat dump orders"
        ),
        finding(
            "rows_collapsed",
            "critical",
            "2 tables lost rows: public.a_table_whose_name_is_as_long_as_postgresql_allows_it_to_be_00063 has 12 rows, usually 1,234,567; public.users is gone, usually 99,999 rows",
            "if nobody meant it, keep the backup before: lifeboat hold orders/20261119T020000Z-abcd, then docs/RUNBOOK.md, one table"
        ),
        finding(
            "long_transaction",
            "warning",
            "1 long transaction open: pid 4711 (reporting on orders, an_application_name_without_any_space_that_goes_on_and_on_and_on) for 5 h 12 min. VACUUM cannot remove rows they may see",
            "look at it: SELECT * FROM pg_stat_activity WHERE pid = 4711; end it: SELECT pg_terminate_backend(4711)"
        ),
        finding(
            "scratch_left",
            "info",
            "database lifeboat_drill_0123456789abcdef of 18 Nov 2026, 04:00 UTC outlived its drill and was removed (databases on scratch.example:5432)",
            "nothing is left to do; the drill's log says why it stayed"
        ),
    ]);
    state["since"] = json!({ "backup_too_old": "2026-11-20T04:00:00Z", "long_transaction": "2026-11-20T07:00:00Z" });
    let first = state["facts"]["backups"]["points"][0].clone();
    let points = (0..75_u32).map(|day| {
        let mut point = first.clone();
        let at = jiff_day(day);
        point["backup_id"] = json!(format!("{}T020000Z-abcd", at.replace('-', "")));
        point["at"] = json!(format!("{at}T02:00:00Z"));
        point["completed_at"] = json!(format!("{at}T02:05:00Z"));
        point["stored_bytes"] =
            json!(1_000_000_000_u64 + u64::from(75 - day) * 9_000_000 + u64::from(day % 7) * 5_000_000);
        point["good"] = json!(day % 11 != 0);
        point["standing"] = json!(if day % 11 == 0 { "uploaded" } else { "verified" });
        point
    });
    state["facts"]["backups"]["points"] = points.collect();
    state["facts"]["backups"]["status"]["backups"] =
        json!({ "uploaded": 1, "verified": 14, "restored": 3, "expiring": 2, "corrupt": 1, "damaged": 0 });
    state["facts"]["wanted"]["rto_seconds"] = json!(60);
}

/// So many days before 20 November 2026.
fn jiff_day(before: u32) -> String {
    let lengths = [(11, 20), (10, 31), (9, 30)];
    let mut left = before;
    for (month, days) in lengths {
        if left < days {
            return format!("2026-{month:02}-{:02}", days - left);
        }
        left -= days;
    }
    "2026-08-31".to_owned()
}

#[test]
#[ignore = "needs Chromium: make browser"]
fn the_status_page_is_readable_in_a_real_browser() -> Result<()> {
    let watched = Watched::new("health_browser", "rto = \"30m\"\n[databases.orders.drill]\nselect = \"latest\"\n")?;
    let output =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from).join("browser");
    fs::create_dir_all(&output)?;
    let mut pages = Vec::new();
    let mut keep = |name: &str| -> Result<()> {
        let html = watched.run(&["status", "--format", "html"])?.expect(0)?.stdout;
        let file = output.join(format!("status-{name}.html"));
        fs::write(&file, html)?;
        pages.push(file);
        Ok(())
    };
    // Nothing yet; a real database that is well; several with everything that can be the matter.
    let control = watched.store.path().context("a folder")?.join(".control");
    fs::create_dir_all(&control)?;
    keep("empty")?;
    for _ in 0..3 {
        watched.run(&["dump", "orders"])?.expect(0)?;
    }
    watched.run(&["drill", "orders"])?.expect(0)?;
    watched.run(&["health"])?.expect(0)?;
    keep("well")?;
    let mut state: Value = serde_json::from_slice(&fs::read(control.join("health/orders.json"))?)?;
    let name = "a-database-whose-name-is-rather-long";
    worst(&mut state);
    state["database"] = json!(name);
    state["facts"]["backups"]["status"]["database"] = json!(name);
    fs::write(control.join(format!("health/{name}.json")), serde_json::to_vec(&state)?)?;
    state["findings"] = json!([]);
    state["database"] = json!("billing");
    state["at"] = json!("2026-11-01T00:00:00Z");
    fs::write(control.join("health/billing.json"), serde_json::to_vec(&state)?)?;
    fs::create_dir_all(control.join("incidents"))?;
    let incident = json!({
        "format_version": 1, "database": name,
        "incidents": { "backup": { "state": "open", "severity": "critical", "opened_at": "2026-11-18T02:00:00Z",
            "last_at": "2026-11-20T02:00:00Z", "times": 3,
            "what": "connect to database 'orders' on db.example:5432 as 'lifeboat': password authentication failed" } }
    });
    fs::write(control.join(format!("incidents/{name}.json")), incident.to_string())?;
    fs::create_dir_all(control.join("undelivered"))?;
    fs::write(control.join("undelivered/20261120T020000000000Z-aaaa.json"), "{}")?;
    keep("worst")?;

    let mut check = Command::new("node");
    check
        .arg(repository().join("tests/browser/check.mjs"))
        .arg(&output)
        .args(&pages)
        .env("LIFEBOAT_BROWSER_MODULES", tools().join("browser"));
    let ended = check.output().context("start node: `make browser` installs what this needs")?;
    let (said, failed) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ensure!(ended.status.success(), "{said}{failed}");
    ensure!(output.join("status-worst-400-dark-open.png").exists(), "no screenshot: {said}");
    Ok(())
}
