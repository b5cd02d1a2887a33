//! Adds up a simulated year.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    drill::{READINGS, Selection},
    forecast::{Growth, growth::float, line::median},
    manifest::Tier,
    prices::{self, gb},
    retention::{Policy, StorageClass},
};

use super::{
    Bill, CostInput, Shape, StorageCost,
    simulate::{Course, Life, Stay, simulate},
};

/// The year that is billed.
const YEAR: u32 = 365;
const MONTHS: f64 = 12.0;
const DAYS_OF_MONTH: f64 = 365.0 / MONTHS;

/// Until the tiers are filled, at most: beyond, a policy counts as one that never is.
const LONGEST_REACH: u32 = 6 * YEAR;

/// Beside its reach, for the grace, and for the first weeks and months to come round.
const SETTLING: u32 = 60;

/// The seconds of a month.
const MONTH_SECONDS: f64 = DAYS_OF_MONTH * 86_400.0;

/// Days that are billed: `[from, until)`.
#[derive(Clone, Copy)]
struct Window {
    from: u32,
    until: u32,
}

impl Window {
    fn days_of(self, from: u32, until: Option<u32>) -> f64 {
        let until = until.unwrap_or(u32::MAX).min(self.until);
        f64::from(until.saturating_sub(from.max(self.from)))
    }

    fn holds(self, day: u32) -> bool {
        (self.from..self.until).contains(&day)
    }
}

/// What a policy keeps, whatever the storage classes: the same for all policies that differ in these alone.
pub(super) struct Years {
    lives: Vec<Life>,
    window: Window,
    endless: bool,
}

pub(super) fn years(policy: &Policy, input: &CostInput, now: Timestamp) -> Years {
    let reach = [Tier::Daily, Tier::Weekly, Tier::Monthly]
        .into_iter()
        .try_fold(0, |most: u32, tier| policy.rule(tier).reach_days(tier).map(|days| days.max(most)))
        .filter(|days| *days <= LONGEST_REACH);
    let from = reach.unwrap_or(YEAR) + policy.grace_days.min(YEAR) + SETTLING;
    let window = Window { from, until: from + YEAR };
    let course = Course { from: now, days: window.until, dump_every_seconds: input.dump_every_seconds };
    Years { lives: simulate(policy, &input.database, course), window, endless: reach.is_none() }
}

pub(super) fn bill(policy: &Policy, input: &CostInput, years: &Years) -> Bill {
    let (shape, window) = (input.shape, years.window);
    let lives: Vec<(&Life, Vec<Stay>)> = years.lives.iter().map(|life| (life, life.stays(policy))).collect();
    let storage = storage(&lives, shape, window);
    let storage_usd = sum(storage.iter().map(|s| s.usd));
    let requests_usd = requests(&lives, shape, window) / MONTHS;
    let moves_usd = moves(&lives, shape, window) / MONTHS;
    let early_deletion_usd = early_deletions(&lives, shape, window) / MONTHS;
    let drills_usd = drills(&storage, input);
    let restorable = years.lives.iter().map(|life| window.days_of(life.made, life.removed));
    Bill {
        total_usd: storage_usd + requests_usd + moves_usd + early_deletion_usd + drills_usd,
        backups: sum(restorable) / f64::from(YEAR),
        storage,
        storage_usd,
        requests_usd,
        moves_usd,
        early_deletion_usd,
        drills_usd,
        endless: years.endless,
    }
}

/// A sum that begins at 0: that of no numbers at all is -0 in Rust, and would be printed so.
fn sum(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.fold(0.0, |sum, number| sum + number)
}

/// What one backup costs a month while its movable objects are in a class.
fn usd_per_month(class: StorageClass, shape: Shape) -> f64 {
    let prices = prices::of(class);
    let overhead = |bytes: u32| shape.movable_objects * u64::from(bytes);
    gb(shape.movable_bytes + overhead(prices.overhead.0)) * prices.gb_month
        + gb(shape.other_bytes + overhead(prices.overhead.1)) * prices::of(StorageClass::Standard).gb_month
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an average of bytes, never below zero")]
fn storage(lives: &[(&Life, Vec<Stay>)], shape: Shape, window: Window) -> Vec<StorageCost> {
    let mut days: BTreeMap<(Tier, StorageClass), f64> = BTreeMap::new();
    for (life, stays) in lives {
        for stay in stays {
            // What cannot move stays where it is, whatever its tags say.
            let class = if shape.movable_objects > 0 { stay.class } else { StorageClass::Standard };
            *days.entry((life.tier(), class)).or_default() += window.days_of(stay.from, stay.until);
        }
    }
    days.into_iter()
        .filter(|(_, days)| *days > 0.0)
        .map(|((tier, storage_class), days)| {
            let backups = days / f64::from(YEAR);
            StorageCost {
                tier,
                storage_class,
                backups,
                bytes: (backups * float(shape.movable_bytes + shape.other_bytes)) as u64,
                usd: backups * usd_per_month(storage_class, shape),
            }
        })
        .collect()
}

/// Writing each backup, reading it back once, and tagging what moves and what goes. A year's.
fn requests(lives: &[(&Life, Vec<Stay>)], shape: Shape, window: Window) -> f64 {
    let prices = prices::of(StorageClass::Standard);
    let (put, get) = (prices.thousand_puts / 1000.0, prices.thousand_gets / 1000.0);
    let objects = shape.movable_objects + shape.other_objects;
    sum(lives.iter().map(|(life, stays)| {
        let written = if window.holds(life.made) { float(shape.puts) * put + float(objects) * get } else { 0.0 };
        let moved = stays.iter().skip(1).filter(|stay| window.holds(stay.from)).count() as u64;
        let removed = u64::from(life.removed.is_some_and(|day| window.holds(day)));
        written + float(moved * shape.movable_objects + removed * objects) * put
    }))
}

fn moves(lives: &[(&Life, Vec<Stay>)], shape: Shape, window: Window) -> f64 {
    let moved = lives.iter().flat_map(|(_, stays)| stays.iter().skip(1)).filter(|stay| window.holds(stay.from));
    sum(moved.map(|stay| float(shape.movable_objects) * prices::of(stay.class).thousand_moves / 1000.0))
}

/// Objects that left a class before its minimum time, by going or by moving on, are billed for the rest of it.
fn early_deletions(lives: &[(&Life, Vec<Stay>)], shape: Shape, window: Window) -> f64 {
    let fee = |stay: &Stay| {
        let until = stay.until.filter(|day| window.holds(*day))?;
        let missing = prices::of(stay.class).minimum_days.saturating_sub(until - stay.from);
        Some(f64::from(missing) / DAYS_OF_MONTH * gb(shape.movable_bytes) * prices::of(stay.class).gb_month)
    };
    sum(lives.iter().flat_map(|(_, stays)| stays).filter_map(fee))
}

/// What a drill pays for one backup in a class: thawing it, or being billed for each GB of each reading, and the requests. What
/// was thawed is retrieved once, and read as often from the copy, which is in STANDARD.
pub(super) fn reading(class: StorageClass, shape: Shape) -> f64 {
    let (prices, readings) = (prices::of(class), f64::from(READINGS));
    let requests = float(shape.movable_objects) * (readings * prices.thousand_gets + prices.thousand_thaws);
    let others = float(shape.other_objects) * readings * prices::of(StorageClass::Standard).thousand_gets;
    let billed = if class.is_frozen() { 1.0 } else { readings };
    (requests + others) / 1000.0 + billed * gb(shape.movable_bytes) * prices.gb_read
}

/// A month's drills: thawing and reading what they restore, and what past ones cost beside that.
fn drills(storage: &[StorageCost], input: &CostInput) -> f64 {
    let Some(every) = input.drill_every_seconds else { return 0.0 };
    let read = |class: StorageClass| reading(class, input.shape);
    let average = |rows: &[&StorageCost]| {
        let backups = sum(rows.iter().map(|row| row.backups));
        sum(rows.iter().map(|row| row.backups / backups * read(row.storage_class)))
    };
    let of_tier = |tier: Tier| storage.iter().filter(|row| row.tier == tier).collect::<Vec<_>>();
    let tiers: Vec<Vec<&StorageCost>> =
        [Tier::Daily, Tier::Weekly, Tier::Monthly].map(of_tier).into_iter().filter(|rows| !rows.is_empty()).collect();
    let reading = match input.selection {
        Selection::Latest => read(StorageClass::Standard),
        // Tier by tier, in turn.
        Selection::Rotate if !tiers.is_empty() => {
            sum(tiers.iter().map(|rows| average(rows))) / float(tiers.len() as u64)
        }
        _ if storage.is_empty() => 0.0,
        _ => average(&storage.iter().collect::<Vec<_>>()),
    };
    let instance = median(input.past_drills_usd.iter().copied()).unwrap_or(0.0);
    MONTH_SECONDS / float(every.max(1)) * (reading + instance)
}

/// The total a year on: what depends on bytes grows with them.
pub(super) fn grown(bill: &Bill, input: &CostInput, growth: Growth) -> f64 {
    let bytes = float(input.shape.movable_bytes + input.shape.other_bytes);
    let factor = if bytes > 0.0 { ((bytes + growth.bytes_per_day * f64::from(YEAR)) / bytes).max(0.0) } else { 1.0 };
    bill.requests_usd + bill.moves_usd + (bill.storage_usd + bill.early_deletion_usd) * factor + bill.drills_usd
}
