//! Findings about backups, drills and retention.

use crate::{
    attestation::Rung,
    config::Span,
    events::Severity,
    health::{
        Backups, DrillSeen, SizePoint,
        words::{counted, moment, named, seconds_between, span},
    },
    ports,
    report::{Verdict, is_against_data, words},
};

use super::Findings;

/// The window of the mean that sizes are compared with.
const WINDOW: u64 = 7 * 86_400;

/// Fewer sizes than this make no mean.
const LEAST_SIZES: usize = 3;

/// So many objects or tables are named in one finding.
const NAMED: usize = 5;

pub(super) fn look(f: &mut Findings<'_>) {
    age(f);
    let facts = f.facts;
    if let Some(backups) = &facts.backups {
        damage(f, backups);
        overdue(f, backups);
        sizes(f, &backups.points);
        rows(f, backups);
    }
    drills(f);
    retention(f);
    unfinished(f);
}

fn age(f: &mut Findings<'_>) {
    let database = f.database;
    let wanted = &f.facts.wanted;
    let (limit, why) = match wanted.rpo_seconds {
        Some(rpo) => (rpo, "the RPO is"),
        None => (f.thresholds.backup_age.0, "no RPO is set, the alarm is at"),
    };
    if let Some(at) = f.facts.newest_good_at() {
        let age = f.since(at);
        if age > limit {
            let known = if f.facts.backups.is_some() { "" } else { ", as last known before the store failed" };
            f.add(
                "backup_too_old",
                Severity::Critical,
                format!(
                    "the newest good backup is {} old (snapshot of {}{known}); {why} {}",
                    span(age),
                    moment(at),
                    span(limit)
                ),
                format!("lifeboat dump {database}"),
            );
        }
        return;
    }
    let Some(backups) = &f.facts.backups else { return };
    if backups.points.is_empty() {
        let message = "there is no backup at all";
        f.add("no_backup", Severity::Critical, message, format!("lifeboat dump {database}"));
    } else {
        let message = format!("none of the {} is good", counted(backups.points.len(), "backup"));
        let remedy = format!("lifeboat verify {database}/latest; if that fails: lifeboat dump {database}");
        f.add("no_good_backup", Severity::Critical, message, remedy);
    }
}

fn damage(f: &mut Findings<'_>, backups: &Backups) {
    let database = f.database;
    let standing = |words: &[&str]| -> Vec<String> {
        let bad = backups.points.iter().filter(|p| words.contains(&p.standing.as_str()));
        bad.map(|p| p.backup_id.to_string()).collect()
    };
    let bad = standing(&["corrupt", "damaged"]);
    if let Some(first) = bad.first() {
        f.add(
            "backup_corrupt",
            Severity::Critical,
            format!("{} cannot be relied on: {}", counted(bad.len(), "backup"), named(&bad, NAMED)),
            format!(
                "lifeboat verify {database}/{first} tells what is damaged; lifeboat dump {database} makes a new one"
            ),
        );
    }
    let within = f.thresholds.verify_within;
    let late: Vec<String> = backups
        .points
        .iter()
        .filter(|p| p.rung == Rung::Uploaded && p.standing == "uploaded")
        .filter(|p| p.completed_at.is_some_and(|at| f.since(at) > within.0))
        .map(|p| p.backup_id.to_string())
        .collect();
    if let Some(first) = late.first() {
        f.add(
            "backup_unverified",
            Severity::Warning,
            format!(
                "{} not read back within {} of being made: {}",
                counted(late.len(), "backup"),
                span(within.0),
                named(&late, NAMED)
            ),
            format!("lifeboat verify {database}/{first}"),
        );
    }
    let future: Vec<String> =
        backups.status.problems.iter().filter(|problem| problem.contains("in the future")).cloned().collect();
    if !future.is_empty() {
        f.add(
            "backup_from_future",
            Severity::Warning,
            named(&future, NAMED),
            "set the clocks of the database server and of this machine right (chronyc tracking)",
        );
    }
}

fn overdue(f: &mut Findings<'_>, backups: &Backups) {
    let wanted = &f.facts.wanted;
    let (Some(schedule), Some(pause)) = (&wanted.schedule, wanted.schedule_pause_seconds) else { return };
    let Some(at) = backups.newest_started_at else { return };
    let (age, limit) = (f.since(at), pause + f.thresholds.schedule_grace.0);
    let running = f.facts.control.as_ref().and_then(|c| c.lease.as_ref()).is_some_and(|l| l.operation == "dump");
    if age > limit && !running {
        f.add(
            "dump_overdue",
            Severity::Warning,
            format!("the last dump that came to its end began {} ago; its schedule is {schedule}", span(age)),
            format!("look why the schedule did not run it (rule, function's log), then: lifeboat dump {}", f.database),
        );
    }
}

fn sizes(f: &mut Findings<'_>, points: &[SizePoint]) {
    let mut readable = points.iter().filter(|p| p.completed_at.is_some());
    let Some(newest) = readable.next() else { return };
    let in_window = |p: &&SizePoint| seconds_between(p.at, newest.at) <= WINDOW;
    let earlier: Vec<u64> = readable.filter(in_window).map(|p| p.stored_bytes).collect();
    if earlier.len() < LEAST_SIZES {
        return;
    }
    let mean = earlier.iter().sum::<u64>() / earlier.len() as u64;
    let limit = u128::from(f.thresholds.size_change_percent);
    let off = u128::from(newest.stored_bytes.abs_diff(mean)) * 100;
    if off > limit * u128::from(mean.max(1)) {
        let percent = off / u128::from(mean.max(1));
        let direction = if newest.stored_bytes < mean { "smaller" } else { "larger" };
        f.add(
            "size_changed",
            Severity::Warning,
            format!(
                "backup {} has {}, {percent} % {direction} than the mean of the seven days before ({})",
                newest.backup_id,
                words::bytes(newest.stored_bytes),
                words::bytes(mean)
            ),
            format!("compare its tables with an earlier backup's: lifeboat show {}/{}", f.database, newest.backup_id),
        );
    }
}

fn rows(f: &mut Findings<'_>, backups: &Backups) {
    let least = u64::from(f.thresholds.rows_at_least);
    let percent = f.thresholds.rows_change_percent;
    let fallen: Vec<String> = backups
        .drops
        .iter()
        .filter(|drop| drop.usual >= least && drop.is_more_than(percent))
        .map(|drop| {
            let usual = words::count(drop.usual);
            match drop.rows {
                Some(rows) => format!("{} has {} rows, usually {usual}", drop.table, words::count(rows)),
                None => format!("{} is gone, usually {usual} rows", drop.table),
            }
        })
        .collect();
    if !fallen.is_empty() {
        let before = backups.points.iter().filter(|p| p.good).nth(1).map(|p| p.backup_id.to_string());
        let hold = match before {
            Some(id) => format!(
                "if nobody meant it, keep the backup before: lifeboat hold {0}/{id}, then docs/RUNBOOK.md, one table",
                f.database
            ),
            None => "if nobody meant it: docs/RUNBOOK.md, one table".to_owned(),
        };
        f.add(
            "rows_collapsed",
            Severity::Critical,
            format!("{} lost rows: {}", counted(fallen.len(), "table"), named(&fallen, NAMED)),
            hold,
        );
    }
}

fn drills(f: &mut Findings<'_>) {
    let database = f.database;
    let wanted = &f.facts.wanted;
    let (Some(drills), Some(backups)) = (&f.facts.drills, &f.facts.backups) else { return };
    let (limit, why) = match (&wanted.drill_schedule, wanted.drill_pause_seconds) {
        (Some(schedule), Some(pause)) => (pause + f.thresholds.schedule_grace.0, format!("its schedule is {schedule}")),
        _ => (f.thresholds.drill_age.0, format!("the limit is {}", span(f.thresholds.drill_age.0))),
    };
    let remedy = format!("lifeboat drill {database}");
    // A drill of another origin restores no backup: here it counts for nothing.
    let Some(last) = drills.iter().find(|seen| seen.drill.is_of_backup()) else {
        // Not the oldest that is still there: retention may leave none that is old enough.
        let first = f.facts.first_backup_at.into_iter().chain(backups.oldest_at).min();
        if let Some(age) = first.map(|at| f.since(at)).filter(|age| *age > limit) {
            let message = format!(
                "no drill of a backup ever came to its end, and there have been backups for {}; {why}",
                span(age)
            );
            f.add("drill_never", Severity::Warning, message, remedy);
        }
        return;
    };
    // A drill that failed proves nothing, and is a finding of its own.
    let (at, which) = match f.facts.newest_whole_drill() {
        Some(whole) if whole.drill.drill_id != last.drill.drill_id => {
            (whole.drill.finished_at, "the last drill that restored all data")
        }
        _ => (last.drill.finished_at, "the last drill"),
    };
    let age = f.since(at);
    if age > limit {
        let message = format!("{which} ended {} ago ({}); {why}", span(age), moment(at));
        f.add("drill_overdue", Severity::Warning, message, remedy);
    }
    verdict(f, last);
}

fn verdict(f: &mut Findings<'_>, last: &DrillSeen) {
    let database = f.database;
    let report = format!("{database}/drills/{}/report.html", last.drill.drill_id);
    let why = if last.reasons.is_empty() { String::new() } else { format!(": {}", named(&last.reasons, 3)) };
    match last.drill.verdict {
        Verdict::Passed => {}
        Verdict::Failed if !is_against_data(last.failed_in.as_deref()) => f.add(
            "drill_failed",
            Severity::Warning,
            format!("the last drill ({}) could not be carried out{why}", moment(last.drill.finished_at)),
            format!("nothing is known against the backup: mend what {report} names, then: lifeboat drill {database}"),
        ),
        Verdict::Failed => f.add(
            "drill_failed",
            Severity::Critical,
            format!("the last drill ({}, backup {}) failed{why}", moment(last.drill.finished_at), last.backup_id),
            format!("read {report} in the store, then: lifeboat drill {database} --select {}", last.backup_id),
        ),
        Verdict::ObjectiveMissed => f.add(
            "drill_objective_missed",
            Severity::Warning,
            format!(
                "the last drill ({}) restored all data, but missed an objective{why}",
                moment(last.drill.finished_at)
            ),
            format!("see the phases that took long in {report}; try more jobs: lifeboat drill {database} --jobs 8"),
        ),
    }
}

fn retention(f: &mut Findings<'_>) {
    let database = f.database;
    let facts = f.facts;
    let Some(retention) = &facts.retention else { return };
    let policy: Vec<&ports::Finding> =
        retention.lint.iter().filter(|lint| lint.severity >= ports::Severity::Warning).collect();
    if let Some(first) = policy.first() {
        let all: Vec<String> = policy.iter().map(|lint| lint.message.clone()).collect();
        f.add(
            "retention_policy",
            Severity::Warning,
            named(&all, NAMED),
            format!("{} (lifeboat retention lint {database})", first.remedy),
        );
    }
    if let Some(since) = retention.removal_overdue_since {
        f.add(
            "retention_stalled",
            Severity::Warning,
            format!("an expired backup might have been removed since {}: retention does not run", moment(since)),
            format!("lifeboat retention apply {database} --yes"),
        );
    }
    let expected =
        facts.wanted.schedule_pause_seconds.or(facts.wanted.rpo_seconds).unwrap_or(f.thresholds.backup_age.0);
    let limit = expected.max(facts.wanted.rpo_seconds.unwrap_or(0)) + f.thresholds.schedule_grace.0;
    if let Some((from, gap)) = retention.longest_gap.filter(|(_, gap)| *gap > limit) {
        f.add(
            "retention_gap",
            Severity::Info,
            format!("for {} from {} there is no good backup to go back to", span(gap), moment(from)),
            format!("nothing can fill it; it passes out of the daily tier by itself. See lifeboat list {database}"),
        );
    }
}

fn unfinished(f: &mut Findings<'_>) {
    let Some(unfinished) = &f.facts.unfinished else { return };
    let Span(limit) = f.thresholds.unfinished_upload;
    let old: Vec<u64> =
        unfinished.folders.iter().filter(|(at, _)| f.since(*at) > limit).map(|(_, bytes)| *bytes).collect();
    let mut parts = Vec::new();
    if !old.is_empty() {
        let bytes = words::bytes(old.iter().sum());
        parts.push(format!("{} without a manifest ({bytes})", counted(old.len(), "folder")));
    }
    if unfinished.uploads > 0 {
        parts.push(counted(usize::try_from(unfinished.uploads).unwrap_or(usize::MAX), "multipart upload"));
    }
    if !parts.is_empty() {
        f.add(
            "unfinished_uploads",
            Severity::Warning,
            format!("dumps that never ended left behind, more than {} ago: {}", span(limit), parts.join(", ")),
            format!("lifeboat retention apply {} --yes removes them", f.database),
        );
    }
}
