//! What a month costs once a policy has run for long enough, and what other policies would cost.

mod alternatives;
mod bill;
mod simulate;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    drill::Selection,
    ids::DatabaseSlug,
    manifest::Tier,
    ports::{Listed, PART},
    prices::{PRICES, SOURCE},
    retention::{LintInput, Policy, StorageClass, lint, movable},
};

use super::Growth;

/// What no figure holds.
pub const NOT_COUNTED: &str = "not counted: functions, KMS, Secrets Manager, CloudWatch, transfer out of the region, \
     what health and retention read, copies in another region, taxes";

/// How large a backup is, as a bill sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shape {
    /// Objects that move to colder classes.
    pub movable_objects: u64,
    /// Their bytes.
    pub movable_bytes: u64,
    /// Objects that stay in STANDARD: small ones, table of contents, manifest, kit, attestations.
    pub other_objects: u64,
    /// Their bytes.
    pub other_bytes: u64,
    /// Requests that writing it took.
    pub puts: u64,
}

impl Shape {
    /// Of a backup whose folder holds these objects.
    pub fn of(folder: &str, objects: &[Listed]) -> Self {
        let movable = movable(folder, objects);
        let sum = |objects: &mut dyn Iterator<Item = &Listed>| objects.map(|o| o.size).sum::<u64>();
        let (movable_bytes, all) = (sum(&mut movable.iter().copied()), sum(&mut objects.iter()));
        // An upload in parts is begun and completed, too.
        let part = PART as u64;
        let puts = |object: &Listed| if object.size > part { object.size.div_ceil(part) + 2 } else { 1 };
        Self {
            movable_objects: movable.len() as u64,
            movable_bytes,
            other_objects: (objects.len() - movable.len()) as u64,
            other_bytes: all - movable_bytes,
            puts: objects.iter().map(puts).sum(),
        }
    }
}

/// What the bill of one database depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct CostInput {
    /// The database.
    pub database: DatabaseSlug,
    /// The newest good backup.
    pub shape: Shape,
    /// Seconds between two dumps; a day where no schedule says otherwise.
    pub dump_every_seconds: u64,
    /// Seconds between two drills, where they are scheduled.
    pub drill_every_seconds: Option<u64>,
    /// Which backup drills take.
    pub selection: Selection,
    /// What past drills cost beside reading the store, USD each, as their reports say.
    pub past_drills_usd: Vec<f64>,
    /// How the database grows, where that is known.
    pub growth: Option<Growth>,
}

/// Backups of one tier in one storage class, on the average of a year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StorageCost {
    /// The tier.
    pub tier: Tier,
    /// The class of their movable objects.
    pub storage_class: StorageClass,
    /// Backups, on the average; removed ones count until their versions are gone.
    pub backups: f64,
    /// Bytes, on the average, with what stays in STANDARD all the same.
    pub bytes: u64,
    /// USD a month.
    pub usd: f64,
}

/// What a month costs with a policy that has run for long enough to be filled. USD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// The bytes that lie there.
    pub storage: Vec<StorageCost>,
    /// The same as one sum.
    pub storage_usd: f64,
    /// Writing backups, reading them back, tagging them.
    pub requests_usd: f64,
    /// Moving objects to colder classes.
    pub moves_usd: f64,
    /// What is billed for objects that went before their class's minimum time.
    pub early_deletion_usd: f64,
    /// Drills: thawing and reading, twice, what they restore, and their scratch instances.
    pub drills_usd: f64,
    /// All together.
    pub total_usd: f64,
    /// Backups that can be restored, on the average.
    pub backups: f64,
    /// A tier keeps everything: this is the second year, and it goes on growing.
    pub endless: bool,
}

/// Another policy, and what it would cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// In words: `preset 30d`, `monthly in DEEP_ARCHIVE`.
    pub name: String,
    /// What a month costs with it.
    pub bill: Bill,
    /// By how much that is more than with the policy in force; negative where it is less.
    pub difference_usd: f64,
    /// What one should know before choosing it.
    pub notes: Vec<String>,
}

/// The costs of one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostForecast {
    /// With the policy in force, at the newest backup's size.
    pub bill: Bill,
    /// The total a year from now, if the database grows on as it does; none where that is not known.
    pub total_in_a_year_usd: Option<f64>,
    /// Notes on the policy in force.
    pub notes: Vec<String>,
    /// Others, the cheapest first; empty where nobody asked for them.
    pub alternatives: Vec<Alternative>,
    /// What the prices are.
    pub prices: String,
    /// What no figure holds.
    pub not_counted: String,
}

/// Computes the bill of the policy in force alone: the others take some times as long.
pub fn cost_in_force(policy: &Policy, input: &CostInput, now: Timestamp) -> CostForecast {
    of(bill::bill(policy, input, &bill::years(policy, input, now)), Vec::new(), policy, input)
}

/// Computes the bill of the policy in force and of its alternatives.
pub fn cost(policy: &Policy, input: &CostInput, now: Timestamp) -> CostForecast {
    // What differs in storage classes alone keeps the same backups: that is found out once.
    let mut known: Vec<(Policy, bill::Years)> = Vec::new();
    let mut bill_of = |policy: &Policy| {
        let keeping = simulate::keeping(policy);
        let index = known.iter().position(|(seen, _)| *seen == keeping).unwrap_or_else(|| {
            known.push((keeping, bill::years(policy, input, now)));
            known.len() - 1
        });
        bill::bill(policy, input, &known[index].1)
    };
    let bill = bill_of(policy);
    let mut alternatives: Vec<Alternative> = alternatives::of(policy)
        .into_iter()
        .map(|(name, other)| {
            let others = bill_of(&other);
            Alternative {
                name,
                difference_usd: others.total_usd - bill.total_usd,
                notes: notes(&other, &others, input),
                bill: others,
            }
        })
        .collect();
    alternatives.sort_by(|a, b| a.bill.total_usd.total_cmp(&b.bill.total_usd));
    of(bill, alternatives, policy, input)
}

fn of(bill: Bill, alternatives: Vec<Alternative>, policy: &Policy, input: &CostInput) -> CostForecast {
    CostForecast {
        notes: notes(policy, &bill, input),
        total_in_a_year_usd: input.growth.map(|growth| bill::grown(&bill, input, growth)),
        bill,
        alternatives,
        prices: format!("{PRICES} ({SOURCE})"),
        not_counted: NOT_COUNTED.to_owned(),
    }
}

fn notes(policy: &Policy, bill: &Bill, input: &CostInput) -> Vec<String> {
    let mut notes = Vec::new();
    let tiers = [Tier::Daily, Tier::Weekly, Tier::Monthly];
    let frozen: Vec<&str> = tiers
        .into_iter()
        .filter(|tier| policy.rule(*tier).storage_class.is_some_and(StorageClass::is_frozen))
        .map(Tier::name)
        .collect();
    if !frozen.is_empty() {
        notes.push(format!("{} backups must be thawed before a restore, which takes hours", frozen.join(" and ")));
    }
    // In STANDARD for thirty days first, a weekly backup may be too young to be moved before it goes.
    for tier in tiers {
        let Some(class) = policy.rule(tier).storage_class.filter(|class| *class != StorageClass::Standard) else {
            continue;
        };
        if input.shape.movable_objects > 0 && !bill.storage.iter().any(|s| s.tier == tier && s.storage_class == class) {
            notes.push(format!("{} backups go before they can be moved to {class}", tier.name()));
        }
    }
    if input.shape.movable_objects == 0 {
        notes.push("all objects are so small that they stay in STANDARD".to_owned());
    }
    if bill.endless {
        notes.push("a tier keeps everything: the cost grows from year to year".to_owned());
    }
    let lint = lint(policy, LintInput::default());
    notes.extend(lint.into_iter().filter(|finding| finding.code != "newest_backups_need_thaw").map(|f| f.message));
    notes
}
