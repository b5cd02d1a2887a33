//! What a drill has found out so far, phase by phase: the parts that steps write down add up to one rehearsal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result,
    ids::BackupId,
    ports::{RunContext, ScratchFacts, ToolMessage},
    report::{
        CheckResult, DataEvidence, Found, NegativeControl, OriginEvidence, PhaseOutcome, PhaseTiming, SchemaEvidence,
    },
};

/// Everything a rehearsal, or one step of it, found out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Rehearsal {
    pub(super) phases: Vec<PhaseTiming>,
    pub(super) reasons: Vec<String>,
    pub(super) restored: bool,
    pub(super) scratch: Option<ScratchFacts>,
    pub(super) storage_class: Option<String>,
    pub(super) client_version: Option<String>,
    pub(super) server_version: Option<String>,
    pub(super) messages: Vec<(String, ToolMessage)>,
    pub(super) data: Option<DataEvidence>,
    pub(super) schema: Option<SchemaEvidence>,
    pub(super) roles_missing: Vec<String>,
    pub(super) checks: Vec<CheckResult>,
    pub(super) negative_controls: Vec<NegativeControl>,
    /// Whether a scratch target was made, or may have been.
    pub(super) provisioned: bool,
    pub(super) torn_down: bool,
    pub(super) tear_down_proof: Option<String>,
    pub(super) tear_down_trouble: Option<String>,
    pub(super) deviations: Vec<String>,
    /// What was drilled instead of a backup.
    pub(super) origin: Option<OriginEvidence>,
    /// The backup whose catalog it is then compared with.
    pub(super) compared_with: Option<BackupId>,
    /// Requests and bytes of a thaw, for the cost.
    pub(super) thawed: Option<Thawed>,
    /// Why it was stopped from outside, if it was.
    #[serde(skip)]
    pub(super) stopped: Option<ErrorKind>,
    /// The kind of the error that ended it early, if one did.
    pub(super) cause: Option<ErrorKind>,
}

/// What was thawed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Thawed {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Of these bytes, those in DEEP_ARCHIVE.
    pub(super) deep_bytes: u64,
    /// And of the objects.
    pub(super) deep_objects: u64,
}

/// What a report says of an error: keys that are missing by name too.
pub(super) fn explained(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Keys => format!("{error}: {}", error.hint()),
        _ => error.to_string(),
    }
}

impl Rehearsal {
    /// Runs one phase and keeps its times; an error is the phase's outcome and passed on.
    pub(super) async fn phase<T>(
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
            note: result.as_ref().err().map(explained),
        });
        result
    }

    /// Adds a phase that took from then until then; several runs may have had a part in it.
    pub(super) fn took(&mut self, name: &str, counts_for_rto: bool, from: Timestamp, to: Timestamp) {
        self.phases.push(PhaseTiming {
            phase: name.to_owned(),
            outcome: PhaseOutcome::Done,
            started_at: Some(from),
            ended_at: Some(to),
            seconds: to.duration_since(from).as_secs_f64().max(0.0),
            counts_for_rto,
            note: None,
        });
    }

    /// Adds a phase that failed, and why.
    pub(super) fn failed(&mut self, name: &str, from: Option<Timestamp>, to: Timestamp, why: String) {
        self.phases.push(PhaseTiming {
            phase: name.to_owned(),
            outcome: PhaseOutcome::Failed,
            started_at: from,
            ended_at: Some(to),
            seconds: from.map_or(0.0, |from| to.duration_since(from).as_secs_f64().max(0.0)),
            counts_for_rto: false,
            note: Some(why),
        });
    }

    /// Adds what another part found out.
    pub(super) fn absorb(&mut self, part: Self) {
        self.phases.extend(part.phases);
        self.reasons.extend(part.reasons);
        self.restored |= part.restored;
        self.scratch = part.scratch.or(self.scratch.take());
        self.storage_class = part.storage_class.or(self.storage_class.take());
        self.client_version = part.client_version.or(self.client_version.take());
        self.server_version = part.server_version.or(self.server_version.take());
        self.messages.extend(part.messages);
        self.data = part.data.or(self.data.take());
        self.schema = part.schema.or(self.schema.take());
        self.roles_missing.extend(part.roles_missing);
        self.checks.extend(part.checks);
        self.negative_controls.extend(part.negative_controls);
        self.provisioned |= part.provisioned;
        self.torn_down |= part.torn_down;
        self.tear_down_proof = part.tear_down_proof.or(self.tear_down_proof.take());
        self.tear_down_trouble = part.tear_down_trouble.or(self.tear_down_trouble.take());
        self.deviations.extend(part.deviations);
        self.origin = part.origin.or(self.origin.take());
        self.compared_with = part.compared_with.or(self.compared_with.take());
        self.thawed = part.thawed.or(self.thawed);
        self.stopped = self.stopped.or(part.stopped);
        self.cause = self.cause.or(part.cause);
    }

    /// What it found against what was restored, and in which phase.
    pub(super) fn wrong(&self) -> Vec<(&'static str, String)> {
        let found = Found {
            fatal_messages: self.messages.iter().filter(|(_, message)| message.classification.is_fatal()).count(),
            data: self.data.as_ref(),
            schema: self.schema.as_ref(),
            checks: &self.checks,
            negative_controls: &self.negative_controls,
        };
        found.wrong()
    }

    /// Whether a phase came to its end.
    pub(super) fn did(&self, phase: &str) -> bool {
        self.phases.iter().any(|p| p.phase == phase && p.outcome == PhaseOutcome::Done)
    }
}
