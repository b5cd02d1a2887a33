//! The names of everything that health can find: a contract, because people filter alerts by them.

use crate::{
    ErrorKind,
    events::{HealthFinding, Severity},
    ports::question,
};

/// One kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Its stable name.
    pub name: &'static str,
    /// The kind of error whose exit code the command line ends with where a finding of this kind is critical.
    pub kind: ErrorKind,
    /// What must have been looked at before its absence means anything.
    pub(super) part: Part,
}

/// A part of what health looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Backups,
    Drills,
    Retention,
    Unfinished,
    Control,
    /// Whether the server can be asked at all.
    Reach,
    Certificate,
    /// A server that answered, and these questions among its answers.
    Server(&'static [&'static str]),
    Always,
}

const fn code(name: &'static str, kind: ErrorKind, part: Part) -> Code {
    Code { name, kind, part }
}

/// All of them. docs/HEALTH.md says what each means.
pub const CODES: [Code; 52] = [
    code("no_backup", ErrorKind::ObjectiveMissed, Part::Backups),
    code("no_good_backup", ErrorKind::ObjectiveMissed, Part::Backups),
    code("backup_too_old", ErrorKind::ObjectiveMissed, Part::Backups),
    code("backup_corrupt", ErrorKind::Corrupt, Part::Backups),
    code("backup_unverified", ErrorKind::Corrupt, Part::Backups),
    code("backup_from_future", ErrorKind::Corrupt, Part::Backups),
    code("dump_overdue", ErrorKind::ObjectiveMissed, Part::Backups),
    code("size_changed", ErrorKind::Corrupt, Part::Backups),
    code("rows_collapsed", ErrorKind::Corrupt, Part::Backups),
    code("unfinished_uploads", ErrorKind::Store, Part::Unfinished),
    code("drill_never", ErrorKind::Corrupt, Part::Drills),
    code("drill_overdue", ErrorKind::Corrupt, Part::Drills),
    code("drill_failed", ErrorKind::Corrupt, Part::Drills),
    code("drill_objective_missed", ErrorKind::ObjectiveMissed, Part::Drills),
    code("rto_will_be_missed", ErrorKind::ObjectiveMissed, Part::Drills),
    code("retention_gap", ErrorKind::ObjectiveMissed, Part::Retention),
    code("retention_policy", ErrorKind::Config, Part::Retention),
    code("retention_stalled", ErrorKind::Store, Part::Retention),
    code("store_unreachable", ErrorKind::Store, Part::Always),
    code("store_not_writable", ErrorKind::Store, Part::Always),
    code("control_store_unreachable", ErrorKind::Store, Part::Always),
    code("control_store_not_writable", ErrorKind::Store, Part::Always),
    code("lease_unreadable", ErrorKind::Store, Part::Control),
    code("run_too_long", ErrorKind::Deadline, Part::Control),
    code("run_died", ErrorKind::Unexpected, Part::Control),
    code("events_undelivered", ErrorKind::Store, Part::Control),
    code("alerts_undelivered", ErrorKind::Store, Part::Control),
    code("topic_unreachable", ErrorKind::Store, Part::Control),
    code("subscription_unconfirmed", ErrorKind::Config, Part::Control),
    code("digest_overdue", ErrorKind::Store, Part::Control),
    code("source_unreachable", ErrorKind::Database, Part::Reach),
    code("source_not_configured", ErrorKind::Config, Part::Always),
    code("certificate_expiring", ErrorKind::Database, Part::Certificate),
    code("credentials_expiring", ErrorKind::Database, Part::Server(&[question::ROLE])),
    code("key_expiring", ErrorKind::Keys, Part::Always),
    code("clock_differs", ErrorKind::Database, Part::Server(&[])),
    code("client_tools_missing", ErrorKind::ClientTool, Part::Server(&[])),
    code("client_tools_too_old", ErrorKind::ClientTool, Part::Server(&[])),
    code("wal_retained", ErrorKind::Database, Part::Server(&[question::SLOTS])),
    code("slot_lost", ErrorKind::Database, Part::Server(&[question::SLOTS])),
    code("archiver_failing", ErrorKind::Database, Part::Server(&[question::ARCHIVER])),
    code("transaction_ids_old", ErrorKind::Database, Part::Server(&[question::IDS])),
    code("multixact_ids_old", ErrorKind::Database, Part::Server(&[question::IDS])),
    code("long_transaction", ErrorKind::Database, Part::Server(&[question::TRANSACTIONS])),
    code("idle_in_transaction", ErrorKind::Database, Part::Server(&[question::TRANSACTIONS])),
    code("orphaned_session", ErrorKind::Database, Part::Server(&[question::TRANSACTIONS])),
    code("prepared_transaction", ErrorKind::Database, Part::Server(&[question::PREPARED])),
    code("connections_near_limit", ErrorKind::Database, Part::Server(&[question::CONNECTIONS])),
    code("disk_low", ErrorKind::Database, Part::Server(&[question::DATA_FOLDER, question::DISK])),
    code("replication_lag", ErrorKind::Database, Part::Server(&[question::STANDBYS, question::REPLAY])),
    code("scratch_left", ErrorKind::Database, Part::Always),
    code("not_asked", ErrorKind::Unexpected, Part::Always),
];

/// What the command line ends with: nothing while no finding is critical, else the worst of the critical ones. A missed
/// RPO comes before everything else, then what is damaged, then what cannot be reached.
pub fn exit_kind<'a>(findings: impl IntoIterator<Item = &'a HealthFinding>) -> Option<ErrorKind> {
    const ORDER: [ErrorKind; 5] =
        [ErrorKind::ObjectiveMissed, ErrorKind::Corrupt, ErrorKind::Store, ErrorKind::Database, ErrorKind::ClientTool];
    findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Critical)
        .map(|finding| CODES.iter().find(|c| c.name == finding.code).map_or(ErrorKind::Unexpected, |c| c.kind))
        .min_by_key(|kind| ORDER.iter().position(|k| k == kind).unwrap_or(ORDER.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: &str, severity: Severity) -> HealthFinding {
        HealthFinding { code: code.to_owned(), severity, message: String::new(), remedy: String::new() }
    }

    #[test]
    fn a_missed_rpo_decides_the_exit_code_and_warnings_leave_it_alone() {
        let critical = |code| finding(code, Severity::Critical);
        let too_old = critical("backup_too_old");
        assert_eq!(exit_kind([&critical("source_unreachable"), &too_old]), Some(ErrorKind::ObjectiveMissed));
        assert_eq!(
            exit_kind([&critical("client_tools_missing"), &critical("source_unreachable")]),
            Some(ErrorKind::Database)
        );
        assert_eq!(exit_kind([&critical("disk_low"), &critical("backup_corrupt")]), Some(ErrorKind::Corrupt));
        assert_eq!(exit_kind([&finding("backup_too_old", Severity::Warning)]), None);
    }

    #[test]
    fn names_are_told_once_and_documented() {
        let documentation = include_str!("../../../../docs/HEALTH.md");
        for (index, code) in CODES.iter().enumerate() {
            assert!(CODES[..index].iter().all(|other| other.name != code.name), "{} is there twice", code.name);
            assert!(documentation.contains(&format!("| `{}` |", code.name)), "docs/HEALTH.md lacks {}", code.name);
        }
    }
}
