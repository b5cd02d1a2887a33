//! The rehearsal itself: every phase timed, every error kept as evidence, the scratch target removed in every ending.

use std::sync::Arc;

use super::{DrillPorts, DrillRequest, compare::compare, control, run::stop_kind};
use crate::{
    ErrorKind, Result,
    cancel::Cancel,
    catalog::{Backup, BackupState},
    manifest::Manifest,
    ports::{Classification, RunContext, Scratch, Store, Target, ToolMessage},
    reading,
    report::{CheckResult, DataEvidence, Fact, NegativeControl, PhaseOutcome, PhaseTiming, SchemaEvidence},
    restore::{self, RestorePorts, RestoreRequest},
};

/// Everything a rehearsal found out.
pub(super) struct Rehearsal {
    pub(super) phases: Vec<PhaseTiming>,
    pub(super) reasons: Vec<String>,
    pub(super) restored: bool,
    pub(super) scratch: Option<String>,
    pub(super) storage_class: Fact<String>,
    pub(super) client_version: Fact<String>,
    pub(super) server_version: Fact<String>,
    pub(super) messages: Vec<(String, ToolMessage)>,
    pub(super) data: DataEvidence,
    pub(super) schema: SchemaEvidence,
    pub(super) checks: Vec<CheckResult>,
    pub(super) negative_controls: Vec<NegativeControl>,
    pub(super) torn_down: bool,
    pub(super) tear_down_proof: Fact<String>,
    pub(super) deviations: Vec<String>,
    /// Why it was stopped from outside, if it was.
    pub(super) stopped: Option<ErrorKind>,
    /// The kind of the error that ended it early, if one did.
    pub(super) cause: Option<ErrorKind>,
}

impl Rehearsal {
    fn new(phases: Vec<PhaseTiming>) -> Self {
        Self {
            phases,
            reasons: Vec::new(),
            restored: false,
            scratch: None,
            storage_class: Fact::unknown("this store does not tell"),
            client_version: Fact::unknown("the restore was not begun"),
            server_version: Fact::unknown("the restore was not begun"),
            messages: Vec::new(),
            data: DataEvidence::default(),
            schema: SchemaEvidence::default(),
            checks: Vec::new(),
            negative_controls: Vec::new(),
            torn_down: true,
            tear_down_proof: Fact::unknown("nothing was provisioned"),
            deviations: Vec::new(),
            stopped: None,
            cause: None,
        }
    }

    /// Runs one phase and keeps its times; an error is the phase's outcome and passed on.
    async fn phase<T>(
        &mut self,
        name: &str,
        counts_for_rto: bool,
        total: Option<u64>,
        context: &RunContext,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        context.progress.phase(name, total);
        let (started_at, began) = (context.clock.now(), context.clock.monotonic_seconds());
        let result = context.cancel.race(work).await;
        if let Err(error) = &result {
            self.cause.get_or_insert(error.kind());
        }
        self.phases.push(PhaseTiming {
            phase: name.to_owned(),
            outcome: if result.is_ok() { PhaseOutcome::Done } else { PhaseOutcome::Failed },
            started_at: Some(started_at),
            ended_at: Some(context.clock.now()),
            seconds: context.clock.monotonic_seconds() - began,
            counts_for_rto,
            note: result.as_ref().err().map(ToString::to_string),
        });
        result
    }
}

/// Rehearses; never fails, because what fails is evidence.
pub(super) async fn rehearse(
    ports: &DrillPorts,
    request: &DrillRequest,
    backup: &Backup,
    phases: Vec<PhaseTiming>,
    context: &RunContext,
) -> Rehearsal {
    let mut rehearsal = Rehearsal::new(phases);
    let manifest = Arc::new(backup.manifest.clone());
    match storage_classes(&*ports.store, &backup.state).await {
        Ok(classes) => {
            let frozen = classes.iter().find(|class| is_frozen(class)).cloned();
            rehearsal.storage_class = Fact::known(classes.join(", "));
            if let Some(class) = frozen {
                rehearsal.cause = Some(ErrorKind::Store);
                rehearsal
                    .reasons
                    .push(format!("objects of the backup are in {class} and must be thawed before they can be read"));
                return rehearsal;
            }
        }
        Err(error) => {
            rehearsal.cause = Some(error.kind());
            rehearsal.reasons.push(error.to_string());
            return rehearsal;
        }
    }
    rehearsal.phases.push(PhaseTiming::skipped("thaw", "no object of the backup is in an archive storage class"));
    let provisioning = async {
        let globals = reading::read_whole(&*ports.store, &manifest.folder(), &manifest.globals).await?;
        ports.scratch.provision(&manifest.source, &globals, context).await
    };
    let scratch = match rehearsal.phase("provision", true, None, context, provisioning).await {
        Ok(scratch) => scratch,
        Err(error) => {
            rehearsal.stopped = stop_kind(&error);
            return rehearsal;
        }
    };
    rehearsal.torn_down = false;
    rehearsal.scratch = Some(scratch.describe());
    for message in scratch.messages().iter().filter(|m| m.classification != Classification::Harmless) {
        if message.classification.is_fatal() {
            rehearsal.schema.roles_missing.push(message.text.clone());
        }
    }
    let roles_missing = std::mem::take(&mut rehearsal.schema.roles_missing);
    let target = scratch.target();
    if let Err(error) = in_scratch(ports, request, &manifest, &target, context, &mut rehearsal).await {
        rehearsal.stopped = stop_kind(&error);
    }
    rehearsal.schema.roles_missing = roles_missing;
    tear_down(scratch, target, context, &mut rehearsal).await;
    rehearsal
}

/// The storage classes of a backup's objects, sorted, each once.
pub(super) async fn storage_classes(store: &dyn Store, state: &BackupState) -> Result<Vec<String>> {
    let mut classes: Vec<String> = store.list(&state.folder()).await?.into_iter().map(|l| l.storage_class).collect();
    classes.sort();
    classes.dedup();
    Ok(classes)
}

/// Whether objects of a class cannot be read before they are thawed.
pub(super) fn is_frozen(class: &str) -> bool {
    matches!(class, "GLACIER" | "DEEP_ARCHIVE")
}

/// Tear-down happens even when the run was stopped: it does not look at the switch.
async fn tear_down(
    scratch: Box<dyn Scratch>,
    target: Arc<dyn Target>,
    context: &RunContext,
    rehearsal: &mut Rehearsal,
) {
    drop(target);
    let unstoppable = RunContext { cancel: Cancel::never(), ..context.clone() };
    match rehearsal.phase("tear-down", false, None, &unstoppable, scratch.tear_down()).await {
        Ok(proof) => {
            rehearsal.torn_down = true;
            rehearsal.tear_down_proof = Fact::known(proof);
        }
        Err(error) => rehearsal.tear_down_proof = Fact::unknown(error.to_string()),
    }
}

async fn in_scratch(
    ports: &DrillPorts,
    request: &DrillRequest,
    manifest: &Arc<Manifest>,
    target: &Arc<dyn Target>,
    context: &RunContext,
    rehearsal: &mut Rehearsal,
) -> Result<()> {
    let facts = target.facts().await?;
    rehearsal.server_version = Fact::known(facts.server_version);
    let restore_ports = RestorePorts { store: Arc::clone(&ports.store), target: Arc::clone(target) };
    let restore_request = RestoreRequest { jobs: request.jobs, no_compare: true, ..RestoreRequest::default() };
    let work = Box::pin(restore::run(&restore_ports, manifest, &restore_request, None, context));
    let outcome = rehearsal.phase("restore", true, Some(manifest.totals.stored_bytes), context, work).await?;
    if let Some(phase) = rehearsal.phases.last_mut() {
        let told: Vec<String> = outcome.phases.iter().map(|p| format!("{} {:.1} s", p.phase, p.seconds)).collect();
        phase.note = Some(told.join(", "));
    }
    rehearsal.messages = outcome.messages;
    rehearsal.restored = true;
    // Which pg_restore reads the archive is only known once it is staged.
    rehearsal.client_version = Fact::known(target.facts().await?.client_version);
    let toc = restore::read_toc(&*ports.store, manifest).await?;
    let comparing = compare(manifest, target, &toc, request.jobs, context);
    let (data, schema) = rehearsal.phase("compare", false, Some(manifest.totals.rows), context, comparing).await?;
    rehearsal.deviations.extend(schema.toc_not_compared.clone());
    (rehearsal.data, rehearsal.schema) = (data, schema);
    let checking = async {
        let mut results = Vec::new();
        for check in &request.checks {
            let outcome = target.assert(&check.sql).await;
            results.push(CheckResult {
                name: check.name.clone(),
                sql: check.sql.clone(),
                passed: matches!(outcome, Ok(true)),
                error: outcome.err().map(|e| e.to_string()),
            });
        }
        Ok(results)
    };
    rehearsal.checks = rehearsal.phase("checks", false, None, context, checking).await?;
    let random = context.entropy.next();
    let controlling = control::run(&ports.store, manifest, random);
    rehearsal.negative_controls = rehearsal.phase("negative control", false, None, context, controlling).await?;
    Ok(())
}
