//! The HTML mail in a real browser, at two widths, light and dark. `make browser` runs it: it needs Chromium.

// Messages of every sort, as the snapshots of their texts have them.
#[path = "../../../shared/core/tests/sample_messages/mod.rs"]
mod sample_messages;

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use lifeboat_core::messages::to_html;
use lifeboat_tests::cluster::{repository, tools};

#[test]
#[ignore = "needs Chromium: make browser"]
fn the_html_mail_is_readable_in_a_real_browser() -> Result<()> {
    let output =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from).join("browser");
    fs::create_dir_all(&output)?;
    let mut wordy = sample_messages::mixed();
    wordy.entries[0].what = format!("{} {}", "unbrokenword".repeat(40), wordy.entries[0].what);
    let mut pages = Vec::new();
    for (name, message) in [
        ("one", sample_messages::one()),
        ("outage", sample_messages::outage(100)),
        ("several", wordy),
        ("escalated", sample_messages::escalated()),
        ("resolved", sample_messages::resolved()),
        ("digest", sample_messages::digest()),
        ("test", sample_messages::test()),
    ] {
        let file = output.join(format!("mail-{name}.html"));
        fs::write(&file, to_html(&message)?)?;
        pages.push(file);
    }
    let mut check = Command::new("node");
    check
        .arg(repository().join("tests/browser/check.mjs"))
        .arg("--mail")
        .arg(&output)
        .args(&pages)
        .env("LIFEBOAT_BROWSER_MODULES", tools().join("browser"));
    let ended = check.output().context("start node: `make browser` installs what this needs")?;
    let (said, failed) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ensure!(ended.status.success(), "{said}{failed}");
    ensure!(output.join("mail-outage-400-dark.png").exists(), "no screenshot: {said}");
    Ok(())
}
