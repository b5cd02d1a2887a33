//! In which phase a drill failed.

use super::*;

#[test]
fn the_phase_a_drill_failed_in_is_the_first_that_failed_or_found_something() {
    type Spoil = fn(&mut DrillReport);
    let fail = |report: &mut DrillReport, name: &str| {
        report.phases.iter_mut().find(|p| p.phase == name).unwrap().outcome = PhaseOutcome::Failed;
    };
    let spoils: [(Option<&str>, &[&str], Spoil); 9] = [
        (None, &[], |_| {}),
        (Some("provision"), &["provision", "tear-down"], |r| r.proof.negative_controls.clear()),
        (Some("restore"), &["restore"], |r| r.data.tables[0].outcome = TableOutcome::Skipped),
        (Some("compare"), &["tear-down"], |r| r.data.tables[0].outcome = TableOutcome::RowsDiffer),
        (Some("compare"), &[], |r| r.schema = SchemaEvidence::compare(&inventory("a"), &inventory("b"))),
        (Some("checks"), &["tear-down"], |r| r.proof.checks[0].passed = false),
        (Some("negative control"), &[], |r| r.proof.negative_controls[0].rejected = false),
        (Some("tear-down"), &[], |r| r.closure.torn_down = false),
        (Some("tear-down"), &["tear-down"], |r| r.closure.torn_down = false),
    ];
    for (expected, phases, spoil) in spoils {
        let mut report = passing();
        for phase in phases {
            fail(&mut report, phase);
        }
        spoil(&mut report);
        report.judge();
        assert_eq!(report.failed_in(), expected, "{:?}", report.reasons);
    }
}
