//! `list`: backups, newest first.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    catalog::{self, BackupState},
    ids::DatabaseSlug,
    report::words::{bytes, count, counted, duration},
};
use serde_json::json;

use crate::{
    answer::Answer,
    app::App,
    arguments::List,
    table::{Align, table},
    text::Append,
};

pub(crate) async fn run(app: &App, arguments: &List) -> Result<Answer> {
    let store = app.store().await?;
    let database = app.named_or_by_url(arguments.database.as_ref())?.map(|s| s.slug);
    let cancel = &app.context.cancel;
    let states = cancel.race(catalog::list(&*store, database.as_ref())).await?;
    let leftovers = cancel.race(catalog::unfinished(&*store, database.as_ref())).await?;
    if let Some(named) = arguments.database.as_ref().filter(|_| states.is_empty() && leftovers.is_empty()) {
        let others = cancel.race(catalog::list(&*store, None)).await?;
        let known: BTreeSet<&str> = others.iter().map(|s| s.database.as_str()).collect();
        if !known.is_empty() {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Error::new(ErrorKind::NotFound, format!("there is no backup of {named} in {}", store.url()))
                .with_hint(format!("it holds backups of {known}")));
        }
    }
    let now = app.context.clock.now();
    let mut text = if states.is_empty() {
        format!(
            "There is no backup{} in {}.\n",
            database.as_ref().map_or_else(String::new, |d| format!(" of {d}")),
            store.url()
        )
    } else {
        shown(&states, now)
    };
    for leftover in &leftovers {
        text.add(format_args!(
            "not a backup: {}/{} ({}, {}), a dump that runs or one that died {} ago\n",
            leftover.database,
            leftover.backup_id,
            counted(leftover.objects, "object"),
            bytes(leftover.bytes),
            age(now, leftover.last_written)
        ));
    }
    // A URL, perhaps one of the environment, must not hide what somebody looks for. Who may not see the others is not told.
    if let (None, Some(shown)) = (&arguments.database, &database)
        && let Ok(others) = cancel.race(catalog::databases(&*store)).await
    {
        let others: Vec<&str> = others.iter().filter(|other| *other != shown).map(DatabaseSlug::as_str).collect();
        if !others.is_empty() {
            text.add(format_args!(
                "Only backups of {shown}, which the database's URL names. The store also holds {}: `lifeboat list NAME`.\n",
                others.join(", ")
            ));
        }
    }
    Answer::new(&json!({ "store": store.url(), "backups": states, "unfinished": leftovers }), text)
}

/// The table of backups.
pub(crate) fn shown(states: &[BackupState], now: Timestamp) -> String {
    table(
        &[
            ("database", Align::Left),
            ("backup", Align::Left),
            ("age", Align::Right),
            ("state", Align::Left),
            ("tier", Align::Left),
            ("rows", Align::Right),
            ("data", Align::Right),
            ("stored", Align::Right),
            ("server", Align::Left),
            ("remarks", Align::Left),
        ],
        states.iter().map(|state| {
            let totals = state.summary.as_ref().map(|s| &s.totals);
            let figure = |f: Option<String>| f.unwrap_or_else(|| "?".to_owned());
            vec![
                state.database.to_string(),
                state.backup_id.to_string(),
                age(now, state.at()),
                state.standing().to_owned(),
                state.tier.name().to_owned(),
                figure(totals.map(|t| count(t.rows))),
                figure(totals.map(|t| bytes(t.raw_bytes))),
                figure(totals.map(|t| bytes(t.stored_bytes))),
                figure(state.summary.as_ref().map(|s| first_word(&s.server_version))),
                remarks(state),
            ]
        }),
    )
}

/// `15.18 (Debian 15.18-0+deb12u1)` is 15.18.
fn first_word(version: &str) -> String {
    version.split_whitespace().next().unwrap_or(version).to_owned()
}

fn remarks(state: &BackupState) -> String {
    let mut remarks = Vec::new();
    if let Some(reason) = &state.held {
        remarks.push(format!("held: {reason}"));
    }
    if let Some(problem) = &state.problem {
        remarks.push(problem.clone());
    }
    let omitted = state.summary.as_ref().map_or(0, |s| s.omitted);
    if omitted > 0 {
        remarks.push(format!("{omitted} omitted"));
    }
    remarks.join("; ")
}

/// How long ago, in words; nothing is younger than now.
pub(crate) fn age(now: Timestamp, at: Timestamp) -> String {
    duration(now.duration_since(at).as_secs_f64().max(0.0))
}
