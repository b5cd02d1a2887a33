//! What drills begin and end, by what they drilled and how they ended.

use lifeboat_core::{
    events::{Body, DrillEnded, Event},
    ids::BackupId,
    incidents::State,
    messages::{Change, Kind},
};

use crate::{Story, at, event, news, terms, verified};

fn ended(origin: Option<&str>) -> DrillEnded {
    DrillEnded {
        drill_id: None,
        backup_id: Some(BackupId::new(at(0), 0)),
        origin: origin.map(str::to_owned),
        report: None,
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
    assert_eq!(story.batch(40, &[passed(40, None)]), news("drill", Change::Resolved));
    assert!(story.ledger.protection().unwrap().restored);
    assert_eq!(story.incident(&Kind::InstanceDrill).state, State::Open);
    assert_eq!(story.batch(50, &[passed(50, SNAPSHOT)]), news("instance-drill", Change::Resolved));
    let entry = &story.told.last().unwrap().entry;
    assert!(entry.what.contains("snapshot rds:orders") && entry.what.contains("no backup was restored"), "{entry:?}");
    assert!(!entry.what.contains("was restored and") && !entry.meaning.contains("every table"), "{entry:?}");
}
