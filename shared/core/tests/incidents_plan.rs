//! The plan of incidents: every beginning and every end is told once, however events arrive.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

#[path = "incidents_plan/drills.rs"]
mod drills;
#[path = "incidents_plan/order.rs"]
mod order;

use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{
    config::Span,
    events::{
        BackupCompleted, BackupCorrupt, BackupVerified, Body, Event, FORMAT_VERSION, Failure, HealthDegraded,
        HealthFinding, HealthRecovered, RetentionApplied, Severity,
    },
    ids::{BackupId, RunId},
    incidents::{Incident, Ledger, Notice, State, Terms, claim, plan, release, settle},
    manifest::Tier,
    messages::{Change, Kind},
};

const START: &str = "2026-11-20T02:00:00Z";

fn at(minutes: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn event(minutes: i64, body: Body) -> Event {
    Event {
        format_version: FORMAT_VERSION,
        run_id: RunId::new(minutes.unsigned_abs()),
        database: "orders".parse().unwrap(),
        at: at(minutes),
        body,
    }
}

fn failure(message: &str) -> Failure {
    Failure { kind: "database".to_owned(), message: message.to_owned(), hint: "look".to_owned(), backup_id: None }
}

fn failed(minutes: i64) -> Event {
    event(minutes, Body::BackupFailed(failure("connect to db:5432: refused")))
}

fn completed(minutes: i64, verified: bool) -> Event {
    event(
        minutes,
        Body::BackupCompleted(BackupCompleted {
            backup_id: BackupId::new(at(minutes), 0),
            tier: Tier::Daily,
            snapshot_at: at(minutes),
            tables: 3,
            rows: 1000,
            raw_bytes: 1 << 20,
            stored_bytes: 1 << 18,
            seconds: 2.0,
            omitted: 0,
            verified,
        }),
    )
}

fn verified(minutes: i64, backup_of: i64) -> Event {
    let backup_id = BackupId::new(at(backup_of), 0);
    event(minutes, Body::BackupVerified(BackupVerified { backup_id, objects: 5, bytes: 1 << 18, seconds: 1.0 }))
}

fn corrupt(minutes: i64, backup_of: i64) -> Event {
    let backup_id = BackupId::new(at(backup_of), 0);
    let damage = vec!["archive/1.dat.zst is missing".to_owned()];
    event(minutes, Body::BackupCorrupt(BackupCorrupt { backup_id, damage, damaged: 1 }))
}

fn degraded(minutes: i64, findings: &[(&str, Severity)]) -> Event {
    let findings = findings.iter().map(|(code, severity)| HealthFinding {
        code: (*code).to_owned(),
        severity: *severity,
        message: format!("{code} it is"),
        remedy: "mend it".to_owned(),
    });
    event(minutes, Body::HealthDegraded(HealthDegraded { findings: findings.collect(), complete: true }))
}

/// The same, told by a look that could not remember what was found before.
fn degraded_without_memory(minutes: i64, findings: &[(&str, Severity)]) -> Event {
    let mut event = degraded(minutes, findings);
    if let Body::HealthDegraded(health) = &mut event.body {
        health.complete = false;
    }
    event
}

fn terms() -> Terms {
    Terms { reminder: Span(24 * 3600), escalate_after: None, severity: Severity::Info, per_run: false, rpo: None }
}

/// One database's alerts from batch to batch; whatever is to be told is told at once.
struct Story {
    ledger: Ledger,
    terms: Terms,
    told: Vec<Notice>,
}

impl Story {
    fn new(terms: Terms) -> Self {
        Self { ledger: Ledger::new(&"orders".parse().unwrap()), terms, told: Vec::new() }
    }

    fn batch(&mut self, now: i64, events: &[Event]) -> Vec<(String, Change)> {
        let events: Vec<&Event> = events.iter().collect();
        let run = RunId::new(u64::try_from(self.told.len()).unwrap());
        let mut ledger = plan(&self.ledger, &events, &self.terms, None, at(now)).ledger;
        let notices = claim(&mut ledger, &run, at(now));
        settle(&mut ledger, &run);
        assert!(ledger.notices.is_empty());
        // What is saved is what is read.
        self.ledger = Ledger::from_json(&ledger.to_json().unwrap()).unwrap();
        assert_eq!(self.ledger, ledger);
        self.told.extend(notices.clone());
        notices.into_iter().map(|n| (n.entry.kind.to_string(), n.entry.change)).collect()
    }

    fn incident(&self, kind: &Kind) -> &Incident {
        &self.ledger.incidents[kind]
    }
}

fn news(kind: &str, change: Change) -> Vec<(String, Change)> {
    vec![(kind.to_owned(), change)]
}

#[test]
fn ten_identical_failures_are_told_once_then_reminded_of_and_resolved_once() {
    let mut story = Story::new(terms());
    assert_eq!(story.batch(0, &[failed(0)]), news("backup", Change::Opened));
    for minutes in 1..10 {
        assert_eq!(story.batch(minutes, &[failed(minutes)]), []);
    }
    assert_eq!(story.incident(&Kind::Backup).times, 10);
    assert_eq!(story.batch(24 * 60 - 1, &[]), []);
    // Nothing has to happen for a reminder: time alone does it.
    assert_eq!(story.batch(24 * 60, &[]), news("backup", Change::Reminder));
    assert_eq!(story.batch(24 * 60 + 1, &[]), []);
    assert_eq!(story.batch(48 * 60, &[failed(48 * 60)]), news("backup", Change::Reminder));
    assert_eq!(story.batch(49 * 60, &[completed(49 * 60, false)]), news("backup", Change::Resolved));
    assert_eq!(story.batch(50 * 60, &[completed(50 * 60, false)]), []);
    assert_eq!(story.incident(&Kind::Backup).state, State::Resolved);
    let last = &story.told.last().unwrap().entry;
    assert_eq!((last.since, last.ended_at, last.times), (at(0), Some(at(49 * 60)), 11));
}

#[test]
fn an_older_event_that_arrives_late_neither_opens_nor_resolves() {
    let mut story = Story::new(terms());
    assert_eq!(story.batch(10, &[completed(10, false)]), []);
    assert_eq!(story.batch(11, &[failed(5)]), []);
    assert_eq!(story.batch(20, &[failed(20)]), news("backup", Change::Opened));
    assert_eq!(story.batch(21, &[completed(15, false)]), []);
    assert_eq!(story.incident(&Kind::Backup).state, State::Open);
}

#[test]
fn what_is_over_before_anybody_was_told_is_told_as_both() {
    let mut story = Story::new(terms());
    let told = story.batch(5, &[completed(3, false), failed(0)]);
    assert_eq!(told, [("backup".to_owned(), Change::Opened), ("backup".to_owned(), Change::Resolved)]);
}

#[test]
fn a_failed_backup_is_critical_only_where_nothing_fresh_protects_the_database() {
    let severity = |events: &[Event], rpo: Option<Span>| {
        let mut story = Story::new(Terms { rpo, ..terms() });
        story.batch(0, events);
        story.incident(&Kind::Backup).severity
    };
    assert_eq!(severity(&[failed(0)], None), Severity::Critical);
    assert_eq!(severity(&[completed(0, true), failed(60)], None), Severity::Warning);
    // Made, but not verified: nothing good is known.
    assert_eq!(severity(&[completed(0, false), failed(60)], None), Severity::Critical);
    assert_eq!(severity(&[completed(0, true), failed(60)], Some(Span(1800))), Severity::Critical);
    assert_eq!(severity(&[completed(0, true), corrupt(1, 0), failed(60)], None), Severity::Critical);
}

#[test]
fn damage_ends_with_a_newer_verified_backup_and_not_with_an_older_one() {
    let mut story = Story::new(terms());
    assert_eq!(story.batch(101, &[corrupt(101, 100)]), news("corrupt", Change::Opened));
    assert_eq!(story.incident(&Kind::Corrupt).severity, Severity::Critical);
    assert_eq!(story.batch(102, &[verified(102, 50)]), []);
    assert_eq!(story.batch(103, &[corrupt(103, 100)]), []);
    assert_eq!(story.batch(201, &[verified(201, 200)]), news("corrupt", Change::Resolved));
    let told = &story.told.last().unwrap().entry;
    assert!(told.meaning.contains("The damaged one stays damaged"), "{}", told.meaning);
    assert_eq!(told.protection.as_ref().unwrap().backup_id, BackupId::new(at(200), 0));
    // The damaged one is checked again a week later: that is known.
    assert_eq!(story.batch(300, &[corrupt(103, 100)]), []);
}

#[test]
fn damage_of_an_old_backup_is_told_although_newer_ones_were_found_whole_before() {
    let mut story = Story::new(terms());
    assert_eq!(story.batch(300, &[verified(300, 200), verified(298, 100)]), []);
    // The events of one weekly verify, in any order.
    let told = story.batch(301, &[corrupt(299, 150)]);
    assert_eq!(told, [("corrupt".to_owned(), Change::Opened), ("corrupt".to_owned(), Change::Resolved)]);
    assert_eq!(story.batch(302, &[corrupt(299, 150)]), []);
}

#[test]
fn health_opens_what_it_finds_and_resolves_what_it_finds_no_more() {
    let (warning, critical) = (Severity::Warning, Severity::Critical);
    let mut story = Story::new(terms());
    let told = story.batch(0, &[degraded(0, &[("backup_too_old", critical), ("wal_piles_up", warning)])]);
    assert_eq!(told.len(), 2);
    assert_eq!(story.batch(60, &[degraded(60, &[("backup_too_old", critical), ("wal_piles_up", warning)])]), []);
    let told = story.batch(120, &[degraded(120, &[("wal_piles_up", critical), ("bloat", warning)])]);
    assert_eq!(
        told,
        [
            ("health:backup_too_old".to_owned(), Change::Resolved),
            ("health:wal_piles_up".to_owned(), Change::Worsened),
            ("health:bloat".to_owned(), Change::Opened),
        ]
    );
    let recovered = event(180, Body::HealthRecovered(HealthRecovered { recovered: vec!["wal_piles_up".to_owned()] }));
    assert_eq!(story.batch(180, &[recovered]), news("health:wal_piles_up", Change::Resolved));
    let recovered = event(240, Body::HealthRecovered(HealthRecovered { recovered: Vec::new() }));
    assert_eq!(story.batch(240, &[recovered]), news("health:bloat", Change::Resolved));
    assert_eq!(story.ledger.open().count(), 0);
}

#[test]
fn what_health_does_not_name_lasts_while_it_cannot_remember_what_it_found() {
    let (warning, critical) = (Severity::Warning, Severity::Critical);
    let mut story = Story::new(terms());
    story.batch(0, &[degraded(0, &[("backup_too_old", critical), ("rows_collapsed", critical)])]);
    let blind = [("control_store_unreachable", critical), ("store_unreachable", critical), ("clock_differs", warning)];
    let told = story.batch(60, &[degraded_without_memory(60, &blind)]);
    assert_eq!((told.len(), told.iter().all(|(_, change)| *change == Change::Opened)), (3, true), "{told:?}");
    assert_eq!(story.batch(120, &[degraded_without_memory(120, &[])]), []);
    assert_eq!(story.ledger.open().count(), 5);
    // It remembers again: what it had found is among what it says, and what is missing is over.
    let told = story.batch(180, &[degraded(180, &[("rows_collapsed", critical)])]);
    assert_eq!((told.len(), told.iter().all(|(_, change)| *change == Change::Resolved)), (4, true), "{told:?}");
}

#[test]
fn what_lasts_is_raised_and_told_to_further_people_once() {
    let mut story = Story::new(Terms { escalate_after: Some(Span(6 * 3600)), ..terms() });
    let refused = |minutes| event(minutes, Body::RetentionFailed(failure("denied")));
    story.batch(0, &[refused(0)]);
    assert_eq!(story.incident(&Kind::Retention).severity, Severity::Warning);
    assert_eq!(story.batch(359, &[]), []);
    assert_eq!(story.batch(360, &[refused(360)]), news("retention", Change::Escalated));
    let incident = story.incident(&Kind::Retention);
    assert_eq!((incident.severity, incident.times), (Severity::Critical, 2));
    assert!(story.told.last().unwrap().entry.escalated);
    // The reminder counts from there, and the end is told to the same people.
    assert_eq!(story.batch(24 * 60, &[refused(24 * 60)]), []);
    assert_eq!(story.batch(30 * 60, &[]), news("retention", Change::Reminder));
    let applied = RetentionApplied { kept: 5, expiring: 0, removed: 0, removed_bytes: 0 };
    let told = story.batch(31 * 60, &[event(31 * 60, Body::RetentionApplied(applied))]);
    assert_eq!(told, news("retention", Change::Resolved));
    assert!(story.told.last().unwrap().entry.escalated);
}

#[test]
fn what_comes_to_be_known_late_is_told_once_and_raised_only_after_people_could_act() {
    let mut story = Story::new(Terms { escalate_after: Some(Span(6 * 3600)), ..terms() });
    let late = 9 * 24 * 60;
    let failed = event(0, Body::RetentionFailed(failure("denied")));
    assert_eq!(story.batch(late, &[failed]), news("retention", Change::Opened));
    assert_eq!(story.batch(late + 359, &[]), []);
    assert_eq!(story.batch(late + 360, &[]), news("retention", Change::Escalated));
}

#[test]
fn what_matters_too_little_is_told_to_nobody_until_it_matters_more() {
    let mut story = Story::new(Terms { severity: Severity::Warning, ..terms() });
    assert_eq!(story.batch(0, &[degraded(0, &[("old_client", Severity::Info)])]), []);
    assert_eq!(story.batch(60, &[degraded(60, &[])]), []);
    story.batch(120, &[degraded(120, &[("old_client", Severity::Info)])]);
    let told = story.batch(180, &[degraded(180, &[("old_client", Severity::Warning)])]);
    assert_eq!(told, news("health:old_client", Change::Opened));
}

#[test]
fn the_end_is_told_to_whoever_heard_of_it_at_its_gravest() {
    let mut story = Story::new(terms());
    story.batch(0, &[degraded(0, &[("wal_piles_up", Severity::Critical)])]);
    assert_eq!(story.batch(60, &[degraded(60, &[("wal_piles_up", Severity::Warning)])]), []);
    story.batch(25 * 60, &[]);
    assert_eq!(story.batch(26 * 60, &[degraded(26 * 60, &[])]), news("health:wal_piles_up", Change::Resolved));
    assert_eq!(story.told.last().unwrap().entry.severity, Severity::Critical);
}

#[test]
fn successes_are_told_only_where_that_is_asked_for_and_once() {
    let mut quiet = Story::new(terms());
    assert_eq!(quiet.batch(0, &[completed(0, true)]), []);
    let mut loud = Story::new(Terms { per_run: true, ..terms() });
    assert_eq!(loud.batch(0, &[completed(0, true)]), news("backup", Change::Succeeded));
    assert_eq!(loud.batch(1, &[completed(0, true), verified(1, 0)]), []);
}

#[test]
fn what_a_dead_run_has_claimed_is_sent_by_another_and_what_failed_stays() {
    let mut ledger = plan(&Ledger::new(&"orders".parse().unwrap()), &[&failed(0)], &terms(), None, at(0)).ledger;
    let (dead, other) = (RunId::new(1), RunId::new(2));
    assert_eq!(claim(&mut ledger, &dead, at(0)).len(), 1);
    assert_eq!(claim(&mut ledger, &other, at(4)), []);
    assert_eq!(claim(&mut ledger, &other, at(5)).len(), 1);
    release(&mut ledger, &other, "SNS is away");
    let notice = &ledger.notices[0];
    assert_eq!((notice.attempts, notice.last_error.as_deref()), (1, Some("SNS is away")));
    // While it waits, nobody needs a reminder of what they do not know.
    let ledger = plan(&ledger, &[], &terms(), None, at(48 * 60)).ledger;
    assert_eq!(ledger.notices.len(), 1);
}
