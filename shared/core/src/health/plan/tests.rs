//! Every finding can be found, and none is found where all is well.

mod cases;
mod drills;

use jiff::{SignedDuration, Timestamp, civil::date};

use super::*;
use crate::{
    attestation::Rung,
    events::Failure,
    forecast::{self, Dated, Extent, Measured, Outlook, RecoveryForecast},
    health::{
        Backups, CODES, ControlFacts, DrillSeen, Place, RecipientKey, Retention, RowDrop, ScratchSeen, ServerSeen,
        SizePoint, Unfinished, Wanted,
    },
    ids::{BackupId, DrillId, RunId},
    lease::Lease,
    ports::{
        Archiver, Certificate, Connections, Disk, Finding, IdAges, OpenTransaction, PreparedTransaction, Replay,
        ServerFacts, Slot, Standby, ToolFacts, ToolSet, WatchedRole,
    },
    report::Verdict,
    status::{self, LastDrill},
};

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn hours_ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

fn orders() -> DatabaseSlug {
    "orders".parse().unwrap()
}

fn failure(kind: &str) -> Failure {
    Failure { kind: kind.to_owned(), message: "it broke".to_owned(), hint: "mend it".to_owned(), backup_id: None }
}

/// A good backup with so many bytes.
fn point(hours: i64, stored_bytes: u64) -> SizePoint {
    let at = hours_ago(hours);
    SizePoint {
        backup_id: BackupId::new(at, 0),
        at,
        completed_at: Some(at + SignedDuration::from_mins(5)),
        stored_bytes,
        rows: 1000,
        rung: Rung::Verified,
        standing: "verified".to_owned(),
        good: true,
    }
}

fn drill(days: i64, verdict: Verdict) -> DrillSeen {
    let finished_at = hours_ago(days * 24);
    DrillSeen {
        drill: LastDrill {
            drill_id: DrillId::new(finished_at, 0),
            finished_at,
            verdict,
            origin: None,
            rto_seconds: Some(60.0),
            rto_objective_seconds: Some(1800.0),
        },
        backup_id: BackupId::new(finished_at, 0),
        rpo_seconds: None,
        failed_in: None,
        reasons: vec!["3 tables differ".to_owned()],
    }
}

fn backups(points: Vec<SizePoint>) -> Backups {
    let mut status = status::status_of(&orders(), None, &[], now());
    status.newest_good = points.iter().find(|p| p.good).map(|p| status::NewestGood {
        backup_id: p.backup_id.clone(),
        snapshot_at: p.at,
        rung: p.rung,
        stored_bytes: p.stored_bytes,
    });
    Backups {
        status,
        newest_started_at: points.first().map(|p| p.at),
        oldest_at: points.last().map(|p| p.at),
        points,
        drops: Vec::new(),
    }
}

fn server() -> ServerFacts {
    ServerFacts {
        server: "db.example:5432".to_owned(),
        version: "15.18".to_owned(),
        version_num: 150_018,
        clock: now(),
        our_clock: now(),
        standby: false,
        database_bytes: Some(1 << 30),
        wal_bytes: Some(1 << 24),
        temporary_bytes: Some(0),
        disk: Some(Disk { folder: "/data".to_owned(), total_bytes: 1000, free_bytes: 500 }),
        connections: Some(Connections { used: 20, most: 100 }),
        counters: None,
        ids: Some(IdAges {
            transaction_ids: 1_000_000,
            database: "orders".to_owned(),
            multixact_ids: 1000,
            multixact_database: "orders".to_owned(),
        }),
        transactions: Vec::new(),
        prepared: Vec::new(),
        slots: Vec::new(),
        archiver: None,
        standbys: Vec::new(),
        replay: None,
        role: Some(WatchedRole { name: "lifeboat".to_owned(), valid_until: None, sees_all: true }),
        hidden: Vec::new(),
    }
}

/// A database that is well.
fn well() -> Facts {
    Facts {
        run_id: RunId::new(1),
        wanted: Wanted {
            rpo_seconds: Some(26 * 3600),
            schedule: Some("cron(0 2 * * ? *)".to_owned()),
            schedule_pause_seconds: Some(86_400),
            digest_seconds: Some(7 * 86_400),
            ..Wanted::default()
        },
        store: Place { url: "s3://b/p".to_owned(), ..Place::default() },
        control_store: Place { url: "s3://c".to_owned(), ..Place::default() },
        backups: Some(backups((0..8).map(|day| point(10 + 24 * day, 1000)).collect())),
        last_known_good_at: None,
        first_backup_at: None,
        digest_wanted_since: None,
        drills: Some(vec![drill(10, Verdict::Passed)]),
        recovery: None,
        retention: Some(Retention::default()),
        unfinished: Some(Unfinished::default()),
        control: Some(ControlFacts { last_digest_at: Some(hours_ago(24)), ..ControlFacts::default() }),
        tools: ToolFacts {
            found: vec![ToolSet { version: "15.18".to_owned(), major: 15, folder: "/bin".to_owned() }],
            chosen: Some("15.18".to_owned()),
            trouble: None,
        },
        server: ServerSeen::Observed { facts: Box::new(server()) },
        certificate: Some(Certificate { subject: "CN=db".to_owned(), valid_until: hours_ago(-24 * 90) }),
        transactions_per_second: None,
        scratch: Vec::new(),
        not_asked: Vec::new(),
    }
}

fn look(facts: &Facts) -> Vec<HealthFinding> {
    plan(&orders(), facts, &HealthConfig::default(), now())
}

/// The findings after a change of what is well.
fn after(change: impl FnOnce(&mut Facts)) -> Vec<HealthFinding> {
    let mut facts = well();
    change(&mut facts);
    look(&facts)
}

fn with_server(change: impl FnOnce(&mut ServerFacts)) -> Vec<HealthFinding> {
    after(|facts| {
        let mut server = server();
        change(&mut server);
        facts.server = ServerSeen::Observed { facts: Box::new(server) };
    })
}

fn with_points(change: impl FnOnce(&mut Vec<SizePoint>)) -> Vec<HealthFinding> {
    after(|facts| {
        let mut points = facts.backups.take().unwrap().points;
        change(&mut points);
        facts.backups = Some(backups(points));
    })
}

fn with_control(change: impl FnOnce(&mut ControlFacts)) -> Vec<HealthFinding> {
    after(|facts| change(facts.control.as_mut().unwrap()))
}

/// One drill that restored the newest backup in a minute, an RTO of half an hour, and this outlook.
fn expected(outlook: Outlook) -> RecoveryForecast {
    let extent = Extent { stored_bytes: 1000, rows: 1000 };
    let measured = Measured {
        at: hours_ago(24),
        class: None,
        extent,
        recovery_seconds: 60.0,
        restore_seconds: 60.0,
        compare_seconds: None,
    };
    let backup = Dated { at: hours_ago(10), extent };
    RecoveryForecast { outlook, ..forecast::recovery(&[measured], &[backup], Some(1800.0), now()) }
}

fn with_outlook(outlook: Outlook) -> Vec<HealthFinding> {
    after(|facts| facts.recovery = Some(expected(outlook)))
}

fn transaction(application: &str, age: u64, idle: Option<u64>) -> OpenTransaction {
    OpenTransaction {
        pid: 7,
        role: "ann".to_owned(),
        database: "orders".to_owned(),
        application: application.to_owned(),
        age_seconds: age,
        idle_seconds: idle,
    }
}

fn lease(hours: i64) -> Lease {
    Lease {
        format_version: 1,
        run_id: RunId::new(9),
        operation: "dump".to_owned(),
        host: Some("worker".to_owned()),
        acquired_at: hours_ago(hours),
        expires_at: hours_ago(-1),
        ttl_seconds: 60,
        released: false,
    }
}

fn slot(active: bool, retained: u64, status: &str) -> Slot {
    Slot {
        name: "debezium".to_owned(),
        kind: "logical".to_owned(),
        active,
        retained_bytes: Some(retained),
        wal_status: Some(status.to_owned()),
    }
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(look(&well()), Vec::new());
}

#[test]
fn every_finding_can_be_found_alone_and_says_what_to_do() {
    let cases = cases::all();
    for (code, severity, found) in &cases {
        let [finding] = found.as_slice() else { panic!("{code}: {found:#?}") };
        assert_eq!((finding.code.as_str(), finding.severity), (*code, *severity), "{finding:#?}");
        assert!(!finding.message.is_empty() && !finding.remedy.is_empty(), "{finding:#?}");
    }
    for code in CODES {
        assert!(cases.iter().any(|(name, ..)| *name == code.name), "nothing tests {}", code.name);
    }
}

#[test]
fn at_the_threshold_nothing_is_found() {
    let at_limits = with_server(|s| {
        s.connections.as_mut().unwrap().used = 85;
        s.disk.as_mut().unwrap().free_bytes = 100;
        s.transactions = vec![transaction("psql", 3600, None), transaction("psql", 900, Some(900))];
        s.slots = vec![slot(false, 1 << 30, "reserved"), slot(true, 1 << 40, "extended")];
        s.standbys = vec![];
        s.clock = now() - SignedDuration::from_secs(60);
    });
    assert_eq!(at_limits, Vec::new());
    assert_eq!(with_points(|points| points[0].stored_bytes = 500), Vec::new());
    // Two sizes make no mean, and a table that was always small none worth comparing.
    assert_eq!(
        with_points(|points| {
            points.truncate(3);
            points[0].stored_bytes = 1;
        }),
        Vec::new()
    );
    let few = RowDrop { table: "public.settings".to_owned(), rows: Some(0), usual: 99 };
    assert_eq!(after(|facts| facts.backups.as_mut().unwrap().drops.push(few)), Vec::new());
}

#[test]
fn an_rto_that_holds_for_longer_than_a_month_or_was_missed_already_is_not_told_again() {
    assert_eq!(with_outlook(Outlook::MissedFrom { date: date(2026, 12, 21), days: 31 }), Vec::new());
    assert_eq!(with_outlook(Outlook::NotWithinAYear), Vec::new());
    assert_eq!(with_outlook(Outlook::HoldsToday), Vec::new());
    let found = after(|facts| {
        facts.drills = Some(vec![drill(1, Verdict::ObjectiveMissed)]);
        facts.recovery = Some(expected(Outlook::Missed));
    });
    assert_eq!(found.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["drill_objective_missed"]);
    let told = &with_outlook(Outlook::MissedFrom { date: date(2026, 11, 30), days: 10 })[0];
    assert!(told.message.starts_with("the RTO of 30 min will be missed from 2026-11-30 on, in 10 d"), "{told:?}");
}

#[test]
fn without_an_rpo_the_alarm_is_at_thirty_hours() {
    let aged = |hours: i64| {
        after(|facts| {
            facts.wanted = Wanted::default();
            facts.backups = Some(backups(vec![point(hours, 1000)]));
        })
    };
    assert_eq!(aged(30), Vec::new());
    let found = aged(31);
    assert_eq!(found[0].code, "backup_too_old");
    assert!(found[0].message.contains("31 h") || found[0].message.contains("1 d 7 h"), "{}", found[0].message);
    assert!(found[0].message.contains("no RPO is set"), "{}", found[0].message);
    assert_eq!(found[0].remedy, "lifeboat dump orders");
}

#[test]
fn a_store_that_cannot_be_read_does_not_hide_that_the_last_known_backup_grows_old() {
    let found = after(|facts| {
        facts.store.unreachable = Some(failure("store"));
        facts.backups = None;
        facts.last_known_good_at = Some(hours_ago(40));
    });
    let codes: Vec<&str> = found.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["backup_too_old", "store_unreachable"]);
    assert!(found[0].message.contains("as last known"), "{}", found[0].message);
}

#[test]
fn a_dump_that_runs_is_neither_overdue_nor_orphaned() {
    let found = after(|facts| {
        facts.backups.as_mut().unwrap().newest_started_at = Some(hours_ago(30));
        facts.control.as_mut().unwrap().lease = Some(lease(2));
        let mut server = server();
        server.transactions.push(transaction("lifeboat dump", 7200, None));
        facts.server = ServerSeen::Observed { facts: Box::new(server) };
    });
    assert_eq!(found, Vec::new());
}

#[test]
fn what_is_ignored_is_information_and_several_of_a_kind_are_one() {
    let mut facts = well();
    let other = |name: &str| Slot { name: name.to_owned(), ..slot(false, 5, "lost") };
    let mut server = server();
    server.slots = vec![other("a"), other("b")];
    server.standbys = Vec::new();
    facts.server = ServerSeen::Observed { facts: Box::new(server) };
    facts.not_asked = vec![("one".to_owned(), failure("store")), ("two".to_owned(), failure("store"))];
    let found = look(&facts);
    let codes: Vec<&str> = found.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["slot_lost", "not_asked"]);
    assert!(found[1].message.contains("one") && found[1].message.contains("two"));
    let config = HealthConfig { ignore: vec!["slot_lost".to_owned()], ..HealthConfig::default() };
    let found = plan(&orders(), &facts, &config, now());
    assert_eq!((found[1].code.as_str(), found[1].severity), ("slot_lost", Severity::Info));
}

#[test]
fn only_scratch_targets_past_their_time_are_overdue() {
    let made = |hours: i64| LeftScratch {
        kind: "database".to_owned(),
        name: hours.to_string(),
        made_at: hours_ago(hours),
        expires_at: None,
        in_use: None,
    };
    let left = [made(1), made(24), made(25)];
    let overdue = overdue_scratch(&left, &Thresholds::default(), now());
    assert_eq!(overdue.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["25"]);
}
