//! Findings about the stores, running and dead runs, alerts, and scratch targets.

use crate::{
    ErrorKind,
    events::{Failure, Severity},
    health::{
        ControlFacts, Place,
        words::{counted, moment, named, span},
    },
    ids::DatabaseSlug,
};

use super::Findings;

/// So many things are named in one finding.
const NAMED: usize = 5;

pub(super) fn look(f: &mut Findings<'_>) {
    let facts = f.facts;
    place(f, &facts.store, "store_unreachable", "store_not_writable", "the store");
    place(f, &facts.control_store, "control_store_unreachable", "control_store_not_writable", "the control store");
    if let Some(control) = &facts.control {
        runs(f, control);
        alerts(f, control);
    }
    scratch(f);
    for (what, failure) in &facts.not_asked {
        f.add(
            "not_asked",
            Severity::Warning,
            format!("{what} could not be asked: {}", failure.message),
            remedy(failure),
        );
    }
}

fn place(f: &mut Findings<'_>, place: &Place, unreachable: &str, not_writable: &str, what: &str) {
    let name = if place.url.is_empty() { what.to_owned() } else { format!("{what} {}", place.url) };
    if let Some(failure) = &place.unreachable {
        f.add(unreachable, Severity::Critical, format!("{name} cannot be read: {}", failure.message), remedy(failure));
    } else if let Some(failure) = &place.not_writable {
        let message = format!("{name} cannot be written as it must be: {}", failure.message);
        f.add(not_writable, Severity::Critical, message, remedy(failure));
    }
}

pub(super) fn remedy(failure: &Failure) -> String {
    failure.hint.clone()
}

fn runs(f: &mut Findings<'_>, control: &ControlFacts) {
    let database = f.database;
    if let Some(failure) = &control.lease_trouble {
        f.add("lease_unreadable", Severity::Warning, failure.message.clone(), remedy(failure));
    }
    if let Some(lease) = &control.lease {
        let age = f.since(lease.acquired_at);
        if age > f.thresholds.run_age.0 {
            let host = lease.host.as_deref().map_or(String::new(), |host| format!(" on {host}"));
            f.add(
                "run_too_long",
                Severity::Warning,
                format!("{} (run {}{host}) has been running for {}", lease.operation, lease.run_id, span(age)),
                "look at its log; stop it (Ctrl-C, or SIGTERM) if it hangs: its lease lapses within a minute",
            );
        }
    }
    let died: Vec<String> = control.died.iter().map(|(operation, at)| format!("{operation} of {at}")).collect();
    if !died.is_empty() {
        f.add(
            "run_died",
            Severity::Warning,
            format!("{} ended without a word: {}", counted(died.len(), "run"), named(&died, NAMED)),
            format!(
                "look at the function's log of that time, then run it again: lifeboat {}",
                command(&control.died[0].0, database)
            ),
        );
    }
}

/// What a person types to have a run's work done after all.
fn command(operation: &str, database: &DatabaseSlug) -> String {
    match operation {
        "verify-completed" => format!("verify {database}"),
        "retention" => format!("retention apply {database}"),
        "restore" => "restore, which takes what the request said".to_owned(),
        operation => format!("{operation} {database}"),
    }
}

fn alerts(f: &mut Findings<'_>, control: &ControlFacts) {
    if control.undelivered > 0 || control.undelivered_trouble.is_some() {
        let why = control.undelivered_trouble.as_ref();
        let because = why.map_or(String::new(), |failure| format!(": {}", failure.message));
        let left = usize::try_from(control.undelivered).unwrap_or(usize::MAX);
        f.add(
            "events_undelivered",
            Severity::Warning,
            format!("what happened in {} could not be told{because}", counted(left, "run")),
            why.map_or_else(|| "check the bus and its permissions; health tries again every time".to_owned(), remedy),
        );
    }
    if let Some((_, why)) = control.alerts.first() {
        let titles: Vec<String> = control.alerts.iter().map(|(title, _)| title.clone()).collect();
        f.add(
            "alerts_undelivered",
            Severity::Warning,
            format!("{} did not arrive: {} ({why})", counted(titles.len(), "alert"), named(&titles, NAMED)),
            "lifeboat alert list shows all of them, lifeboat alert test tries the channels; what has not arrived within a week is given up",
        );
    }
    if !control.unconfirmed.is_empty() {
        f.add(
            "subscription_unconfirmed",
            Severity::Warning,
            format!("nobody has confirmed {}: they get no alerts", named(&control.unconfirmed, NAMED)),
            "open the confirmation mail and follow its link; send it again with: lifeboat alert test",
        );
    }
    if let Some(failure) = &control.topic_trouble {
        // A topic that is wrong or gone takes no alert; one that only may not be asked may still take them.
        let gone = [ErrorKind::NotFound, ErrorKind::Config].iter().any(|kind| kind.name() == failure.kind);
        let (severity, so) = if gone {
            (Severity::Critical, "alerts reach nobody through the topic")
        } else {
            (Severity::Warning, "nobody knows whether alerts arrive")
        };
        f.add("topic_unreachable", severity, format!("{so}: {}", failure.message), remedy(failure));
    }
    // Where nothing that sends digests ever ran, there is no record of one: then it counts since when they are wanted.
    let (last, wanted) = (control.last_digest_at, f.facts.digest_wanted_since);
    if let (Some(every), Some(since)) = (f.facts.wanted.digest_seconds, last.or(wanted)) {
        let age = f.since(since);
        if age > every + f.thresholds.schedule_grace.0 {
            let (ago, at, every) = (span(age), moment(since), span(every));
            f.add(
                "digest_overdue",
                Severity::Warning,
                match last {
                    Some(_) => format!("the last digest was sent {ago} ago ({at}); one is due every {every}"),
                    None => format!("no digest is on record; one has been due every {every} since {at}, {ago} ago"),
                },
                "look at the log of the function that sends it; try the channels with: lifeboat alert test",
            );
        }
    }
}

fn scratch(f: &mut Findings<'_>) {
    let facts = f.facts;
    for seen in &facts.scratch {
        let Some(left) = &seen.left else {
            if let Some(failure) = &seen.trouble {
                let message = format!("scratch targets could not be looked for ({}): {}", seen.place, failure.message);
                f.add("scratch_left", Severity::Warning, message, remedy(failure));
            }
            continue;
        };
        let what = format!("{} {} of {}", left.kind, left.name, moment(left.made_at));
        if seen.removed {
            let message = format!("{what} outlived its drill and was removed ({})", seen.place);
            f.add("scratch_left", Severity::Info, message, "nothing is left to do; the drill's log says why it stayed");
        } else {
            let why = match (&left.in_use, &seen.trouble) {
                (Some(why), _) => why.clone(),
                (None, Some(failure)) => failure.message.clone(),
                (None, None) => "it was not removed".to_owned(),
            };
            let remedy = seen.trouble.as_ref().map_or_else(
                || format!("end whoever uses it, if nobody needs it; lifeboat health {} then removes it", f.database),
                remedy,
            );
            let message = format!("{what} is past its time ({}), but {why}", seen.place);
            f.add("scratch_left", Severity::Warning, message, remedy);
        }
    }
}
