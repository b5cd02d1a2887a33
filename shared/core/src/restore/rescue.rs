//! A rescue: tables of a backup beside the live ones, in a schema of their own, with what differs and how to bring it back.

use std::sync::Arc;

use lifeboat_archive::{encryption::Identities, toc::Toc};
use serde::Serialize;

use super::{
    RestorePlan, RestorePorts, RestoreRequest, TableName,
    beside::{self, Purpose},
    plan, run, selection,
};
use crate::{
    Error, ErrorKind, Result,
    ids::{BackupId, DatabaseSlug},
    manifest::{Manifest, PhaseDuration},
    phases::Phases,
    ports::{LiveDatabase, RescuedTable, RunContext, Store, TableDifference, Target, TargetFacts, ToolMessage},
    reading::BackupReader,
};

/// What a rescue works with.
#[derive(Clone)]
pub struct RescuePorts {
    /// Where the backup lies.
    pub store: Arc<dyn Store>,
    /// What opens it, where it is encrypted.
    pub identities: Arc<Identities>,
    /// The live database.
    pub live: Arc<dyn LiveDatabase>,
    /// The same as a target: only its facts are read.
    pub target: Arc<dyn Target>,
}

/// What a rescue is asked for.
#[derive(Debug, Clone)]
pub struct RescueRequest {
    /// These tables, at least one.
    pub tables: Vec<TableName>,
    /// The schema that they are put into; it must not be there.
    pub schema: String,
    /// Parallel sessions, at least 1.
    pub jobs: u32,
}

/// What a rescue will do; a dry run prints exactly this.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RescuePlan {
    /// What is restored in the side database.
    #[serde(flatten)]
    pub restore: RestorePlan,
    /// The tables, by schema and name.
    pub rescued: Vec<RescuedTable>,
    /// The schema that they are put into.
    pub schema: String,
    /// The side database, which is gone afterwards.
    pub side_database: String,
    /// Whether an earlier run left something under this name, which is dropped.
    pub drops_left_over: bool,
}

/// What a rescue did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RescueOutcome {
    /// The database that the backup is of.
    pub database: DatabaseSlug,
    /// The backup.
    pub backup_id: BackupId,
    /// Server and database that the tables were put into.
    pub target: String,
    /// The schema that holds them.
    pub schema: String,
    /// Rows rescued.
    pub rows: u64,
    /// Each table beside the live one; tables that others refer to come first.
    pub tables: Vec<TableDifference>,
    /// What client tools said, harmless messages aside, by step.
    pub messages: Vec<(String, ToolMessage)>,
    /// Durations.
    pub phases: Vec<PhaseDuration>,
}

/// Makes the plan, or refuses; changes nothing.
pub async fn plan_rescue(ports: &RescuePorts, manifest: &Manifest, request: &RescueRequest) -> Result<RescuePlan> {
    if request.tables.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "a rescue into a schema needs the tables by name")
            .with_hint("name each with --table SCHEMA.TABLE"));
    }
    if request.schema.is_empty() || request.schema.len() > 63 || request.schema.starts_with("pg_") {
        return Err(Error::new(ErrorKind::Usage, format!("'{}' cannot be the name of a schema", request.schema)));
    }
    let target = ports.target.facts().await?;
    let side_database = beside::name(&target.database, Purpose::Rescue);
    let live = ports.live.facts(std::slice::from_ref(&side_database)).await?;
    beside::refuse_forbidden(&live, &[&live.cannot_create])?;
    if ports.live.has_schema(&request.schema).await? {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("database '{}' on {} has a schema '{}' already", target.database, target.server, request.schema),
        )
        .with_hint("name one that is not there; an earlier rescue is dropped with DROP SCHEMA … CASCADE"));
    }
    let drops_left_over = beside::left_over(&live, &side_database)?;
    let backup = BackupReader::new(&*ports.store, manifest, &ports.identities);
    let toc = backup.toc().await?;
    super::run::check_presence(backup).await?;
    let rescued = rescued(&toc, &request.tables)?;
    let shown = format!("database '{}' on {}, schema '{}'", target.database, target.server, request.schema);
    let empty = TargetFacts { database: side_database.clone(), contents: Vec::new(), ..target };
    let restore = RestorePlan { target: shown, ..plan(manifest, &toc, &empty, &restore_request(request), false)? };
    Ok(RescuePlan { restore, rescued, schema: request.schema.clone(), side_database, drops_left_over })
}

/// The tables without what acts on rows, and as this role's own: a copy to look at and to take rows from.
fn restore_request(request: &RescueRequest) -> RestoreRequest {
    RestoreRequest {
        jobs: request.jobs,
        tables: request.tables.clone(),
        no_owner: true,
        no_acl: true,
        bare: true,
        ..RestoreRequest::default()
    }
}

fn rescued(toc: &Toc, tables: &[TableName]) -> Result<Vec<RescuedTable>> {
    let mut found: Vec<RescuedTable> = Vec::new();
    for (schema, name) in selection::named(toc, tables)? {
        let (Ok(schema), Ok(name)) = (String::from_utf8(schema), String::from_utf8(name)) else {
            return Err(Error::new(ErrorKind::Refused, "a table whose name is not UTF-8 cannot be put into a schema")
                .with_hint("restore it with --table into a new database"));
        };
        if let Some(other) = found.iter().find(|other| other.name == name && other.schema != schema) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("{}.{name} and {schema}.{name} cannot be in one schema", other.schema),
            )
            .with_hint("rescue them one after the other, each into a schema of its own"));
        }
        if !found.iter().any(|other| other.name == name) {
            found.push(RescuedTable { schema, name });
        }
    }
    Ok(found)
}

/// Rescues. The live tables are not touched: what is made is the schema, whole or not at all.
pub async fn rescue(
    ports: &RescuePorts,
    manifest: &Arc<Manifest>,
    request: &RescueRequest,
    context: &RunContext,
) -> Result<RescueOutcome> {
    context.cancel.race(ports.live.claim()).await?;
    let plan = context.cancel.race(plan_rescue(ports, manifest, request)).await?;
    if plan.drops_left_over {
        context.progress.note(&format!("'{}' was left by a run that did not end; dropping it", plan.side_database));
        ports.live.drop_beside(&plan.side_database).await?;
    }
    let copied = Box::pin(copied(ports, manifest, request, &plan, context)).await;
    let dropped = ports.live.drop_beside(&plan.side_database).await;
    let (rows, messages, mut phases) = copied.map_err(|e| {
        let hint = e.hint().to_owned();
        e.context("rescue (the live tables were not touched)").with_hint(hint)
    })?;
    if let Err(error) = dropped {
        context.progress.note(&format!("'{}' could not be dropped: {error}", plan.side_database));
    }
    let mut comparing = Phases::begin(context, "compare with the live tables", None);
    let tables = context.cancel.race(ports.live.differences(&plan.rescued, &request.schema)).await.map_err(|e| {
        e.context(format!("compare the tables in '{}' with the live ones (they are rescued)", request.schema))
    })?;
    comparing.end();
    phases.extend(comparing.so_far());
    Ok(RescueOutcome {
        database: plan.restore.database,
        backup_id: plan.restore.backup_id,
        target: plan.restore.target,
        schema: plan.schema,
        rows,
        tables,
        messages,
        phases,
    })
}

type Copied = (u64, Vec<(String, ToolMessage)>, Vec<PhaseDuration>);

async fn copied(
    ports: &RescuePorts,
    manifest: &Arc<Manifest>,
    request: &RescueRequest,
    plan: &RescuePlan,
    context: &RunContext,
) -> Result<Copied> {
    let cancel = &context.cancel;
    let remark = beside::remark(manifest);
    let making = ports.live.make_beside(&plan.side_database, &manifest.source, &remark, context);
    let target = cancel.race(making).await?;
    let restore = RestorePorts { store: Arc::clone(&ports.store), identities: Arc::clone(&ports.identities), target };
    let request_beside = restore_request(request);
    let outcome = Box::pin(run(&restore, manifest, &request_beside, None, context)).await?;
    drop(restore);
    let mut phases = Phases::begin(context, "copy", None);
    cancel.race(ports.live.gather(&plan.side_database, &plan.rescued, &plan.schema)).await?;
    cancel.race(ports.live.copy_schema(&plan.side_database, &plan.schema, context)).await?;
    phases.end();
    Ok((outcome.rows, outcome.messages, [outcome.phases, phases.so_far()].concat()))
}
