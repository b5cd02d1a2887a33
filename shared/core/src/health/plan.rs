//! The plan of health: from facts, thresholds and the time to findings, gravest first. Pure.

mod backups;
mod control;
mod forecast;
mod keys;
mod server;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::{
    config::{HealthConfig, Thresholds},
    events::{HealthFinding, Severity},
    health::{Facts, words},
    ids::DatabaseSlug,
    ports::LeftScratch,
};

/// What a finding is made of.
struct Findings<'a> {
    database: &'a DatabaseSlug,
    facts: &'a Facts,
    thresholds: &'a Thresholds,
    now: Timestamp,
    found: Vec<HealthFinding>,
}

impl Findings<'_> {
    fn add(&mut self, code: &str, severity: Severity, message: impl Into<String>, remedy: impl Into<String>) {
        debug_assert!(super::CODES.iter().any(|c| c.name == code), "{code} is not in the list of codes");
        self.found.push(HealthFinding {
            code: code.to_owned(),
            severity,
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    /// Seconds since.
    fn since(&self, at: Timestamp) -> u64 {
        words::seconds_between(at, self.now)
    }
}

/// Everything that is the matter, gravest first. What the configuration ignores comes last, as information.
pub fn plan(database: &DatabaseSlug, facts: &Facts, config: &HealthConfig, now: Timestamp) -> Vec<HealthFinding> {
    let mut findings = Findings { database, facts, thresholds: &config.thresholds, now, found: Vec::new() };
    backups::look(&mut findings);
    forecast::look(&mut findings);
    control::look(&mut findings);
    keys::look(&mut findings);
    server::look(&mut findings);
    let mut found = merged(findings.found);
    for finding in found.iter_mut().filter(|finding| config.ignore.contains(&finding.code)) {
        finding.severity = Severity::Info;
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

/// One finding of each kind: alerts are kept by it.
fn merged(found: Vec<HealthFinding>) -> Vec<HealthFinding> {
    let mut merged: Vec<HealthFinding> = Vec::with_capacity(found.len());
    for finding in found {
        match merged.iter_mut().find(|other| other.code == finding.code) {
            Some(other) => {
                if finding.severity > other.severity {
                    other.severity = finding.severity;
                    other.remedy = finding.remedy;
                }
                other.message = format!("{}; {}", other.message, finding.message);
            }
            None => merged.push(finding),
        }
    }
    merged
}

/// The scratch targets that are past their time and may be removed, of all that were found.
pub fn overdue_scratch<'a>(left: &'a [LeftScratch], thresholds: &Thresholds, now: Timestamp) -> Vec<&'a LeftScratch> {
    let expiry = |target: &LeftScratch| {
        target.expires_at.unwrap_or_else(|| words::after(target.made_at, thresholds.scratch_age))
    };
    left.iter().filter(|target| expiry(target) < now).collect()
}
