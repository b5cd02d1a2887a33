//! Makes the report of what a rehearsal found out, judges it, and writes it down.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use lifeboat_archive::encryption::Identities;

use super::{
    DrillRequest, Origin, chain, cost,
    rehearsal::Rehearsal,
    select::{choosable, tiers},
};
use crate::{
    ErrorKind, Result,
    attestation::Statement,
    catalog::{self, Backup, BackupState},
    ids::DrillId,
    manifest::{Manifest, Omitted},
    ports::{RunContext, Store, ToolMessage},
    report::{
        BackupEvidence, Closure, CryptoEvidence, DrillReport, Environment, Fact, Identity, Integrity, Objective,
        OriginEvidence, OutOfScope, PreviousReport, Proof, REPORT_FORMAT_VERSION, Scope, TierProof, ToolRun, Verdict,
        to_html, to_markdown, words::counted,
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

/// The drill that a report is made of.
pub(super) struct Drilled<'a> {
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) identities: &'a Arc<Identities>,
    pub(super) request: &'a DrillRequest,
    pub(super) backup: &'a Backup,
    /// Every backup of the database when the drill began.
    pub(super) states: &'a [BackupState],
    pub(super) drill_id: DrillId,
    pub(super) started_at: Timestamp,
    /// What the scratch target is called where none was made.
    pub(super) scratch: String,
    /// Seconds that an instance was there for it.
    pub(super) instance_seconds: Option<f64>,
}

/// A restore that came to its end opened every object that it read. Of another origin nothing of the backup was read.
fn crypto(manifest: &Manifest, of_backup: bool, restored: bool) -> CryptoEvidence {
    let encryption = manifest.encryption.clone().filter(|_| of_backup);
    let decrypted = match &encryption {
        None => Fact::unknown("the backup is not encrypted by Lifeboat"),
        Some(_) if restored => Fact::known(true),
        Some(_) => Fact::unknown("the restore did not come to its end"),
    };
    CryptoEvidence { encryption, decrypted }
}

impl Drilled<'_> {
    /// Judges, writes the report and attests what was proven. Where a report of this drill is there already, that is it.
    pub(super) async fn close(self, mut rehearsal: Rehearsal, context: &RunContext) -> Result<DrillOutcome> {
        let previous = chain::latest_report(&**self.store, &self.request.database).await?;
        let cause = rehearsal.cause;
        let of_backup = rehearsal.origin.is_none();
        if cause == Some(ErrorKind::Corrupt) && of_backup {
            // What a drill stumbles over need not be the backup's fault: verify has the last word on its rung.
            match verify::run(self.store, self.backup, self.identities, self.request.jobs, context).await {
                Ok(found) => rehearsal.reasons.extend(found.damage.into_iter().map(|d| d.what)),
                Err(error) => {
                    rehearsal.deviations.push(format!("the backup could not be verified afterwards: {error}"));
                }
            }
        }
        let mut report = self.evidence(rehearsal, previous.as_ref(), context);
        report.judge();
        let folder = chain::folder(&self.request.database, &report.drill_id);
        let report = write(&**self.store, report, &folder, context).await?;
        if report.verdict != Verdict::Failed && of_backup {
            let statement = Statement::Restored { drill_id: report.drill_id.clone() };
            catalog::attest(&**self.store, &self.backup.state, statement, context).await?;
        }
        Ok(DrillOutcome { report, folder, cause })
    }

    fn evidence(&self, rehearsal: Rehearsal, previous: Option<&DrillReport>, context: &RunContext) -> DrillReport {
        let (request, manifest) = (self.request, &self.backup.manifest);
        let counted: f64 = rehearsal.phases.iter().filter(|p| p.counts_for_rto).map(|p| p.seconds).sum();
        let lent = request.origin.as_ref().and_then(Origin::restore_job).is_some();
        let recovery = if rehearsal.restored && lent {
            Fact::unknown("AWS Backup restored before the drill began: its restore job says how long that took")
        } else if rehearsal.restored {
            Fact::known(counted)
        } else {
            Fact::unknown("the restore did not come to its end")
        };
        let origin = rehearsal.origin.clone();
        let from = origin.as_ref().and_then(|o| o.taken_at).unwrap_or(manifest.source.snapshot_at);
        let age = match &origin {
            Some(_) if lent => {
                Fact::unknown("which recovery point is tested is AWS Backup's choice: it need not be the newest")
            }
            Some(o) if o.taken_at.is_none() => Fact::unknown("nobody said from when its data are"),
            _ => Fact::known(self.started_at.duration_since(from).as_secs_f64()),
        };
        let objective =
            |seconds: Option<f64>| seconds.map_or_else(|| Fact::unknown("the configuration names none"), Fact::known);
        let closure = self.closure(&rehearsal);
        let mut schema = rehearsal.schema.unwrap_or_default();
        schema.roles_missing = rehearsal.roles_missing;
        DrillReport {
            format_version: REPORT_FORMAT_VERSION,
            drill_id: self.drill_id.clone(),
            run_id: context.run_id.clone(),
            database: request.database.clone(),
            started_at: self.started_at,
            finished_at: context.clock.now(),
            verdict: Verdict::Failed,
            reasons: rehearsal.reasons,
            identity: identity(request),
            scope: scope(manifest, origin.as_ref()),
            backup: {
                let mut evidence = BackupEvidence::new(manifest, self.store.url());
                evidence.storage_class = known(rehearsal.storage_class, "this store does not tell");
                evidence
            },
            crypto: crypto(manifest, origin.is_none(), rehearsal.restored),
            environment: {
                let scratch = rehearsal.scratch;
                let begun = "the restore was not begun";
                Environment {
                    lifeboat_version: env!("CARGO_PKG_VERSION").to_owned(),
                    backup_lifeboat_version: manifest.lifeboat_version.clone(),
                    source_server_version: manifest.source.server_version.clone(),
                    pg_dump_version: manifest.source.client_version.clone(),
                    pg_restore_version: known(rehearsal.client_version, begun),
                    target_server_version: known(rehearsal.server_version, begun),
                    target: scratch.as_ref().map_or_else(|| self.scratch.clone(), |s| s.description.clone()),
                    target_id: known(scratch.as_ref().and_then(|s| s.id.clone()), "it was not provisioned"),
                    target_class: known(
                        scratch.as_ref().and_then(|s| s.class.clone()),
                        "this kind of scratch target has no instance class",
                    ),
                    target_network: known(scratch.and_then(|s| s.network), "see the description of the scratch target"),
                }
            },
            phases: rehearsal.phases,
            rto: Objective::new(objective(request.rto_seconds), recovery),
            rpo: Objective::new(objective(request.rpo_seconds), age),
            data: rehearsal.data.unwrap_or_default(),
            schema,
            proof: Proof {
                checks: rehearsal.checks,
                tools: tool_runs(rehearsal.messages),
                negative_controls: rehearsal.negative_controls,
            },
            closure,
            integrity: Integrity {
                previous_report: previous.map_or_else(
                    || Fact::unknown("this is the database's first report"),
                    |p| {
                        let (drill_id, report_sha256) = (p.drill_id.clone(), p.report_sha256.clone());
                        Fact::known(PreviousReport { drill_id, report_sha256 })
                    },
                ),
                kept_until: Fact::unknown("reports are never expired by Lifeboat"),
            },
            origin,
            tiers: tier_proofs(self.states),
            report_sha256: String::new(),
        }
    }

    fn closure(&self, rehearsal: &Rehearsal) -> Closure {
        let proof = match (&rehearsal.tear_down_proof, &rehearsal.tear_down_trouble) {
            (Some(proof), _) => Fact::known(proof.clone()),
            (None, Some(trouble)) => Fact::unknown(trouble.clone()),
            (None, None) if rehearsal.provisioned => Fact::unknown("nobody saw that it is gone"),
            (None, None) => Fact::unknown("nothing was provisioned"),
        };
        Closure {
            torn_down: rehearsal.torn_down || !rehearsal.provisioned,
            tear_down_proof: proof,
            cost: cost::of(&cost::Used {
                scratch: rehearsal.scratch.as_ref(),
                instance_seconds: self.instance_seconds,
                thawed: rehearsal.thawed,
                objects: self.backup.manifest.totals.objects,
                // Where an instance of RDS was made, the store is S3 itself.
                billed_store: self.instance_seconds.is_some(),
            }),
            deviations: rehearsal.deviations.clone(),
            ticket: Fact::by_hand(),
            owner: Fact::by_hand(),
            due_date: Fact::by_hand(),
            retest: Fact::unknown("no later drill refers to this one yet"),
        }
    }
}

fn known(value: Option<String>, otherwise: &str) -> Fact<String> {
    value.map_or_else(|| Fact::unknown(otherwise), Fact::known)
}

/// Writes the report in its three forms, the sealed one first. One that an earlier delivery wrote stands, and the other
/// forms are made of it.
async fn write(store: &dyn Store, mut report: DrillReport, folder: &str, context: &RunContext) -> Result<DrillReport> {
    context.progress.phase("report", None);
    let doing = "write the report";
    let (json, _) = report.seal()?;
    let key = format!("{folder}report.json");
    match store.put_new(&key, Bytes::from(json), &context.run_id).await {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let (bytes, _) = store.read(&key, chain::REPORT_LIMIT).await?;
            report = DrillReport::open(&bytes)?;
        }
        Err(e) => return Err(e.context(doing)),
    }
    for (name, text) in [("report.html", to_html(&report)?), ("report.md", to_markdown(&report)?)] {
        match store.put_new(&format!("{folder}{name}"), Bytes::from(text), &context.run_id).await {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e.context(doing)),
            _ => {}
        }
    }
    Ok(report)
}

/// When each tier was last proven, before this drill.
fn tier_proofs(states: &[BackupState]) -> Vec<TierProof> {
    let usable = choosable(states);
    tiers(&usable)
        .map(|tier| {
            let of_tier = || usable.iter().filter(|s| s.tier == tier);
            let newest = of_tier().filter_map(|s| s.restored_at().map(|at| (at, s.backup_id.clone()))).max();
            let (at, id) = newest.unzip();
            let never = "no drill has restored a backup of this tier that is still there";
            TierProof {
                tier,
                backups: of_tier().count() as u64,
                last_proven: at.map_or_else(|| Fact::unknown(never), Fact::known),
                backup_id: id,
            }
        })
        .collect()
}

fn identity(request: &DrillRequest) -> Identity {
    Identity {
        policy_version: Fact::unknown("the configuration names none"),
        controls: CONTROLS.map(str::to_owned).to_vec(),
        trigger: request.trigger.clone(),
        scenario: match &request.origin {
            None => "loss of the whole database: restore into an empty scratch target".to_owned(),
            Some(origin) => format!("loss of the whole instance: another one made of its {origin}"),
        },
        selection: request.origin.as_ref().map_or_else(|| request.selection.to_string(), ToString::to_string),
        operator: request.operator.clone().map_or_else(|| Fact::unknown("the caller did not say"), Fact::known),
        reviewer: Fact::by_hand(),
    }
}

fn scope(manifest: &Manifest, origin: Option<&OriginEvidence>) -> Scope {
    let objects = counted(manifest.inventory.items.len() as u64, "catalog object");
    let rows = format!("{} with {}", counted(manifest.totals.tables, "table"), counted(manifest.totals.rows, "row"));
    let large = counted(manifest.totals.large_objects, "large object");
    let omitted = || {
        let of = |o: &Omitted| OutOfScope { what: format!("{} {}", o.kind, o.object), reason: o.reason.clone() };
        manifest.omitted.iter().map(of).collect()
    };
    let (in_scope, out_of_scope) = if origin.is_none() {
        (vec![rows, large, objects], omitted())
    } else {
        let reason = "there is no manifest of the very moment".to_owned();
        (vec![objects], vec![OutOfScope { what: "rows and large objects".to_owned(), reason }])
    };
    Scope { criticality: Fact::unknown("the configuration names none"), in_scope, out_of_scope }
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
