//! What a retention run reports: the plan, what was done, where the bytes lie and what they cost.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    ports::Listed,
    retention::{Done, Executed, PRICES_OF, Plan, Policy, Step, StorageClass},
};

/// Bytes of one tier in one storage class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StorageRow {
    /// `daily`, `weekly`, `monthly` or `unfinished`.
    pub tier: String,
    /// As the store says it.
    pub storage_class: String,
    /// Objects.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
    /// Estimated, see [`PRICES_OF`]; zero for classes without a known price.
    pub usd_per_month: f64,
}

#[derive(Default)]
pub(super) struct StorageTable(BTreeMap<(String, String), (u64, u64)>);

impl StorageTable {
    pub(super) fn add(&mut self, tier: &str, objects: &[Listed]) {
        for object in objects {
            let (count, bytes) = self.0.entry((tier.to_owned(), object.storage_class.clone())).or_default();
            *count += 1;
            *bytes += object.size;
        }
    }

    pub(super) fn rows(self) -> Vec<StorageRow> {
        self.0
            .into_iter()
            .map(|((tier, storage_class), (objects, bytes))| StorageRow {
                usd_per_month: storage_class.parse::<StorageClass>().map_or(0.0, |c| c.usd_per_month(bytes)),
                tier,
                storage_class,
                objects,
                bytes,
            })
            .collect()
    }
}

/// The report of one retention run for one database.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Nothing was done, only planned.
    pub dry_run: bool,
    /// The plan, with the reason of every decision.
    pub plan: Plan,
    /// What was done; empty in a dry run.
    pub done: Vec<Done>,
    /// Unfinished uploads that were ended; 0 in a dry run.
    pub swept_uploads: u64,
    /// Where the bytes lay before the run.
    pub storage: Vec<StorageRow>,
    /// Bytes that stay.
    pub kept_bytes: u64,
    /// Bytes that the run removed, or tagged for the lifecycle rule to remove.
    pub reclaimed_bytes: u64,
    /// Bytes that are expiring and go when their grace is over.
    pub expiring_bytes: u64,
    /// Estimated, as the bytes lay before the run.
    pub usd_per_month_now: f64,
    /// Estimated, once everything planned and expiring is gone and everything kept has moved.
    pub usd_per_month_forecast: f64,
    /// What the prices are.
    pub prices: &'static str,
}

impl Report {
    /// Of a plan that has not been executed.
    pub(super) fn new(plan: Plan, storage: Vec<StorageRow>, policy: &Policy) -> Self {
        let sum = |keep: bool| plan.decisions.iter().filter(|d| d.keep == keep).map(|d| d.bytes).sum::<u64>();
        let leaving = |d: &&crate::retention::Decision| !d.keep && !d.steps.contains(&Step::Remove);
        Self {
            dry_run: true,
            kept_bytes: sum(true),
            reclaimed_bytes: 0,
            expiring_bytes: plan.decisions.iter().filter(leaving).map(|d| d.bytes).sum(),
            usd_per_month_now: sum_of(storage.iter().map(|row| row.usd_per_month)),
            usd_per_month_forecast: sum_of(plan.decisions.iter().filter(|d| d.keep).map(|d| {
                let moved = policy.rule(d.tier).storage_class.filter(|_| d.good);
                moved.unwrap_or(StorageClass::Standard).usd_per_month(d.bytes)
            })),
            prices: PRICES_OF,
            plan,
            done: Vec::new(),
            swept_uploads: 0,
            storage,
        }
    }

    /// Takes down what came of executing its plan.
    pub fn executed(&mut self, executed: Executed) {
        self.dry_run = false;
        self.reclaimed_bytes = executed.done.iter().map(|d| d.removed_bytes).sum();
        self.swept_uploads = executed.swept_uploads;
        self.done = executed.done;
    }
}

/// A sum that begins at 0: that of no numbers at all is -0 in Rust, and would be printed so.
fn sum_of(costs: impl Iterator<Item = f64>) -> f64 {
    costs.fold(0.0, |sum, cost| sum + cost)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.fmt(f)?;
        for done in &self.done {
            writeln!(f, "{done}")?;
        }
        if self.swept_uploads > 0 {
            writeln!(f, "swept   {} unfinished uploads", self.swept_uploads)?;
        }
        for row in &self.storage {
            writeln!(
                f,
                "stored  {:<10}  {:<12}  {} objects, {} bytes, ${:.2} a month",
                row.tier, row.storage_class, row.objects, row.bytes, row.usd_per_month
            )?;
        }
        writeln!(
            f,
            "kept {} bytes, reclaimed {}, expiring {}; ${:.2} a month now, ${:.2} after this plan ({})",
            self.kept_bytes,
            self.reclaimed_bytes,
            self.expiring_bytes,
            self.usd_per_month_now,
            self.usd_per_month_forecast,
            self.prices
        )
    }
}
