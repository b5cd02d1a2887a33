//! The verdict of a drill, drawn from its evidence and from nothing else.

use super::{
    CheckResult, DataEvidence, DrillReport, InventoryDifference, NegativeControl, PhaseOutcome, SchemaEvidence,
    TableEvidence, TableOutcome, Verdict,
};

/// The last phase: what failed before is what matters.
const TEAR_DOWN: &str = "tear-down";

/// The phase that shows that the drill can fail.
const CONTROL: &str = "negative control";

/// Phases before and after the restore: a drill that fails in one of them could not be run, and nothing is known against
/// what it was to restore.
const AROUND: [&str; 4] = ["select", "thaw", "provision", TEAR_DOWN];

/// Whether a drill that failed in this phase says something against what it restored; so it is taken where nobody knows
/// the phase.
pub fn is_against_data(phase: Option<&str>) -> bool {
    phase.is_none_or(|phase| !AROUND.contains(&phase))
}

/// So many are named in a reason; the rest stands in the report.
const NAMED: usize = 5;

/// `catalog objects that differ: 2 (…; …)`
fn named(what: &str, names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{what}: {} ({}{more})", names.len(), names[..names.len().min(NAMED)].join("; "))
}

fn difference(found: &InventoryDifference) -> String {
    let object = format!("{} {}", found.kind, found.name);
    match (&found.expected, &found.actual) {
        (Some(expected), Some(actual)) => format!("{object}: {actual} instead of {expected}"),
        (Some(_), None) => format!("{object} is missing"),
        _ => format!("{object} is additional"),
    }
}

impl DrillReport {
    /// Sets verdict and reasons from the evidence: *passed* only if everything was restored, compared and equal, the
    /// drill proved that it can fail, and nothing of it is left behind; reasons found before (an error that ended the
    /// drill) stay. Called once, when all evidence is in.
    pub fn judge(&mut self) {
        let mut failures = std::mem::take(&mut self.reasons);
        self.judge_phases(&mut failures);
        if self.origin.is_none() {
            self.judge_data(&mut failures);
        }
        self.judge_schema(&mut failures);
        self.judge_proof(&mut failures);
        if !self.closure.torn_down {
            failures.push("the scratch target was not torn down".to_owned());
        }
        let missed = self.missed_objectives();
        self.verdict = match (failures.is_empty(), missed.is_empty()) {
            (true, true) => Verdict::Passed,
            (true, false) => Verdict::ObjectiveMissed,
            (false, _) => Verdict::Failed,
        };
        failures.extend(missed);
        self.reasons = failures;
    }

    /// The first phase that failed, or that found something wrong; none where none did. A tear-down comes last: what went
    /// wrong before it matters more.
    pub fn failed_in(&self) -> Option<&str> {
        let failed = self.phases.iter().filter(|phase| phase.outcome == PhaseOutcome::Failed);
        if let Some(phase) = failed.map(|phase| phase.phase.as_str()).find(|name| *name != TEAR_DOWN) {
            return Some(phase);
        }
        let mut compared = Vec::new();
        if self.origin.is_none() {
            self.judge_data(&mut compared);
        }
        self.judge_schema(&mut compared);
        let proof = &self.proof;
        let fatal = self.fatal_messages() > 0;
        let controls = &proof.negative_controls;
        let torn_down = self.closure.torn_down && self.phases.iter().all(|p| p.outcome != PhaseOutcome::Failed);
        let found = [
            (fatal, "restore"),
            (!compared.is_empty(), "compare"),
            (proof.checks.iter().any(|check| !check.passed), "checks"),
            (controls.is_empty() || controls.iter().any(|control| !control.rejected), CONTROL),
            (!torn_down, TEAR_DOWN),
        ];
        found.into_iter().find(|(wrong, _)| *wrong).map(|(_, phase)| phase)
    }

    fn judge_phases(&self, reasons: &mut Vec<String>) {
        for phase in self.phases.iter().filter(|p| p.outcome == PhaseOutcome::Failed) {
            let note = phase.note.as_deref().map(|n| format!(": {n}")).unwrap_or_default();
            reasons.push(format!("phase {} failed{note}", phase.phase));
        }
        if self.crypto.encryption.is_some() && self.crypto.decrypted.value != Some(true) {
            reasons.push("the backup could not be decrypted whole".to_owned());
        }
    }

    fn judge_data(&self, reasons: &mut Vec<String>) {
        wrong_tables(&self.data, reasons);
        let expected = self.data.coverage.rows_expected;
        if expected != self.backup.rows {
            reasons.push(format!("the comparison covers {expected} of the backup's {} rows", self.backup.rows));
        }
        wrong_large_objects(&self.data, reasons);
    }

    fn judge_schema(&self, reasons: &mut Vec<String>) {
        if !self.schema.compared {
            reasons.push("catalog objects not compared".to_owned());
        }
        wrong_schema(&self.schema, reasons);
    }

    fn judge_proof(&self, reasons: &mut Vec<String>) {
        wrong_checks(&self.proof.checks, reasons);
        fatal_messages(self.fatal_messages(), reasons);
        if self.proof.negative_controls.is_empty() {
            reasons.push("no negative control: nothing shows that this drill can fail".to_owned());
        }
        unnoticed(&self.proof.negative_controls, reasons);
    }

    fn fatal_messages(&self) -> usize {
        self.proof.tools.iter().flat_map(|tool| &tool.messages).filter(|m| m.classification.is_fatal()).count()
    }

    /// Whether something was found against what was restored, whatever else kept the drill from its end. What was not
    /// looked at counts for nothing here.
    pub fn found_wrong(&self) -> bool {
        let found = Found {
            fatal_messages: self.fatal_messages(),
            data: Some(&self.data).filter(|_| self.origin.is_none()),
            schema: Some(&self.schema),
            checks: &self.proof.checks,
            negative_controls: &self.proof.negative_controls,
        };
        !found.wrong().is_empty()
    }

    fn missed_objectives(&self) -> Vec<String> {
        [("RTO", &self.rto), ("RPO", &self.rpo)]
            .into_iter()
            .filter(|(_, objective)| objective.met == Some(false))
            .map(|(name, objective)| {
                let words = |seconds: Option<f64>| super::words::duration(seconds.unwrap_or_default());
                format!(
                    "{name} missed: {} against {}",
                    words(objective.actual_seconds.value),
                    words(objective.objective_seconds.value)
                )
            })
            .collect()
    }
}

/// What a drill found, be it that it broke off before its report.
pub(crate) struct Found<'a> {
    /// So many messages of client tools were fatal.
    pub(crate) fatal_messages: usize,
    /// The rows, where they were compared.
    pub(crate) data: Option<&'a DataEvidence>,
    /// The catalog, where it was compared.
    pub(crate) schema: Option<&'a SchemaEvidence>,
    /// The user's checks, as far as they ran.
    pub(crate) checks: &'a [CheckResult],
    /// The negative controls, as far as they ran.
    pub(crate) negative_controls: &'a [NegativeControl],
}

impl Found<'_> {
    /// What is wrong, and in which phase that was found; in their order. What was not looked at is not wrong.
    pub(crate) fn wrong(&self) -> Vec<(&'static str, String)> {
        let mut phases =
            [("restore", Vec::new()), ("compare", Vec::new()), ("checks", Vec::new()), (CONTROL, Vec::new())];
        let [(_, restore), (_, compare), (_, checks), (_, control)] = &mut phases;
        fatal_messages(self.fatal_messages, restore);
        if let Some(data) = self.data {
            wrong_tables(data, compare);
            wrong_large_objects(data, compare);
        }
        if let Some(schema) = self.schema {
            wrong_schema(schema, compare);
        }
        wrong_checks(self.checks, checks);
        unnoticed(self.negative_controls, control);
        phases.into_iter().flat_map(|(phase, reasons)| reasons.into_iter().map(move |reason| (phase, reason))).collect()
    }
}

fn wrong_tables(data: &DataEvidence, reasons: &mut Vec<String>) {
    let of = |outcome| -> Vec<String> {
        let tables = data.tables.iter().filter(|t| t.outcome == outcome);
        let words = |t: &TableEvidence| match t.rows_actual.filter(|rows| *rows != t.rows_expected) {
            Some(rows) => format!("{}: {rows} instead of {}", t.table, t.rows_expected),
            None => t.table.clone(),
        };
        tables.map(words).collect()
    };
    for (outcome, what) in [
        (TableOutcome::RowsDiffer, "tables with another number of rows"),
        (TableOutcome::ContentDiffers, "tables with other content"),
        (TableOutcome::Skipped, "tables not compared"),
    ] {
        let tables = of(outcome);
        if !tables.is_empty() {
            reasons.push(named(what, &tables));
        }
    }
}

fn wrong_large_objects(data: &DataEvidence, reasons: &mut Vec<String>) {
    let large = &data.large_objects;
    if !large.differing.is_empty() {
        let oids: Vec<String> = large.differing.iter().map(ToString::to_string).collect();
        reasons.push(named("large objects that are missing or differ", &oids));
    }
    if large.compared < large.expected {
        reasons.push(format!("large objects not compared: {}", large.expected - large.compared));
    }
}

fn wrong_schema(schema: &SchemaEvidence, reasons: &mut Vec<String>) {
    let unaccepted = schema.differences.iter().filter(|d| d.accepted.is_none());
    let behind = schema.sequences_behind.iter().filter(|s| s.accepted.is_none());
    let found: [(&str, Vec<String>); 5] = [
        ("catalog objects that differ", unaccepted.map(difference).collect()),
        ("entries of the table of contents that differ", schema.toc_differences.clone()),
        ("indexes that are not valid", schema.invalid_indexes.clone()),
        (
            "foreign keys with orphaned rows",
            schema.orphans.iter().map(|o| format!("{}: {}", o.foreign_key, o.rows)).collect(),
        ),
        (
            "sequences behind their columns",
            behind.map(|s| format!("{} at {}, behind {}", s.sequence, s.last_value, s.largest_value)).collect(),
        ),
    ];
    for (what, names) in found.into_iter().filter(|(_, names)| !names.is_empty()) {
        reasons.push(named(what, &names));
    }
}

fn wrong_checks(checks: &[CheckResult], reasons: &mut Vec<String>) {
    for check in checks.iter().filter(|c| !c.passed) {
        let why = check.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
        reasons.push(format!("check \"{}\" did not hold{why}", check.name));
    }
}

fn fatal_messages(fatal: usize, reasons: &mut Vec<String>) {
    if fatal > 0 {
        reasons.push(format!("fatal messages of client tools: {fatal}"));
    }
}

fn unnoticed(controls: &[NegativeControl], reasons: &mut Vec<String>) {
    for control in controls.iter().filter(|c| !c.rejected) {
        reasons.push(format!("damaged {} was not noticed", control.object_kind));
    }
}
