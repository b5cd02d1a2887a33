//! What health remembers of one database from run to run: one object in the control store, from which pages are made too.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result, ResultExt,
    events::{HealthFinding, Severity},
    health::{CODES, Facts},
    ids::DatabaseSlug,
    ports::{Store, Swap},
    status::LastLook,
};

/// The folder of the control store in which the states lie.
pub const STATE_FOLDER: &str = "health/";

/// The most bytes that a state may have.
const LIMIT: u64 = 16 << 20;

/// How often a write is tried that another run was faster with.
const ATTEMPTS: usize = 5;

/// Since when each finding has been there, by its code.
pub type Since = BTreeMap<String, Timestamp>;

/// What health saw and found when it last looked at a database: `health/<database>.json` in the control store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthState {
    /// 1.
    pub format_version: u32,
    /// The database.
    pub database: DatabaseSlug,
    /// When it was looked at.
    pub at: Timestamp,
    /// What was seen.
    pub facts: Facts,
    /// What was found, gravest first.
    pub findings: Vec<HealthFinding>,
    /// Since when.
    pub since: Since,
}

/// The key of a database's state in the control store.
pub fn state_key(database: &DatabaseSlug) -> String {
    format!("{STATE_FOLDER}{database}.json")
}

/// What lies under a state's key.
#[derive(Default)]
pub(super) struct Stored {
    /// None where there is no state, or none that this version can read.
    pub(super) state: Option<HealthState>,
    etag: Option<String>,
}

/// Reads a state. One that cannot be understood counts as none: the next look replaces it.
pub(super) async fn load(control: &dyn Store, database: &DatabaseSlug) -> Result<Stored> {
    let key = state_key(database);
    match control.read(&key, LIMIT).await {
        Ok((bytes, stored)) => Ok(Stored { state: parse(&key, &bytes), etag: stored.etag }),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Stored::default()),
        Err(e) => Err(e.context("read what health saw before")),
    }
}

fn parse(key: &str, bytes: &[u8]) -> Option<HealthState> {
    serde_json::from_slice::<HealthState>(bytes)
        .inspect_err(|error| tracing::warn!(key, %error, "an earlier state of health cannot be read"))
        .ok()
        .filter(|state| state.format_version == 1)
}

/// Writes a state, unless a later one is there by now. Another run's earlier state is replaced: the later look counts.
pub(super) async fn save(control: &dyn Store, state: &HealthState, mut before: Stored) -> Result<()> {
    let key = state_key(&state.database);
    let body = Bytes::from(serde_json::to_vec_pretty(state).or_error(ErrorKind::Unexpected, "write health's state")?);
    for _ in 0..ATTEMPTS {
        match control.swap(&key, before.etag.as_deref(), body.clone()).await? {
            Swap::Done(_) => return Ok(()),
            Swap::Lost => before = load(control, &state.database).await?,
        }
        if before.state.as_ref().is_some_and(|there| there.at > state.at) {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Store, format!("{key}: other runs were faster {ATTEMPTS} times")))
}

/// What was found when health last looked; nothing where that cannot be read.
pub async fn last_findings(control: &dyn Store, database: &DatabaseSlug) -> Vec<HealthFinding> {
    let stored = load(control, database).await.unwrap_or_default();
    stored.state.map_or_else(Vec::new, |state| state.findings)
}

/// When health last looked, and how much it found; nothing where that cannot be read.
pub(crate) async fn last_look(control: &dyn Store, database: &DatabaseSlug) -> Option<LastLook> {
    let state = load(control, database).await.unwrap_or_default().state?;
    let count = |severity| state.findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    Some(LastLook { at: state.at, critical: count(Severity::Critical), warnings: count(Severity::Warning) })
}

/// The states of all databases, by name; ones that cannot be read are left out with a warning.
pub(super) async fn all(control: &dyn Store) -> Result<Vec<HealthState>> {
    let mut states = Vec::new();
    for listed in control.list(STATE_FOLDER).await? {
        if listed.key.strip_suffix(".json").is_none() {
            continue;
        }
        match control.read(&listed.key, LIMIT).await {
            Ok((bytes, _)) => states.extend(parse(&listed.key, &bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e.context(format!("read {}", listed.key))),
        }
    }
    Ok(states)
}

/// Whether it is told, and not only shown.
pub(super) fn is_told(finding: &HealthFinding) -> bool {
    finding.severity >= Severity::Warning
}

/// What was found before and could not be looked at now: it is not over because nobody could look.
pub(super) fn carry(before: &[HealthFinding], facts: &Facts, found: &mut Vec<HealthFinding>) {
    for earlier in before {
        let known = CODES.iter().find(|code| code.name == earlier.code);
        let looked_at = known.is_none_or(|code| facts.looked_at(code.part));
        if !looked_at && found.iter().all(|finding| finding.code != earlier.code) {
            found.push(earlier.clone());
        }
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
}

/// Since when each of the findings has been there.
pub(super) fn since(before: Option<&HealthState>, findings: &[HealthFinding], now: Timestamp) -> Since {
    let earlier = |code: &str| before.and_then(|state| state.since.get(code)).copied();
    findings.iter().map(|finding| (finding.code.clone(), earlier(&finding.code).unwrap_or(now))).collect()
}
