//! The finding that comes early: the recovery time objective will be missed before long.

use crate::{
    events::Severity,
    forecast::Outlook,
    health::words::span,
    report::{Verdict, words},
};

use super::Findings;

const DAY: u64 = 86_400;

pub(super) fn look(f: &mut Findings<'_>) {
    let facts = f.facts;
    let Some(recovery) = &facts.recovery else { return };
    let (Some(predicted), Some(objective)) = (&recovery.predicted, recovery.objective_seconds) else { return };
    // What the last drill missed is told already.
    let last = facts.drills.iter().flatten().find(|seen| seen.drill.is_of_backup());
    let missed_already = last.is_some_and(|last| last.drill.verdict == Verdict::ObjectiveMissed);
    let when = match &recovery.outlook {
        Outlook::Missed if !missed_already => "would be missed today".to_owned(),
        Outlook::MissedFrom { date, days } if u64::from(*days) * DAY <= f.thresholds.rto_missed_within.0 => {
            format!("will be missed from {date} on, in {}", span(u64::from(*days) * DAY))
        }
        _ => return,
    };
    let growth = recovery.growth.as_ref().map_or(String::new(), |growth| format!("; the database {growth}"));
    f.add(
        "rto_will_be_missed",
        Severity::Warning,
        format!("the RTO of {} {when}: a restore now takes {predicted}{growth}", words::duration(objective)),
        format!(
            "try more jobs or a larger server: lifeboat drill {} --jobs 8; or agree on a longer rto. All figures: \
             lifeboat status {} --cost",
            f.database, f.database
        ),
    );
}
