//! A case for every finding: what is well, with one thing changed.

use super::*;

/// What must be found, how gravely, and what is changed to make it so.
pub(super) type Case = (&'static str, Severity, Vec<HealthFinding>);

fn key(expires_at: Option<Timestamp>, revoked: bool) -> RecipientKey {
    let (id, user) = ("A1B2".to_owned(), Some("Ops <ops@example.com>".to_owned()));
    RecipientKey { id, user, expires_at, revoked }
}

fn cases_of_backups() -> Vec<Case> {
    use Severity::{Critical, Info, Warning};
    vec![
        ("no_backup", Critical, with_points(Vec::clear)),
        ("no_good_backup", Critical, with_points(|points| points.iter_mut().for_each(|p| p.good = false))),
        (
            "backup_too_old",
            Critical,
            after(|facts| {
                let newest = facts.backups.as_mut().unwrap().status.newest_good.as_mut().unwrap();
                newest.snapshot_at = hours_ago(27);
            }),
        ),
        ("backup_corrupt", Critical, with_points(|points| points[3].standing = "corrupt".to_owned())),
        (
            "backup_unverified",
            Warning,
            with_points(|points| {
                points[0].rung = Rung::Uploaded;
                points[0].standing = "uploaded".to_owned();
            }),
        ),
        (
            "backup_from_future",
            Warning,
            after(|facts| {
                let problem = "orders/x is dated in the future: a clock is or was wrong".to_owned();
                facts.backups.as_mut().unwrap().status.problems.push(problem);
            }),
        ),
        (
            "dump_overdue",
            Warning,
            after(|facts| facts.backups.as_mut().unwrap().newest_started_at = Some(hours_ago(30))),
        ),
        ("size_changed", Warning, with_points(|points| points[0].stored_bytes = 499)),
        ("size_changed", Warning, with_points(|points| points[0].stored_bytes = 1501)),
        (
            "rows_collapsed",
            Critical,
            after(|facts| {
                let lost = RowDrop { table: "public.users".to_owned(), rows: Some(400), usual: 1000 };
                facts.backups.as_mut().unwrap().drops.push(lost);
            }),
        ),
        (
            "drill_never",
            Warning,
            after(|facts| {
                facts.drills = Some(Vec::new());
                facts.backups.as_mut().unwrap().oldest_at = Some(hours_ago(24 * 36));
            }),
        ),
        ("drill_overdue", Warning, after(|facts| facts.drills = Some(vec![drill(36, Verdict::Passed)]))),
        ("drill_failed", Critical, after(|facts| facts.drills = Some(vec![drill(1, Verdict::Failed)]))),
        (
            "drill_objective_missed",
            Warning,
            after(|facts| facts.drills = Some(vec![drill(1, Verdict::ObjectiveMissed)])),
        ),
        ("rto_will_be_missed", Warning, with_outlook(Outlook::MissedFrom { date: date(2026, 12, 20), days: 30 })),
        ("rto_will_be_missed", Warning, with_outlook(Outlook::Missed)),
        (
            "retention_gap",
            Info,
            after(|facts| facts.retention.as_mut().unwrap().longest_gap = Some((hours_ago(90), 48 * 3600))),
        ),
        (
            "retention_policy",
            Warning,
            after(|facts| {
                let lint = Finding {
                    code: "gap_between_tiers".to_owned(),
                    severity: crate::ports::Severity::Warning,
                    message: "a gap".to_owned(),
                    remedy: "close it".to_owned(),
                };
                facts.retention.as_mut().unwrap().lint.push(lint);
            }),
        ),
        (
            "retention_stalled",
            Warning,
            after(|facts| facts.retention.as_mut().unwrap().removal_overdue_since = Some(hours_ago(72))),
        ),
        (
            "unfinished_uploads",
            Warning,
            after(|facts| facts.unfinished.as_mut().unwrap().folders.push((hours_ago(27), 5))),
        ),
        ("unfinished_uploads", Warning, after(|facts| facts.unfinished.as_mut().unwrap().uploads = 2)),
    ]
}

fn cases_of_control() -> Vec<Case> {
    use Severity::{Critical, Info, Warning};
    let scratch = |in_use: Option<&str>, removed| {
        let left = LeftScratch {
            kind: "database".to_owned(),
            name: "lifeboat_drill_1".to_owned(),
            made_at: hours_ago(30),
            expires_at: None,
            in_use: in_use.map(str::to_owned),
        };
        ScratchSeen { place: "databases on h:1".to_owned(), left: Some(left), removed, trouble: None }
    };
    vec![
        (
            "store_unreachable",
            Critical,
            after(|facts| {
                facts.store.unreachable = Some(failure("store"));
                (facts.backups, facts.drills, facts.retention, facts.unfinished) = (None, None, None, None);
                facts.last_known_good_at = Some(hours_ago(2));
            }),
        ),
        ("store_not_writable", Critical, after(|facts| facts.store.not_writable = Some(failure("store")))),
        (
            "control_store_unreachable",
            Critical,
            after(|facts| {
                facts.control_store.unreachable = Some(failure("store"));
                facts.control = None;
            }),
        ),
        (
            "control_store_not_writable",
            Critical,
            after(|facts| facts.control_store.not_writable = Some(failure("store"))),
        ),
        ("lease_unreadable", Warning, with_control(|control| control.lease_trouble = Some(failure("corrupt")))),
        ("run_too_long", Warning, with_control(|control| control.lease = Some(lease(13)))),
        ("run_died", Warning, with_control(|control| control.died.push(("dump".to_owned(), "x".to_owned())))),
        ("events_undelivered", Warning, with_control(|control| control.undelivered = 1)),
        (
            "alerts_undelivered",
            Warning,
            with_control(|control| control.alerts.push(("orders: backup failed".to_owned(), "refused".to_owned()))),
        ),
        ("subscription_unconfirmed", Warning, with_control(|control| control.unconfirmed.push("a@b".to_owned()))),
        ("topic_unreachable", Warning, with_control(|control| control.topic_trouble = Some(failure("store")))),
        ("topic_unreachable", Critical, with_control(|control| control.topic_trouble = Some(failure("not_found")))),
        ("digest_overdue", Warning, with_control(|control| control.last_digest_at = Some(hours_ago(24 * 8)))),
        ("key_expiring", Warning, after(|facts| facts.wanted.keys = vec![key(Some(hours_ago(-24 * 13)), false)])),
        ("key_expiring", Critical, after(|facts| facts.wanted.keys = vec![key(Some(hours_ago(-24)), false)])),
        ("key_expiring", Critical, after(|facts| facts.wanted.keys = vec![key(Some(hours_ago(24)), false)])),
        ("key_expiring", Critical, after(|facts| facts.wanted.keys = vec![key(None, true)])),
        ("scratch_left", Warning, after(|facts| facts.scratch.push(scratch(Some("1 session"), false)))),
        ("scratch_left", Info, after(|facts| facts.scratch.push(scratch(None, true)))),
        (
            "not_asked",
            Warning,
            after(|facts| facts.not_asked.push(("the server's certificate".to_owned(), failure("database")))),
        ),
    ]
}

fn cases_of_server() -> Vec<Case> {
    use Severity::{Critical, Info, Warning};
    let archiver = Archiver {
        last_archived_at: Some(hours_ago(3)),
        last_failed_at: Some(hours_ago(1)),
        last_failed_wal: Some("000000010000000000000007".to_owned()),
    };
    let standby = |lag| Standby {
        name: "replica".to_owned(),
        state: "streaming".to_owned(),
        lag_seconds: Some(lag),
        lag_bytes: Some(5),
    };
    let prepared = PreparedTransaction {
        gid: "it's".to_owned(),
        database: "orders".to_owned(),
        owner: "ann".to_owned(),
        age_seconds: 3601,
    };
    vec![
        (
            "source_unreachable",
            Critical,
            after(|facts| facts.server = ServerSeen::Unreachable { failure: failure("database") }),
        ),
        ("source_not_configured", Info, after(|facts| facts.server = ServerSeen::NotConfigured)),
        (
            "certificate_expiring",
            Warning,
            after(|facts| facts.certificate.as_mut().unwrap().valid_until = hours_ago(-24 * 20)),
        ),
        (
            "certificate_expiring",
            Critical,
            after(|facts| facts.certificate.as_mut().unwrap().valid_until = hours_ago(1)),
        ),
        (
            "credentials_expiring",
            Warning,
            with_server(|s| s.role.as_mut().unwrap().valid_until = Some(hours_ago(-24 * 13))),
        ),
        (
            "credentials_expiring",
            Critical,
            with_server(|s| s.role.as_mut().unwrap().valid_until = Some(hours_ago(-48))),
        ),
        ("clock_differs", Warning, with_server(|s| s.clock = now() - SignedDuration::from_secs(61))),
        (
            "client_tools_missing",
            Critical,
            after(|facts| {
                facts.tools = ToolFacts { trouble: Some(failure("client_tool")), ..ToolFacts::default() };
            }),
        ),
        ("client_tools_too_old", Critical, after(|facts| facts.tools.trouble = Some(failure("client_tool")))),
        ("wal_retained", Warning, with_server(|s| s.slots.push(slot(false, (1 << 30) + 1, "extended")))),
        ("slot_lost", Critical, with_server(|s| s.slots.push(slot(false, 5, "lost")))),
        ("archiver_failing", Critical, with_server(|s| s.archiver = Some(archiver))),
        ("transaction_ids_old", Warning, with_server(|s| s.ids.as_mut().unwrap().transaction_ids = 500_000_001)),
        ("transaction_ids_old", Critical, with_server(|s| s.ids.as_mut().unwrap().transaction_ids = 1_600_000_000)),
        ("multixact_ids_old", Warning, with_server(|s| s.ids.as_mut().unwrap().multixact_ids = 500_000_001)),
        ("long_transaction", Warning, with_server(|s| s.transactions.push(transaction("psql", 3601, None)))),
        ("idle_in_transaction", Warning, with_server(|s| s.transactions.push(transaction("psql", 901, Some(901))))),
        ("orphaned_session", Warning, with_server(|s| s.transactions.push(transaction("lifeboat dump", 3601, None)))),
        ("prepared_transaction", Warning, with_server(|s| s.prepared.push(prepared))),
        ("connections_near_limit", Warning, with_server(|s| s.connections.as_mut().unwrap().used = 86)),
        ("disk_low", Warning, with_server(|s| s.disk.as_mut().unwrap().free_bytes = 99)),
        ("disk_low", Critical, with_server(|s| s.disk.as_mut().unwrap().free_bytes = 40)),
        ("replication_lag", Warning, with_server(|s| s.standbys.push(standby(301.0)))),
        (
            "replication_lag",
            Warning,
            with_server(|s| s.replay = Some(Replay { delay_seconds: 301.0, receiving: false })),
        ),
    ]
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    [cases_of_backups(), cases_of_control(), cases_of_server()].concat()
}
