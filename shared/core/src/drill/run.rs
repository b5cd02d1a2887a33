//! Runs a drill: select, provision, restore, compare, checks, negative control, tear down, report.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    DrillRequest, chain,
    rehearse::{Rehearsal, is_frozen, rehearse, storage_classes},
    select::{Selection, choose},
};
use crate::{
    Error, ErrorKind, Result,
    attestation::Statement,
    catalog::{self, Backup, BackupState},
    ids::{BackupId, DrillId},
    manifest::Manifest,
    ports::{RunContext, ScratchProvider, Store, ToolMessage},
    report::{
        BackupEvidence, Closure, Cost, CryptoEvidence, DrillReport, Environment, Fact, Identity, Integrity, Objective,
        OutOfScope, PhaseTiming, PreviousReport, Proof, REPORT_FORMAT_VERSION, Scope, ToolRun, Verdict, to_html,
        to_markdown, words::counted,
    },
    verify,
};

/// Controls that a restore test is evidence for.
const CONTROLS: [&str; 5] = [
    "SOC 2 A1.3",
    "ISO 27001 A.8.13",
    "HIPAA 164.308(a)(7)(ii)(D)",
    "NIST SP 800-53 CP-9(1), CP-9(2)",
    "CIS Controls 11.5",
];

/// What a drill works with.
#[derive(Clone)]
pub struct DrillPorts {
    /// Where the backups lie and the report goes.
    pub store: Arc<dyn Store>,
    /// Makes the scratch target.
    pub scratch: Arc<dyn ScratchProvider>,
}

/// What a drill made. A drill that fails is no `Err`: its report says so.
#[derive(Debug, Clone)]
pub struct DrillOutcome {
    /// The report as it was written.
    pub report: DrillReport,
    /// Its folder in the store, `<database>/drills/<drill id>/`, with `report.json`, `.html` and `.md`.
    pub folder: String,
    /// The kind of the error that ended it early, if one did: a scratch server out of reach is no damaged backup.
    pub cause: Option<ErrorKind>,
}

/// Rehearses a restore. The scratch target is removed in every ending. An `Err` means that there was no drill to report
/// on: no backup, or the report could not be written, or the run was stopped.
pub async fn run(ports: &DrillPorts, request: &DrillRequest, context: &RunContext) -> Result<DrillOutcome> {
    let started_at = context.clock.now();
    let began = context.clock.monotonic_seconds();
    let drill_id = DrillId::new(started_at, context.entropy.next());
    context.progress.phase("select", None);
    let states = context.cancel.race(catalog::list(&*ports.store, Some(&request.database))).await?;
    let (chosen, passed_over) = choose_readable(ports, request, states, context).await?;
    let backup = catalog::open(&*ports.store, &request.database, &chosen).await?;
    let mut select = PhaseTiming::skipped("select", "");
    select.outcome = crate::report::PhaseOutcome::Done;
    (select.started_at, select.ended_at) = (Some(started_at), Some(context.clock.now()));
    select.seconds = context.clock.monotonic_seconds() - began;
    select.note = None;
    let previous = chain::latest_report(&*ports.store, &request.database).await?;
    let mut rehearsal = Box::pin(rehearse(ports, request, &backup, vec![select], context)).await;
    rehearsal.deviations.extend(passed_over);
    if let Some(kind) = rehearsal.stopped {
        // A drill that was stopped proves nothing, neither good nor bad.
        let gone = if rehearsal.torn_down { "its scratch target is gone" } else { "its scratch target REMAINS" };
        return Err(Error::new(kind, format!("the drill was stopped; {gone}, and there is no report")));
    }
    let cause = rehearsal.cause;
    if cause == Some(ErrorKind::Corrupt) {
        // What a drill stumbles over need not be the backup's fault: verify has the last word on its rung.
        match verify::run(&ports.store, &backup, request.jobs, context).await {
            Ok(found) => rehearsal.reasons.extend(found.damage.into_iter().map(|d| d.what)),
            Err(error) => rehearsal.deviations.push(format!("the backup could not be verified afterwards: {error}")),
        }
    }
    let mut report = evidence(ports, request, &backup, drill_id, started_at, rehearsal, previous.as_ref(), context);
    report.judge();
    let folder = chain::folder(&request.database, &report.drill_id);
    write(&*ports.store, &mut report, &folder, context).await?;
    if report.verdict != Verdict::Failed {
        let statement = Statement::Restored { drill_id: report.drill_id.clone() };
        catalog::attest(&*ports.store, &backup.state, statement, context).await?;
    }
    Ok(DrillOutcome { report, folder, cause })
}

/// The backup to drill, and what was passed over: a frozen one can only be drilled by name, after a thaw, and must not
/// keep the others from being drilled.
async fn choose_readable(
    ports: &DrillPorts,
    request: &DrillRequest,
    mut states: Vec<BackupState>,
    context: &RunContext,
) -> Result<(BackupId, Vec<String>)> {
    let random = context.entropy.next();
    let mut passed_over = Vec::new();
    loop {
        let chosen = match choose(&states, &request.database, &request.selection, random) {
            Ok(chosen) => chosen,
            Err(error) if passed_over.is_empty() => return Err(error),
            Err(error) => {
                return Err(error.with_hint("every backup is in an archive storage class: thaw one, then name it"));
            }
        };
        let id = chosen.backup_id.clone();
        let named = matches!(request.selection, Selection::Exactly(_));
        let classes = context.cancel.race(storage_classes(&*ports.store, chosen)).await?;
        match classes.iter().find(|class| is_frozen(class)) {
            Some(class) if !named => {
                passed_over
                    .push(format!("backup {id} was due but is in {class}: not drilled, because it is not thawed"));
                states.retain(|s| s.backup_id != id);
            }
            _ => return Ok((id, passed_over)),
        }
    }
}

async fn write(store: &dyn Store, report: &mut DrillReport, folder: &str, context: &RunContext) -> Result<()> {
    context.progress.phase("report", None);
    let (json, _) = report.seal()?;
    let files = [
        ("report.html", to_html(report)?.into_bytes()),
        ("report.md", to_markdown(report)?.into_bytes()),
        ("report.json", json),
    ];
    for (name, content) in files {
        let key = format!("{folder}{name}");
        store.put_new(&key, Bytes::from(content), &context.run_id).await.map_err(|e| e.context("write the report"))?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "one report has as many sources")]
fn evidence(
    ports: &DrillPorts,
    request: &DrillRequest,
    backup: &Backup,
    drill_id: DrillId,
    started_at: jiff::Timestamp,
    rehearsal: Rehearsal,
    previous: Option<&DrillReport>,
    context: &RunContext,
) -> DrillReport {
    let manifest = &backup.manifest;
    let counted: f64 = rehearsal.phases.iter().filter(|p| p.counts_for_rto).map(|p| p.seconds).sum();
    let rto_actual =
        if rehearsal.restored { Fact::known(counted) } else { Fact::unknown("the restore did not come to its end") };
    let age = started_at.duration_since(manifest.source.snapshot_at).as_secs_f64();
    let objective =
        |seconds: Option<f64>| seconds.map_or_else(|| Fact::unknown("the configuration names none"), Fact::known);
    DrillReport {
        format_version: REPORT_FORMAT_VERSION,
        drill_id,
        run_id: context.run_id.clone(),
        database: request.database.clone(),
        started_at,
        finished_at: context.clock.now(),
        verdict: Verdict::Failed,
        reasons: rehearsal.reasons,
        identity: identity(request),
        scope: scope(manifest),
        backup: {
            let mut evidence = BackupEvidence::new(manifest, ports.store.url());
            evidence.storage_class = rehearsal.storage_class;
            evidence
        },
        crypto: CryptoEvidence {
            encryption: manifest.encryption.clone(),
            decrypted: Fact::unknown("the backup is not encrypted by Lifeboat"),
        },
        environment: Environment {
            lifeboat_version: env!("CARGO_PKG_VERSION").to_owned(),
            backup_lifeboat_version: manifest.lifeboat_version.clone(),
            source_server_version: manifest.source.server_version.clone(),
            pg_dump_version: manifest.source.client_version.clone(),
            pg_restore_version: rehearsal.client_version,
            target_server_version: rehearsal.server_version,
            target: rehearsal.scratch.clone().unwrap_or_else(|| ports.scratch.describe()),
            target_id: rehearsal.scratch.map_or_else(|| Fact::unknown("it was not provisioned"), Fact::known),
            target_class: Fact::unknown("this kind of scratch target has no instance class"),
            target_network: Fact::unknown("see the description of the scratch target"),
        },
        phases: rehearsal.phases,
        rto: Objective::new(objective(request.rto_seconds), rto_actual),
        rpo: Objective::new(objective(request.rpo_seconds), Fact::known(age)),
        data: rehearsal.data,
        schema: rehearsal.schema,
        proof: Proof {
            checks: rehearsal.checks,
            tools: tool_runs(rehearsal.messages),
            negative_controls: rehearsal.negative_controls,
        },
        closure: Closure {
            torn_down: rehearsal.torn_down,
            tear_down_proof: rehearsal.tear_down_proof,
            cost: Fact::known(Cost {
                amount: 0.0,
                currency: "USD".to_owned(),
                basis: "a scratch target that was there already; reading the store is not counted".to_owned(),
            }),
            deviations: rehearsal.deviations,
            ticket: Fact::by_hand(),
            owner: Fact::by_hand(),
            due_date: Fact::by_hand(),
            retest: Fact::unknown("no later drill refers to this one yet"),
        },
        integrity: Integrity {
            previous_report: previous.map_or_else(
                || Fact::unknown("this is the database's first report"),
                |p| {
                    Fact::known(PreviousReport { drill_id: p.drill_id.clone(), report_sha256: p.report_sha256.clone() })
                },
            ),
            kept_until: Fact::unknown("reports are never expired by Lifeboat"),
        },
        report_sha256: String::new(),
    }
}

fn identity(request: &DrillRequest) -> Identity {
    Identity {
        policy_version: Fact::unknown("the configuration names none"),
        controls: CONTROLS.map(str::to_owned).to_vec(),
        trigger: request.trigger.clone(),
        scenario: "loss of the whole database: restore into an empty scratch target".to_owned(),
        selection: request.selection.to_string(),
        operator: request.operator.clone().map_or_else(|| Fact::unknown("the caller did not say"), Fact::known),
        reviewer: Fact::by_hand(),
    }
}

fn scope(manifest: &Manifest) -> Scope {
    Scope {
        criticality: Fact::unknown("the configuration names none"),
        in_scope: vec![
            format!("{} with {}", counted(manifest.totals.tables, "table"), counted(manifest.totals.rows, "row")),
            counted(manifest.totals.large_objects, "large object"),
            counted(manifest.inventory.items.len() as u64, "catalog object"),
        ],
        out_of_scope: manifest
            .omitted
            .iter()
            .map(|o| OutOfScope { what: format!("{} {}", o.kind, o.object), reason: o.reason.clone() })
            .collect(),
    }
}

fn tool_runs(messages: Vec<(String, ToolMessage)>) -> Vec<ToolRun> {
    let mut by_step: BTreeMap<String, Vec<ToolMessage>> = BTreeMap::new();
    for (step, message) in messages {
        by_step.entry(step).or_default().push(message);
    }
    by_step
        .into_iter()
        .map(|(step, messages)| ToolRun {
            step,
            exit_code: Fact::unknown("what counts is every message, classified; an end without a message is an error"),
            messages,
        })
        .collect()
}

/// The kind under which a stopped rehearsal ends.
pub(super) fn stop_kind(error: &Error) -> Option<ErrorKind> {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Deadline).then(|| error.kind())
}
