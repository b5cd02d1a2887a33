//! `restore`: a backup, or part of it, into a database, beside live tables, or in the place of a live database.

mod told;

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind, Result,
    ids::DatabaseSlug,
    restore::{Part, RestorePlan, RestoreRequest, SwapPlan},
};
use lifeboat_runtime::runs::{Destination, How, PlannedRestore, RestoreOptions, prepare_restore, prepare_swap_back};

use crate::{answer::Answer, app::App, arguments::Restore};

pub(crate) async fn run(app: &App, arguments: &Restore) -> Result<Answer> {
    let Some(reference) = &arguments.backup else { return swap_back(app, arguments).await };
    let to = arguments.to.as_deref().map(|url| app.setup.connection_to(url)).transpose()?;
    let store = app.store().await?;
    let backup = app.find(&*store, reference).await?;
    if !backup.state.good {
        app.context.progress.note(&format!(
            "{} is {}, not verified or restored; rows are compared after the restore all the same",
            backup.state.qualified(),
            backup.state.standing()
        ));
    }
    let manifest = Arc::new(backup.manifest);
    let destination = match to {
        Some(connection) => Destination::at(connection),
        None => named(app, arguments, Some(&manifest.database)).await?,
    };
    let options = RestoreOptions {
        manifest: Arc::clone(&manifest),
        destination,
        how: how(arguments),
        jobs: arguments.jobs,
        identity: arguments.identity.clone(),
        fast_scratch: arguments.fast_scratch,
    };
    let prepared = prepare_restore(&app.setup, options, &app.context).await?;
    if arguments.dry_run {
        let plan = prepared.predicted(&app.context).await?;
        return Answer::new(&plan, told::planned(&plan, &manifest));
    }
    match &prepared.plan {
        PlannedRestore::Into(plan) => confirm(app, arguments, plan).await?,
        PlannedRestore::Swap(plan) => confirm_swap(app, plan).await?,
        // It makes a schema, and touches nothing that is there.
        PlannedRestore::IntoSchema(_) => {}
    }
    let restored = Box::pin(prepared.execute(&app.setup, &app.context)).await?;
    let text = told::restored(&restored, &destination_words(arguments));
    Ok(Answer::new(&restored, text)?.with_exit(exit(restored.trouble())))
}

/// The data are where they should be, but nobody may take that for a success.
fn exit(trouble: &[String]) -> Option<ErrorKind> {
    (!trouble.is_empty()).then_some(ErrorKind::Unexpected)
}

async fn named(app: &App, arguments: &Restore, database: Option<&DatabaseSlug>) -> Result<Destination> {
    let name = arguments
        .target
        .as_deref()
        .ok_or_else(|| Error::new(ErrorKind::Usage, "name the target with --to or --target"))?;
    app.context.cancel.race(Destination::named(&app.setup, name, database)).await
}

/// How a person named the target, to be said again.
fn destination_words(arguments: &Restore) -> String {
    match (&arguments.to, &arguments.target) {
        (Some(url), _) => format!("--to {url}"),
        (None, name) => format!("--target {}", name.as_deref().unwrap_or_default()),
    }
}

fn how(arguments: &Restore) -> How {
    if arguments.swap {
        return How::Swap;
    }
    if let Some(schema) = &arguments.into_schema {
        return How::IntoSchema { tables: arguments.tables.clone(), schema: schema.clone() };
    }
    let request = RestoreRequest {
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
        keep_ledger: true,
        resume: arguments.resume,
        ..RestoreRequest::default()
    };
    // Data go into a target that is not empty by their nature; a safety backup is what --force asks for.
    How::Into { request, safety: arguments.force && !arguments.no_safety_backup, replace: false }
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

async fn confirm_swap(app: &App, plan: &SwapPlan) -> Result<()> {
    let (live, kept) = (&plan.live, &plan.kept_as);
    app.confirm(&format!(
        "This will put {}/{} in the place of database '{}' on {}, end its {} sessions, and keep it as '{kept}'. What was \
         written to it after the backup stays there.",
        plan.restore.database, plan.restore.backup_id, live.database, live.server, live.sessions
    ))
    .await
}

async fn swap_back(app: &App, arguments: &Restore) -> Result<Answer> {
    let destination = match &arguments.to {
        Some(url) => Destination::at(app.setup.connection_to(url)?),
        None => named(app, arguments, None).await?,
    };
    let prepared = prepare_swap_back(&app.setup, destination, &app.context).await?;
    let (database, from, kept) = (&prepared.database, &prepared.from, &prepared.kept_as);
    let question = format!(
        "This will put '{from}' in the place of database '{database}' again, end its {} sessions, and keep it as '{kept}'.",
        prepared.sessions
    );
    if arguments.dry_run {
        let document =
            serde_json::json!({ "live": database, "from": from, "kept_as": kept, "sessions": prepared.sessions });
        return Answer::new(&document, format!("{question}\n\nThis was a dry run: nothing was changed.\n"));
    }
    app.confirm(&question).await?;
    let outcome = prepared.execute(&app.setup, &app.context).await?;
    Ok(Answer::new(&outcome, told::taken_back(&outcome))?.with_exit(exit(&outcome.trouble)))
}
