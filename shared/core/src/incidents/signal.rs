//! What an event means for incidents: which kind it opens or resolves, and with what words.

use jiff::Timestamp;

use crate::{
    events::{Body, DrillEnded, Event, Failure, MOST_NAMED, RestoreCompleted, Severity},
    ids::BackupId,
    messages::{Kind, Protection},
    report::{
        Verdict, is_against_data,
        words::{bytes, count, duration},
    },
};

/// Why an incident lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    /// `None` for a backup that failed: that depends on what still protects the database.
    pub(super) severity: Option<Severity>,
    pub(super) what: String,
    pub(super) remedy: Option<String>,
    pub(super) backup: Option<BackupId>,
    pub(super) report: Option<String>,
}

/// One thing an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signal {
    /// Something is wrong.
    Wrong(Trouble),
    /// Something of this kind is right, for the reason given.
    Right { kind: Kind, why: String },
    /// A backup is good.
    Good(Protection),
    /// What health finds now; all of it, where that is `complete`.
    Health { findings: Vec<Trouble>, complete: bool },
    /// These findings of health are over; empty: all.
    Over { codes: Vec<String> },
}

fn wrong(kind: Kind, severity: Option<Severity>, failure: &Failure) -> Signal {
    Signal::Wrong(Trouble {
        kind,
        severity,
        what: failure.message.clone(),
        remedy: Some(failure.hint.clone()).filter(|hint| !hint.is_empty()),
        backup: failure.backup_id.clone(),
        report: None,
    })
}

fn right(kind: Kind, why: impl Into<String>) -> Signal {
    Signal::Right { kind, why: why.into() }
}

/// What an event says, in the order in which it is to be taken.
pub(super) fn signals(event: &Event) -> Vec<Signal> {
    let warning = Some(Severity::Warning);
    match &event.body {
        Body::BackupFailed(failure) => vec![wrong(Kind::Backup, None, failure)],
        Body::BackupCompleted(done) => {
            let made = format!(
                "{}: {} rows in {} tables, {} stored in {}",
                done.backup_id,
                count(done.rows),
                count(done.tables),
                bytes(done.stored_bytes),
                duration(done.seconds)
            );
            let mut signals = Vec::new();
            if done.verified {
                signals.extend(verified(&done.backup_id, done.snapshot_at, &made));
            }
            signals.push(right(Kind::Backup, made));
            signals
        }
        Body::BackupVerified(done) => {
            let why = format!("{}: {} objects read back, {}", done.backup_id, count(done.objects), bytes(done.bytes));
            verified(&done.backup_id, done.backup_id.started_at(), &why)
        }
        Body::VerifyFailed(failure) => vec![wrong(Kind::Verify, warning, failure)],
        Body::BackupCorrupt(corrupt) => {
            let more = corrupt.damaged.saturating_sub(corrupt.damage.len() as u64);
            let rest = if more > 0 { format!("; and {} more objects", count(more)) } else { String::new() };
            let what = format!("{} is damaged: {}{rest}", corrupt.backup_id, corrupt.damage.join("; "));
            let trouble = Trouble {
                kind: Kind::Corrupt,
                severity: Some(Severity::Critical),
                what,
                remedy: Some("do not restore this backup; make a new one, and look for what damaged it".to_owned()),
                backup: Some(corrupt.backup_id.clone()),
                report: None,
            };
            // It was read to its end, whatever was found.
            vec![right(Kind::Verify, format!("{} was read", corrupt.backup_id)), Signal::Wrong(trouble)]
        }
        Body::RetentionApplied(done) => vec![right(
            Kind::Retention,
            format!("{} backups kept, {} expiring, {} removed", done.kept, done.expiring, done.removed),
        )],
        Body::RetentionRefused(failure) | Body::RetentionFailed(failure) => {
            vec![wrong(Kind::Retention, warning, failure)]
        }
        Body::DrillPassed(drill) => vec![right(kind_of(drill), drilled(drill))],
        Body::DrillFailed(drill) => vec![Signal::Wrong(drill_failed(drill))],
        Body::MaintenanceCompleted(done) => {
            vec![right(Kind::Maintenance, format!("{} statements in {}", done.statements, duration(done.seconds)))]
        }
        Body::MaintenanceFailed(failure) => vec![wrong(Kind::Maintenance, warning, failure)],
        Body::RestoreCompleted(done) => vec![restored(done)],
        Body::RestoreFailed(failure) => vec![wrong(Kind::Restore, warning, failure)],
        Body::HealthDegraded(health) => {
            let findings = health.findings.iter().map(|finding| Trouble {
                kind: Kind::Health(finding.code.clone()),
                severity: Some(finding.severity),
                what: finding.message.clone(),
                remedy: Some(finding.remedy.clone()).filter(|remedy| !remedy.is_empty()),
                backup: None,
                report: None,
            });
            // Events of before did not say so where they had no room.
            let complete = health.complete && health.findings.len() < MOST_NAMED;
            vec![Signal::Health { findings: findings.collect(), complete }]
        }
        Body::HealthRecovered(health) => vec![Signal::Over { codes: health.recovered.clone() }],
    }
}

fn verified(backup: &BackupId, snapshot_at: Timestamp, why: &str) -> Vec<Signal> {
    let good = Protection { backup_id: backup.clone(), snapshot_at, restored: false };
    // First what it says for itself: the message that it is over names the newest good backup.
    vec![Signal::Good(good), right(Kind::Verify, why)]
}

/// A restore whose service did not come up again is no restore that anybody can use.
fn restored(done: &RestoreCompleted) -> Signal {
    let what = format!("{} was restored to {} in {}", done.backup_id, done.target, duration(done.seconds));
    if done.trouble.is_empty() {
        return right(Kind::Restore, what);
    }
    Signal::Wrong(Trouble {
        kind: Kind::Restore,
        severity: Some(Severity::Critical),
        what: format!("{what}, but afterwards: {}", done.trouble.join("; ")),
        remedy: Some("the data are in place: look at the services that use them".to_owned()),
        backup: Some(done.backup_id.clone()),
        report: None,
    })
}

/// A drill of another origin says nothing about backups: neither does it end what a drill of a backup began.
fn kind_of(drill: &DrillEnded) -> Kind {
    if drill.origin.is_some() { Kind::InstanceDrill } else { Kind::Drill }
}

fn drilled(drill: &DrillEnded) -> String {
    if let Some(origin) = &drill.origin {
        let whose = drill.backup_id.as_ref().map_or_else(String::new, |backup| format!(" of {backup}"));
        return format!("{origin}: its catalog is that{whose}; rows were not compared, and no backup was restored");
    }
    let backup = drill.backup_id.as_ref().map_or_else(|| "a backup".to_owned(), ToString::to_string);
    let took = drill.rto_seconds.map_or_else(String::new, |seconds| format!(" in {}", duration(seconds)));
    format!("{backup} was restored{took} and compared equal")
}

/// Data that differ, or could not be brought back, are another matter than a drill that could not be run, or was slow.
fn severity_of(drill: &DrillEnded) -> Severity {
    match drill.verdict {
        // No report, but an error: it never came to restoring, or was broken off.
        None if drill.failure.is_some() => Severity::Warning,
        Some(Verdict::Passed | Verdict::ObjectiveMissed) => Severity::Warning,
        None | Some(Verdict::Failed) if is_against_data(drill.phase.as_deref()) => Severity::Critical,
        None | Some(Verdict::Failed) => Severity::Warning,
    }
}

fn drill_failed(drill: &DrillEnded) -> Trouble {
    let what = match (&drill.failure, &drill.reasons[..]) {
        (Some(failure), []) => failure.message.clone(),
        (_, reasons) => reasons.join("; "),
    };
    Trouble {
        kind: kind_of(drill),
        severity: Some(severity_of(drill)),
        what,
        remedy: drill.failure.as_ref().map(|failure| failure.hint.clone()).filter(|hint| !hint.is_empty()),
        backup: drill.backup_id.clone().filter(|_| drill.origin.is_none()),
        report: drill.report.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_after_which_the_service_does_not_answer_is_no_end_of_the_incident() {
        let mut done = RestoreCompleted {
            backup_id: "20261123T020004Z-k3vd".parse().unwrap(),
            target: "production".to_owned(),
            how: crate::events::RestoreKind::Swap,
            rows: 1,
            seconds: 2.0,
            downtime_seconds: Some(0.2),
            kept_as: None,
            schema: None,
            trouble: Vec::new(),
        };
        assert!(matches!(restored(&done), Signal::Right { kind: Kind::Restore, .. }));
        done.trouble.push("https://shop.example/health did not answer".to_owned());
        let Signal::Wrong(trouble) = restored(&done) else { panic!("trouble was passed over") };
        assert_eq!((trouble.kind, trouble.severity), (Kind::Restore, Some(Severity::Critical)));
        assert!(trouble.what.contains("production") && trouble.what.contains("did not answer"), "{}", trouble.what);
    }
}
