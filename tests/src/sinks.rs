//! Where mail and webhooks of tests go. Tests share the sinks: each uses an address and a path of its own.

use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use lifeboat_testkit::servers::Sinks;
use serde_json::Value;

use crate::aws::encoded;

static SINKS: OnceLock<Result<Sinks, String>> = OnceLock::new();

/// The sinks of this process; they end with it.
pub fn sinks() -> Result<&'static Sinks> {
    SINKS.get_or_init(|| Sinks::start().map_err(|e| e.to_string())).as_ref().map_err(|e| anyhow!("{e}"))
}

/// Mail to an address, oldest first: `from`, `to`, `subject`, `headers`, `text`, `html`.
pub fn mail_to(address: &str) -> Result<Vec<Value>> {
    list(&format!("/messages?to={}", encoded(address)))
}

/// Posts to a path, oldest first, refused ones too: `headers` (names in lower case), `body`, `status` (the sink's answer).
pub fn posts_to(path: &str) -> Result<Vec<Value>> {
    list(&format!("/posts?path={}", encoded(path)))
}

/// Lets the next posts to a path fail with this status; 0 closes the connection without an answer.
pub fn fail_posts_to(path: &str, times: u32, status: u16) -> Result<()> {
    tell(&format!("/fail?times={times}&status={status}&path={}", encoded(path)))
}

/// Lets the next messages to an address be refused with this SMTP code, such as 451 (for now) or 550 (for good).
pub fn fail_mail_to(address: &str, times: u32, code: u16) -> Result<()> {
    tell(&format!("/fail-mail?times={times}&code={code}&to={}", encoded(address)))
}

fn list(path: &str) -> Result<Vec<Value>> {
    let answer = sinks()?.ask("GET", path).with_context(|| format!("ask the sinks for {path}"))?;
    serde_json::from_slice(&answer.body).with_context(|| format!("{path}: {}", answer.text()))
}

fn tell(path: &str) -> Result<()> {
    let answer = sinks()?.ask("POST", path).with_context(|| format!("tell the sinks {path}"))?;
    ensure!(answer.status == 200, "{path}: HTTP {}: {}", answer.status, answer.text());
    Ok(())
}
