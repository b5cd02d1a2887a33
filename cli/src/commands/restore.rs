//! `restore`: a backup, or part of it, into a database.

use std::sync::Arc;

use lifeboat_core::{
    ErrorKind, Result,
    dump::{DumpPorts, DumpRequest},
    ids::DatabaseSlug,
    manifest::Manifest,
    report::words::{bytes, count, counted, duration},
    restore::{self, Part, RestoreOutcome, RestorePlan, RestorePorts, RestoreRequest, SafetyBackup},
};
use lifeboat_postgres::ConnectionTarget;
use lifeboat_runtime::requests::total;

use super::dump::per_second;
use crate::{
    answer::Answer,
    app::App,
    arguments::Restore,
    table::{Align, facts, table},
    text::Append,
};

pub(crate) async fn run(app: &App, arguments: &Restore) -> Result<Answer> {
    let connection = app.setup.connection_to(&arguments.to)?;
    let store = app.store().await?;
    let backup = app.find(&*store, &arguments.backup).await?;
    if !backup.state.good {
        app.context.progress.note(&format!(
            "{} is {}, not verified or restored; rows are compared after the restore all the same",
            backup.state.qualified(),
            backup.state.standing()
        ));
    }
    let manifest = Arc::new(backup.manifest);
    let cancel = &app.context.cancel;
    let target = cancel.race(app.setup.open_target(connection.clone())).await?;
    let ports = RestorePorts { store: Arc::clone(&store), target: Arc::new(target) };
    let request = request(app, arguments, &manifest);
    // Data go into a target that is not empty by their nature; a safety backup is what --force asks for.
    let wants_safety = arguments.force && !arguments.no_safety_backup;
    let plan = cancel.race(restore::dry_run(&ports, &manifest, &request, wants_safety)).await?;
    if arguments.dry_run {
        return Answer::new(&plan, planned(&plan, &manifest));
    }
    confirm(app, arguments, &plan).await?;
    let safety = if plan.safety_backup { Some(safety_backup(app, &connection).await?) } else { None };
    let running = restore::run(&ports, &manifest, &request, safety.as_ref(), &app.context);
    let outcome = running.await.map_err(|e| match e.kind() {
        // The kind's own hint says that nothing half-done remains, which is not true of a target.
        ErrorKind::Interrupted | ErrorKind::Deadline => {
            e.with_hint("drop the target or empty it, then restore again; the backup is as it was")
        }
        _ => e,
    })?;
    let text = done(&outcome);
    Answer::new(&outcome, text)
}

fn request(app: &App, arguments: &Restore, manifest: &Manifest) -> RestoreRequest {
    RestoreRequest {
        jobs: app.jobs(&manifest.database, arguments.jobs),
        part: match (arguments.schema_only, arguments.data_only) {
            (true, _) => Part::Schema,
            (_, true) => Part::Data,
            _ => Part::Everything,
        },
        tables: arguments.tables.clone(),
        clean: arguments.clean,
        no_owner: arguments.no_owner,
        no_acl: arguments.no_acl,
        role: arguments.role.clone(),
        force: arguments.force,
        no_compare: false,
    }
}

async fn confirm(app: &App, arguments: &Restore, plan: &RestorePlan) -> Result<()> {
    if !(arguments.force || arguments.clean) || plan.target_contents.is_empty() {
        return Ok(());
    }
    let contents = plan.target_contents.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let does = if arguments.clean { "drop and replace what is" } else { "restore over what is" };
    let safety = if plan.safety_backup { "after a safety backup" } else { "WITHOUT a safety backup" };
    app.confirm(&format!("This will {does} in the {} ({contents}), {safety}.", plan.target)).await
}

/// The target as a source. Its backup has a history of its own: it must never be taken for one of the source.
async fn safety_backup(app: &App, connection: &ConnectionTarget) -> Result<SafetyBackup> {
    let slug = DatabaseSlug::safety_of(connection.database())?;
    let config = app.setup.database(&slug);
    let source = app.context.cancel.race(app.setup.open_source(connection.clone())).await?;
    Ok(SafetyBackup {
        ports: DumpPorts {
            source: Arc::new(source),
            store: app.store().await?,
            control: app.setup.open_control().await?,
        },
        request: DumpRequest {
            jobs: config.jobs.value,
            codec: config.compress.value,
            timezone: config.timezone.value,
            chunk_bytes: config.chunk_size.value.0,
            ..DumpRequest::new(slug)
        },
    })
}

fn planned(plan: &RestorePlan, manifest: &Manifest) -> String {
    let contents = if plan.target_contents.is_empty() { "nothing".to_owned() } else { plan.target_contents.join(", ") };
    let mut text = facts([
        ("backup", format!("{}/{}", plan.database, plan.backup_id)),
        ("target", plan.target.clone()),
        ("it holds", contents),
        ("safety backup", if plan.safety_backup { "yes, first" } else { "no" }.to_owned()),
        ("pre-data", counted(plan.pre_data.len() as u64, "definition")),
        (
            "data",
            format!(
                "{} of {}, {}, {} to read",
                counted(plan.rows, "row"),
                counted(plan.tables.len() as u64, "table"),
                counted(plan.large_objects.len() as u64, "large object"),
                bytes(plan.stored_bytes)
            ),
        ),
        ("post-data", counted(plan.post_data.len() as u64, "definition")),
    ]);
    for left_out in &plan.left_out {
        text.add(format_args!("left out: {left_out}\n"));
    }
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
    text.push_str("\nThis was a dry run: nothing was changed.\n");
    text
}

/// What was restored, in words.
pub(crate) fn done(outcome: &RestoreOutcome) -> String {
    let seconds = total(&outcome.phases);
    let compared = match &outcome.not_compared {
        Some(why) => format!("nothing: {why}"),
        None => format!("{} tables and large objects, all equal to the manifest", count(outcome.compared.len() as u64)),
    };
    let mut text = facts([
        ("restored", format!("{}/{}", outcome.database, outcome.backup_id)),
        ("into", outcome.target.clone()),
        ("rows", count(outcome.rows)),
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
