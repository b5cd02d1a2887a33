//! Messages of every sort, as they are when they leave.

#![allow(dead_code, reason = "each test uses some of them")]
#![allow(clippy::unwrap_used, reason = "a sample that cannot be made fails its test")]

use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{
    config::Span,
    events::{
        BackupCompleted, BackupCorrupt, Body, DrillEnded, Event, FORMAT_VERSION, Failure, HealthDegraded,
        HealthFinding, Severity,
    },
    ids::{BackupId, DatabaseSlug, RunId},
    incidents::{Ledger, Terms, plan},
    manifest::Tier,
    messages::{
        Digest, DigestDatabase, DigestIncident, Entry, Kind, Message, Protection, Signature, StorageShare, of_digest,
        of_entries, of_test,
    },
    report::Verdict,
};

/// So many minutes after two at night.
pub(crate) fn at(minutes: i64) -> Timestamp {
    "2026-11-20T02:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn slug(name: &str) -> DatabaseSlug {
    name.parse().unwrap()
}

fn signature() -> Signature {
    Signature {
        contacts: vec!["Ann (databases) +49 30 1234, ann@acme.example".to_owned(), "#ops in Slack".to_owned()],
        escalation_contacts: vec!["Bob (head of operations) +49 30 5678".to_owned()],
        store: Some("s3://acme-lifeboat/pg".to_owned()),
    }
}

fn terms() -> Terms {
    Terms {
        reminder: Span(86_400),
        escalate_after: Some(Span(86_400)),
        severity: Severity::Info,
        per_run: false,
        rpo: None,
    }
}

fn failure(message: &str, hint: &str) -> Failure {
    Failure { kind: "database".to_owned(), message: message.to_owned(), hint: hint.to_owned(), backup_id: None }
}

fn refused() -> Body {
    Body::BackupFailed(failure(
        "connect to db.internal:5432: connection refused",
        "check that the server runs and that host, port, user and password are right; `lifeboat preflight` tells more",
    ))
}

fn completed(minutes: i64) -> Body {
    Body::BackupCompleted(BackupCompleted {
        backup_id: BackupId::new(at(minutes), 12_345),
        tier: Tier::Daily,
        snapshot_at: at(minutes),
        tables: 41,
        rows: 1_234_567,
        raw_bytes: 3 << 30,
        stored_bytes: 700 << 20,
        seconds: 74.0,
        omitted: 0,
        verified: true,
    })
}

/// What these events come to, for one database; `now` is minutes too.
fn entries(database: &str, events: &[(i64, Body)], now: i64) -> Vec<(String, Entry)> {
    let mut ledger = Ledger::new(&slug(database));
    for (minutes, body) in events {
        let event = Event {
            format_version: FORMAT_VERSION,
            run_id: RunId::new(7),
            database: slug(database),
            at: at(*minutes),
            body: body.clone(),
        };
        ledger.notices.clear();
        ledger = plan(&ledger, &[&event], &terms(), None, at(*minutes)).ledger;
    }
    let due = plan(&ledger, &[], &terms(), None, at(now)).ledger.notices;
    due.into_iter().map(|notice| (notice.id, notice.entry)).collect()
}

fn message(parts: impl IntoIterator<Item = Vec<(String, Entry)>>, now: i64) -> Message {
    let (ids, entries): (Vec<String>, Vec<Entry>) = parts.into_iter().flatten().unzip();
    of_entries(entries, &ids, &signature(), at(now)).unwrap()
}

/// One backup that failed, for the third time.
pub(crate) fn one() -> Message {
    message([entries("orders", &[(-1440, completed(-1440)), (0, refused())], 62)], 62)
}

/// Many at once, for one reason.
pub(crate) fn outage(databases: usize) -> Message {
    let names = (0..databases).map(|n| format!("shop-{n:03}"));
    message(names.map(|name| entries(&name, &[(0, refused())], 1)), 1)
}

/// Different things of different databases.
pub(crate) fn mixed() -> Message {
    let damage = BackupCorrupt {
        backup_id: BackupId::new(at(-1440), 77),
        damage: vec![
            "archive/3417.dat.zst: SHA-256 differs from the manifest's".to_owned(),
            "archive/3420.dat.zst is missing".to_owned(),
        ],
        damaged: 7,
    };
    let drill = DrillEnded {
        drill_id: None,
        backup_id: Some(BackupId::new(at(-2880), 3)),
        origin: None,
        report: Some("users/drills/20261120T010000Z-abcd/report.html".to_owned()),
        verdict: Some(Verdict::Failed),
        phase: Some("compare".to_owned()),
        reasons: vec!["public.users: 41 rows are missing".to_owned()],
        rto_seconds: Some(600.0),
        rto_objective_seconds: Some(1800),
        failure: None,
    };
    let health = HealthDegraded {
        findings: vec![HealthFinding {
            code: "long_transaction".to_owned(),
            severity: Severity::Warning,
            message: "a transaction of 'report' has been open for 14 h 3 min".to_owned(),
            remedy: "SELECT pg_terminate_backend(4711);".to_owned(),
        }],
        complete: true,
    };
    let denied = Body::RetentionFailed(failure("tag billing/…: AccessDenied", "let the role s3:PutObjectTagging"));
    message(
        [
            entries("orders", &[(-1430, completed(-2880)), (0, Body::BackupCorrupt(damage))], 3),
            entries("users", &[(1, Body::DrillFailed(drill))], 3),
            entries("billing", &[(2, denied)], 3),
            entries("stock", &[(3, Body::HealthDegraded(health))], 3),
            entries("carts", &[(-300, refused()), (2, completed(2))], 3),
        ],
        3,
    )
}

/// Something that has lasted for more than a day.
pub(crate) fn escalated() -> Message {
    let denied = || Body::RetentionFailed(failure("tag billing/…: AccessDenied", "let the role s3:PutObjectTagging"));
    message([entries("billing", &[(0, denied()), (1439, denied())], 1500)], 1500)
}

/// What has ended.
pub(crate) fn resolved() -> Message {
    message([entries("orders", &[(0, refused()), (60, refused()), (200, completed(200))], 201)], 201)
}

/// A digest.
pub(crate) fn digest() -> Message {
    let good = |minutes: i64, restored| Protection {
        backup_id: BackupId::new(at(minutes), 9),
        snapshot_at: at(minutes),
        restored,
    };
    let share = |tier: &str, class: &str, gib: u64, usd: f64| StorageShare {
        tier: tier.to_owned(),
        storage_class: class.to_owned(),
        bytes: gib << 30,
        usd_per_month: usd,
    };
    let orders = DigestDatabase {
        database: slug("orders"),
        made: 7,
        verified: 7,
        drills: 1,
        last_drill: Some("passed".to_owned()),
        newest_good: Some(good(0, true)),
        raw_bytes: 31 << 30,
        stored_bytes: 55 << 30,
        growth_bytes: Some(2 << 30),
        storage: vec![share("daily", "STANDARD", 40, 0.92), share("weekly", "STANDARD_IA", 15, 0.19)],
        usd_per_month: 1.11,
        upcoming: vec!["backups cron(0 2 * * ? *)".to_owned(), "drills cron(0 4 ? * 1#1 *)".to_owned()],
    };
    let billing = DigestDatabase {
        database: slug("billing"),
        made: 2,
        verified: 0,
        drills: 0,
        last_drill: None,
        newest_good: None,
        raw_bytes: 1 << 30,
        stored_bytes: 1 << 28,
        growth_bytes: None,
        storage: Vec::new(),
        usd_per_month: 0.01,
        upcoming: Vec::new(),
    };
    let digest = Digest {
        from: at(-7 * 1440),
        to: at(300),
        databases: vec![billing, orders],
        open: vec![DigestIncident {
            database: slug("billing"),
            kind: Kind::Backup,
            severity: Severity::Critical,
            since: at(-2000),
            what: "connect to db.internal:5432: connection refused".to_owned(),
        }],
        undelivered: 1,
        problems: Vec::new(),
        usd_per_month: 1.12,
        prices: "list prices of us-east-1, November 2026, storage only".to_owned(),
        left_out: None,
    };
    of_digest(digest, at(300), &signature(), at(300))
}

/// A test.
pub(crate) fn test() -> Message {
    of_test("the channel 'team'", "abcd", &signature(), at(0))
}

/// All of them, and some that are too long.
pub(crate) fn all() -> Vec<Message> {
    let mut wordy = one();
    wordy.entries[0].what = "ä & <x> ".repeat(2000);
    let mut different = outage(1000);
    for (n, entry) in different.entries.iter_mut().enumerate() {
        entry.what = format!("{n}: {}", entry.what.repeat(20));
    }
    vec![
        one(),
        outage(6),
        outage(100),
        outage(1000),
        mixed(),
        escalated(),
        resolved(),
        digest(),
        test(),
        wordy,
        different,
    ]
}
