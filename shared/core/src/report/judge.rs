//! The verdict of a drill, drawn from its evidence and from nothing else.

use super::{DrillReport, PhaseOutcome, TableOutcome, Verdict};

impl DrillReport {
    /// Sets verdict and reasons from the evidence: *passed* only if everything was restored, compared and equal, the
    /// drill proved that it can fail, and nothing of it is left behind; reasons found before (an error that ended the
    /// drill) stay. Called once, when all evidence is in.
    pub fn judge(&mut self) {
        let mut failures = std::mem::take(&mut self.reasons);
        self.judge_phases(&mut failures);
        self.judge_data(&mut failures);
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
        let count = |outcome| self.data.tables.iter().filter(|t| t.outcome == outcome).count();
        for (outcome, what) in [
            (TableOutcome::RowsDiffer, "tables with another number of rows"),
            (TableOutcome::ContentDiffers, "tables with other content"),
            (TableOutcome::Skipped, "tables not compared"),
        ] {
            if count(outcome) > 0 {
                reasons.push(format!("{what}: {}", count(outcome)));
            }
        }
        let expected = self.data.coverage.rows_expected;
        if expected != self.backup.rows {
            reasons.push(format!("the comparison covers {expected} of the backup's {} rows", self.backup.rows));
        }
        let large = &self.data.large_objects;
        if !large.differing.is_empty() {
            reasons.push(format!("large objects that are missing or differ: {}", large.differing.len()));
        }
        if large.compared < large.expected {
            reasons.push(format!("large objects not compared: {}", large.expected - large.compared));
        }
    }

    fn judge_schema(&self, reasons: &mut Vec<String>) {
        if !self.schema.compared {
            reasons.push("catalog objects not compared".to_owned());
        }
        let behind = self.schema.sequences_behind.iter().filter(|s| s.accepted.is_none()).count();
        let differences = self.schema.differences.iter().filter(|d| d.accepted.is_none()).count();
        for (count, what) in [
            (differences, "catalog objects that differ"),
            (self.schema.toc_differences.len(), "entries of the table of contents that differ"),
            (self.schema.orphans.len(), "foreign keys with orphaned rows"),
            (behind, "sequences behind their columns"),
        ] {
            if count > 0 {
                reasons.push(format!("{what}: {count}"));
            }
        }
    }

    fn judge_proof(&self, reasons: &mut Vec<String>) {
        for check in self.proof.checks.iter().filter(|c| !c.passed) {
            let why = check.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
            reasons.push(format!("check \"{}\" did not hold{why}", check.name));
        }
        let fatal = self.proof.tools.iter().flat_map(|t| &t.messages).filter(|m| m.classification.is_fatal()).count();
        if fatal > 0 {
            reasons.push(format!("fatal messages of client tools: {fatal}"));
        }
        if self.proof.negative_controls.is_empty() {
            reasons.push("no negative control: nothing shows that this drill can fail".to_owned());
        }
        for control in self.proof.negative_controls.iter().filter(|c| !c.rejected) {
            reasons.push(format!("damaged {} was not noticed", control.object_kind));
        }
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
