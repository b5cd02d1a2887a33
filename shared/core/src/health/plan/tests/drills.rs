//! Which drills count, and for what.

use super::*;

/// A drill of a snapshot.
fn of_snapshot(days: i64, verdict: Verdict) -> DrillSeen {
    let mut seen = drill(days, verdict);
    seen.drill.origin = Some("snapshot".to_owned());
    seen
}

fn found_after(drills: Vec<DrillSeen>) -> Vec<String> {
    let found = after(|facts| {
        facts.drills = Some(drills);
        facts.backups.as_mut().unwrap().oldest_at = Some(hours_ago(24 * 36));
    });
    found.into_iter().map(|finding| finding.code).collect()
}

#[test]
fn drills_that_fail_do_not_count_as_drills_that_were_made() {
    let found =
        after(|facts| facts.drills = Some(vec![drill(1, Verdict::Failed), drill(40, Verdict::ObjectiveMissed)]));
    let codes: Vec<&str> = found.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["drill_failed", "drill_overdue"]);
    assert!(found[1].message.contains("that restored all data"), "{}", found[1].message);
    let mut facts = well();
    facts.drills = Some(vec![drill(1, Verdict::Failed), drill(3, Verdict::Passed)]);
    assert_eq!(facts.newest_whole_drill().unwrap().drill.verdict, Verdict::Passed);
    // One of a snapshot restored no backup.
    let mut snapshot = drill(1, Verdict::Passed);
    snapshot.drill.origin = Some("snapshot".to_owned());
    facts.drills = Some(vec![snapshot, drill(3, Verdict::Failed)]);
    assert!(facts.newest_whole_drill().is_none());
    facts.drills = Some(vec![drill(1, Verdict::Failed)]);
    assert_eq!(facts.newest_whole_drill(), None);
}

#[test]
fn a_drill_of_a_snapshot_is_no_drill_of_a_backup() {
    use Verdict::{Failed, ObjectiveMissed, Passed};
    assert_eq!(found_after(vec![of_snapshot(1, Passed), of_snapshot(8, Passed)]), ["drill_never"]);
    assert_eq!(found_after(vec![of_snapshot(1, Passed), drill(2, Failed)]), ["drill_failed"]);
    assert_eq!(found_after(vec![of_snapshot(1, Passed), drill(2, ObjectiveMissed)]), ["drill_objective_missed"]);
    assert_eq!(found_after(vec![of_snapshot(1, Passed), drill(36, Passed)]), ["drill_overdue"]);
    // Nor does one that failed say anything about them.
    assert_eq!(found_after(vec![of_snapshot(1, Failed), drill(2, Passed)]), Vec::<String>::new());
    assert_eq!(found_after(vec![of_snapshot(1, ObjectiveMissed), drill(2, Passed)]), Vec::<String>::new());
}

#[test]
fn a_drill_that_could_not_be_run_says_nothing_against_the_backup() {
    for (phase, severity, words) in [
        (Some("provision"), Severity::Warning, "could not be carried out"),
        (Some("thaw"), Severity::Warning, "could not be carried out"),
        (Some("tear-down"), Severity::Warning, "could not be carried out"),
        (Some("restore"), Severity::Critical, "failed"),
        (Some("compare"), Severity::Critical, "failed"),
        (None, Severity::Critical, "failed"),
    ] {
        let mut last = drill(1, Verdict::Failed);
        last.failed_in = phase.map(str::to_owned);
        let found = after(|facts| facts.drills = Some(vec![last]));
        let told: Vec<_> = found.iter().map(|f| (f.code.as_str(), f.severity)).collect();
        assert_eq!(told, [("drill_failed", severity)], "{phase:?}");
        assert!(found[0].message.contains(words), "{}", found[0].message);
        assert_eq!(found[0].remedy.contains("nothing is known against"), severity == Severity::Warning, "{phase:?}");
    }
}
