//! What drills begin and end, by what they drilled and how they ended.

use lifeboat_core::{
    events::{Body, DrillEnded, Event, Failure, Severity},
    ids::BackupId,
    incidents::State,
    messages::{Change, Kind},
    report::Verdict,
};

use crate::{Story, at, event, news, terms, verified};

fn ended(origin: Option<&str>) -> DrillEnded {
    DrillEnded {
        drill_id: None,
        backup_id: Some(BackupId::new(at(0), 0)),
        origin: origin.map(str::to_owned),
        report: None,
        verdict: None,
        phase: None,
        reasons: Vec::new(),
        rto_seconds: Some(60.0),
        rto_objective_seconds: Some(1800),
        failure: None,
    }
}

fn passed(minutes: i64, origin: Option<&str>) -> Event {
    event(minutes, Body::DrillPassed(ended(origin)))
}

fn failed(minutes: i64, origin: Option<&str>) -> Event {
    let reasons = vec!["public.users: 41 rows are missing".to_owned()];
    event(minutes, Body::DrillFailed(DrillEnded { reasons, ..ended(origin) }))
}

const SNAPSHOT: Option<&str> = Some("snapshot rds:orders-2026-11-20");

#[test]
fn a_drill_of_a_snapshot_neither_ends_what_a_drill_of_a_backup_began_nor_proves_a_backup() {
    let mut story = Story::new(terms());
    story.batch(0, &[verified(0, 0)]);
    assert_eq!(story.batch(10, &[failed(10, None)]), news("drill", Change::Opened));
    assert_eq!(story.batch(20, &[passed(20, SNAPSHOT)]), []);
    assert_eq!(story.incident(&Kind::Drill).state, State::Open);
    assert!(!story.ledger.protection().unwrap().restored, "nobody restored it");
    assert_eq!(story.batch(30, &[failed(30, SNAPSHOT)]), news("instance-drill", Change::Opened));
    let entry = &story.told.last().unwrap().entry;
    assert_eq!(entry.commands, [format!("lifeboat alert close {} instance-drill", entry.database)], "what ends it");
    assert_eq!(story.batch(40, &[passed(40, None)]), news("drill", Change::Resolved));
    assert!(story.ledger.protection().unwrap().restored);
    assert_eq!(story.incident(&Kind::InstanceDrill).state, State::Open);
    assert_eq!(story.batch(50, &[passed(50, SNAPSHOT)]), news("instance-drill", Change::Resolved));
    let entry = &story.told.last().unwrap().entry;
    assert!(entry.what.contains("snapshot rds:orders") && entry.what.contains("no backup was restored"), "{entry:?}");
    assert!(!entry.what.contains("was restored and") && !entry.meaning.contains("every table"), "{entry:?}");
}

#[test]
fn a_drill_is_critical_where_data_differ_and_a_warning_where_it_was_slow_or_could_not_be_run() {
    use Severity::{Critical, Warning};
    let (missed, wrong) = (Some(Verdict::ObjectiveMissed), Some(Verdict::Failed));
    let failure = || Failure {
        backup_id: None,
        kind: "interrupted".to_owned(),
        message: "aborted".to_owned(),
        hint: String::new(),
    };
    for (what, verdict, phase, reasons, failure, severity) in [
        ("a table differs", wrong, Some("compare"), 1, None, Critical),
        ("the backup could not be restored", wrong, Some("restore"), 4, None, Critical),
        ("a check did not hold", wrong, Some("checks"), 1, None, Critical),
        ("of the report no phase is known", wrong, None, 1, None, Critical),
        ("RDS has no capacity", wrong, Some("provision"), 6, None, Warning),
        ("nothing could be thawed", wrong, Some("thaw"), 6, None, Warning),
        ("the scratch target is left", wrong, Some("tear-down"), 2, None, Warning),
        ("the RPO was missed", missed, None, 1, None, Warning),
        ("RTO and RPO were missed", missed, None, 2, None, Warning),
        ("the execution was aborted", None, Some("restore"), 1, Some(failure()), Warning),
        ("a table differs, and the report could not be written", wrong, Some("compare"), 2, Some(failure()), Critical),
        (
            "RDS had no capacity, and the report could not be written",
            wrong,
            Some("provision"),
            2,
            Some(failure()),
            Warning,
        ),
        ("there is no backup", None, None, 1, Some(failure()), Warning),
        ("an event of before: a table differs", None, None, 1, None, Critical),
    ] {
        let reasons = (0..reasons).map(|n| format!("reason {n}")).collect();
        let phase = phase.map(str::to_owned);
        // All of them slow as well.
        let drill = DrillEnded { verdict, phase, reasons, failure, rto_seconds: Some(4000.0), ..ended(None) };
        let mut story = Story::new(terms());
        story.batch(0, &[event(0, Body::DrillFailed(drill))]);
        assert_eq!(story.incident(&Kind::Drill).severity, severity, "{what}");
    }
}
