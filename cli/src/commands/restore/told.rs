//! What a restore would do and did, in words.

use lifeboat_core::{
    manifest::Manifest,
    ports::{Exchanged, RowDifference, TableDifference},
    report::words::{bytes, count, counted, duration},
    restore::{
        RescueOutcome, RescuePlan, RestoreOutcome, RestorePlan, Resumed, SwapBackOutcome, SwapOutcome, SwapPlan,
    },
};
use lifeboat_runtime::{
    requests::total,
    runs::{PlannedRestore, Predicted, Restored},
};

use crate::{
    commands::dump::per_second,
    table::{Align, facts, table},
    text::Append,
};

/// A dry run.
pub(super) fn planned(predicted: &Predicted, manifest: &Manifest) -> String {
    let mut text = match &predicted.plan {
        PlannedRestore::Into(plan) => into(plan),
        PlannedRestore::IntoSchema(plan) => rescue(plan),
        PlannedRestore::Swap(plan) => swap(plan),
    };
    text.push_str(&facts([("will take", predicted.predicted.to_string())]));
    text.push_str(&largest(predicted.plan.restore(), manifest));
    text.push_str("\nThis was a dry run: nothing was changed.\n");
    text
}

fn steps(plan: &RestorePlan) -> [(&'static str, String); 3] {
    let data = format!(
        "{} of {}, {}, {} to read",
        counted(plan.rows, "row"),
        counted(plan.tables.len() as u64, "table"),
        counted(plan.large_objects.len() as u64, "large object"),
        bytes(plan.stored_bytes)
    );
    [
        ("pre-data", counted(plan.pre_data.len() as u64, "definition")),
        ("data", data),
        ("post-data", counted(plan.post_data.len() as u64, "definition")),
    ]
}

fn into(plan: &RestorePlan) -> String {
    let contents = if plan.target_contents.is_empty() { "nothing".to_owned() } else { plan.target_contents.join(", ") };
    let rows = [
        ("backup", format!("{}/{}", plan.database, plan.backup_id)),
        ("target", plan.target.clone()),
        ("it holds", contents),
        ("safety backup", if plan.safety_backup { "yes, first" } else { "no" }.to_owned()),
    ];
    let resumed = plan.resumed.as_ref().map(|resumed| ("resumes", found_done(resumed)));
    let mut text = facts(rows.into_iter().chain(resumed).chain(steps(plan)));
    for left_out in &plan.left_out {
        text.add(format_args!("left out: {left_out}\n"));
    }
    text
}

/// What an interrupted restore had done.
fn found_done(resumed: &Resumed) -> String {
    let steps = if resumed.steps.is_empty() { "no steps".to_owned() } else { resumed.steps.join(", ") };
    format!(
        "the restore begun {}: done are {steps} and {} of data ({})",
        resumed.begun_at,
        counted(resumed.objects, "object"),
        bytes(resumed.stored_bytes)
    )
}

fn left_over(name: &str, drops: bool) -> String {
    if drops { format!("'{name}', left by an earlier run, is dropped first") } else { format!("'{name}'") }
}

fn rescue(plan: &RescuePlan) -> String {
    let tables = plan.rescued.iter().map(|t| format!("{}.{}", t.schema, t.name)).collect::<Vec<_>>().join(", ");
    let rows = [
        ("backup", format!("{}/{}", plan.restore.database, plan.restore.backup_id)),
        ("target", plan.restore.target.clone()),
        ("rescued", tables),
        ("side database", format!("{}; it is gone afterwards", left_over(&plan.side_database, plan.drops_left_over))),
    ];
    facts(rows.into_iter().chain(steps(&plan.restore)))
}

fn swap(plan: &SwapPlan) -> String {
    let live = &plan.live;
    let rows = [
        ("backup", format!("{}/{}", plan.restore.database, plan.restore.backup_id)),
        (
            "live database",
            format!(
                "'{}' on {}, {}, {}",
                live.database,
                live.server,
                bytes(live.bytes),
                counted(live.sessions, "session")
            ),
        ),
        ("side database", left_over(&plan.restored_as, plan.drops_left_over)),
        ("kept as", format!("'{}', the way back", plan.kept_as)),
        ("checks", counted(plan.checks as u64, "check")),
    ];
    facts(rows.into_iter().chain(steps(&plan.restore)))
}

fn largest(plan: &RestorePlan, manifest: &Manifest) -> String {
    let mut text = String::new();
    let mut tables: Vec<_> = plan.tables.iter().filter_map(|i| manifest.tables.get(*i)).collect();
    tables.sort_by_key(|t| std::cmp::Reverse(t.raw_bytes));
    if !tables.is_empty() {
        text.push('\n');
        let rows = tables.iter().take(20).map(|t| vec![t.qualified(), count(t.rows), bytes(t.raw_bytes)]);
        text.push_str(&table(&[("table", Align::Left), ("rows", Align::Right), ("data", Align::Right)], rows));
        if tables.len() > 20 {
            text.add(format_args!("… and {} smaller tables\n", tables.len() - 20));
        }
    }
    text
}

/// What was done. `destination` are the words of the command line that named the target.
pub(super) fn restored(restored: &Restored, destination: &str) -> String {
    let mut text = match restored {
        Restored::Into(done) => self::done(&done.outcome),
        Restored::IntoSchema(done) => rescued(done),
        Restored::Swap(done) => swapped(done, destination),
    };
    text.push_str(&troubles(restored.trouble()));
    text
}

fn troubles(trouble: &[String]) -> String {
    let mut text = String::new();
    for line in trouble {
        text.add(format_args!("TROUBLE: {line}\n"));
    }
    text
}

/// What was restored, in words.
fn done(outcome: &RestoreOutcome) -> String {
    let seconds = total(&outcome.phases);
    let compared = match &outcome.not_compared {
        Some(why) => format!("nothing: {why}"),
        None => {
            format!("all that was restored ({}), equal to the manifest", count(outcome.compared.len() as u64))
        }
    };
    let mut text = facts([
        ("restored", format!("{}/{}", outcome.database, outcome.backup_id)),
        ("into", outcome.target.clone()),
        ("rows", count(outcome.rows)),
        ("resumed", outcome.resumed.as_ref().map_or_else(|| "no".to_owned(), found_done)),
        ("compared", compared),
        ("took", format!("{} ({} rows/s)", duration(seconds), count(per_second(outcome.rows, seconds)))),
        (
            "phases",
            outcome
                .phases
                .iter()
                .map(|p| format!("{} {}", p.phase, duration(p.seconds)))
                .collect::<Vec<_>>()
                .join(", "),
        ),
    ]);
    if let Some(backup) = &outcome.safety_backup {
        text.add(format_args!("safety backup of what was there: {backup}\n"));
    }
    for left_out in &outcome.left_out {
        text.add(format_args!("left out: {left_out}\n"));
    }
    for (step, message) in &outcome.messages {
        text.add(format_args!("{step}: {} ({})\n", message.text, message.classification.words()));
    }
    text
}

fn exchange(exchanged: &Exchanged) -> [(&'static str, String); 1] {
    let ended = counted(exchanged.sessions_ended, "session");
    [("downtime", format!("{:.2} s ({ended} ended)", exchanged.downtime_seconds))]
}

fn swapped(outcome: &SwapOutcome, destination: &str) -> String {
    let mut text = done(&outcome.restored);
    let kept = &outcome.kept_as;
    let checks = match outcome.checks.len() {
        0 => "none configured".to_owned(),
        checks => format!("{}, true", counted(checks as u64, "check")),
    };
    text.push_str(&facts([("checks", checks)].into_iter().chain(exchange(&outcome.exchange))));
    for message in &outcome.exchange.messages {
        text.add(format_args!("exchange: {} ({})\n", message.text, message.classification.words()));
    }
    text.add(format_args!(
        "\n'{}' is now what was restored. What it was before is '{kept}':\n  to take it back:           lifeboat restore --swap-back {destination}\n  when it is not needed:     DROP DATABASE \"{kept}\"\n",
        outcome.live
    ));
    text
}

/// A way back that was taken.
pub(super) fn taken_back(outcome: &SwapBackOutcome) -> String {
    let rows = [
        ("taken back", format!("'{}' on {} is the old database again", outcome.live, outcome.server)),
        ("kept as", format!("'{}' is what had been swapped in, with what was written to it since", outcome.kept_as)),
    ];
    let mut text = facts(rows.into_iter().chain(exchange(&outcome.exchange)));
    text.push_str(&troubles(&outcome.trouble));
    text
}

fn rescued(outcome: &RescueOutcome) -> String {
    let phases = outcome.phases.iter().map(|p| format!("{} {}", p.phase, duration(p.seconds))).collect::<Vec<_>>();
    let mut text = facts([
        ("rescued", format!("{}/{}", outcome.database, outcome.backup_id)),
        ("into", outcome.target.clone()),
        ("rows", count(outcome.rows)),
        ("took", duration(total(&outcome.phases))),
        ("phases", phases.join(", ")),
    ]);
    text.push('\n');
    let rows = outcome.tables.iter().map(|t| {
        let rows = |rows: &Option<RowDifference>| rows.as_ref().map_or_else(|| "-".to_owned(), |r| count(r.rows));
        vec![
            t.live.clone(),
            count(t.rescued_rows),
            t.live_rows.map_or_else(|| "gone".to_owned(), count),
            rows(&t.missing_in_live),
            rows(&t.changed),
            rows(&t.only_in_live),
        ]
    });
    let columns = [
        ("table", Align::Left),
        ("rescued", Align::Right),
        ("live", Align::Right),
        ("missing in live", Align::Right),
        ("changed", Align::Right),
        ("only in live", Align::Right),
    ];
    text.push_str(&table(&columns, rows));
    for table in &outcome.tables {
        text.push_str(&one(table));
    }
    text.add(format_args!(
        "\nThe statements above were not run. When all is well: DROP SCHEMA {} CASCADE;\n",
        lifeboat_postgres::quote::identifier(&outcome.schema)
    ));
    text
}

fn one(table: &TableDifference) -> String {
    let mut text = format!("\n-- {} beside {}\n", table.rescued, table.live);
    for (what, rows) in [
        ("missing in live", &table.missing_in_live),
        ("changed", &table.changed),
        ("only in live", &table.only_in_live),
    ] {
        if let Some(rows) = rows.as_ref().filter(|rows| !rows.keys.is_empty()) {
            let keys = rows.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let more = if rows.rows > rows.keys.len() as u64 { ", …" } else { "" };
            text.add(format_args!("-- {what}: {keys}{more}\n"));
        }
    }
    for remark in &table.remarks {
        text.add(format_args!("-- {remark}\n"));
    }
    if table.statements.is_empty() {
        text.push_str("-- nothing to bring back\n");
    }
    for statement in &table.statements {
        text.add(format_args!("-- {}:\n{}\n", statement.does, statement.sql));
    }
    text
}
