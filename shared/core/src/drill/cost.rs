//! What a drill costs, where it can be known: list prices, and what they were multiplied with.

use super::{rehearsal::Thawed, thaw::DAYS};
use crate::{
    ports::ScratchFacts,
    report::{Cost, Fact},
};

/// What the prices are.
const PRICES_OF: &str = "list prices of us-east-1, November 2026, single zone, on demand, without taxes and transfer";

/// USD per hour of an instance with PostgreSQL. A class that is missing here has no known price.
#[allow(clippy::approx_constant, reason = "a price that looks like 1/π")]
const PER_HOUR: [(&str, f64); 30] = [
    ("db.t3.micro", 0.018),
    ("db.t3.small", 0.036),
    ("db.t3.medium", 0.072),
    ("db.t3.large", 0.145),
    ("db.t4g.micro", 0.016),
    ("db.t4g.small", 0.032),
    ("db.t4g.medium", 0.065),
    ("db.t4g.large", 0.129),
    ("db.t4g.xlarge", 0.258),
    ("db.t4g.2xlarge", 0.517),
    ("db.m5.large", 0.178),
    ("db.m5.xlarge", 0.356),
    ("db.m5.2xlarge", 0.712),
    ("db.m6g.large", 0.159),
    ("db.m6g.xlarge", 0.318),
    ("db.m6g.2xlarge", 0.636),
    ("db.m6g.4xlarge", 1.272),
    ("db.m7g.large", 0.168),
    ("db.m7g.xlarge", 0.337),
    ("db.m7g.2xlarge", 0.674),
    ("db.m7g.4xlarge", 1.348),
    ("db.r5.large", 0.25),
    ("db.r5.xlarge", 0.5),
    ("db.r6g.large", 0.225),
    ("db.r6g.xlarge", 0.45),
    ("db.r6g.2xlarge", 0.899),
    ("db.r6g.4xlarge", 1.798),
    ("db.r7g.large", 0.239),
    ("db.r7g.xlarge", 0.478),
    ("db.r7g.2xlarge", 0.956),
];
/// RDS bills at least ten minutes of an instance.
const LEAST_SECONDS: f64 = 600.0;
/// USD per GiB of gp3 and month, and the hours that RDS takes for a month.
const STORAGE_MONTH: f64 = 0.115;
const HOURS_OF_MONTH: f64 = 730.0;
/// USD per GB that is retrieved by the standard way, and per thousand requests for it; of GLACIER and of DEEP_ARCHIVE.
const RETRIEVAL: (f64, f64) = (0.01, 0.05);
const RETRIEVAL_DEEP: (f64, f64) = (0.02, 0.1);
/// USD per GB and month of the copies that a thaw makes; they stay for [`DAYS`], of the thirty that a month has.
const COPY_MONTH: f64 = 0.023;
/// USD per thousand requests that read.
const READS: f64 = 0.0004;
/// How often a restore reads an object: to see that it is whole, before anything is written, and to load it. What was thawed is
/// retrieved once, and both times it is the copy that is read.
pub(crate) const READINGS: u32 = 2;

/// What was used.
pub(super) struct Used<'a> {
    pub(super) scratch: Option<&'a ScratchFacts>,
    /// Seconds from the instance being asked for until it was gone; `None` where none was made.
    pub(super) instance_seconds: Option<f64>,
    pub(super) thawed: Option<Thawed>,
    /// Objects of the backup: the restore reads each [`READINGS`] times. The few that the negative control reads are not counted.
    pub(super) objects: u64,
    /// Whether the store is one that bills its requests.
    pub(super) billed_store: bool,
}

/// The cost of a drill; unknown where a price is: a report never holds a guess.
pub(super) fn of(used: &Used<'_>) -> Fact<Cost> {
    let mut amount = 0.0;
    let mut basis = Vec::new();
    match (used.instance_seconds, used.scratch.and_then(|s| s.class.as_deref())) {
        (Some(seconds), Some(class)) => {
            let Some((_, price)) = PER_HOUR.iter().find(|(name, _)| *name == class) else {
                return Fact::unknown(format!("no price is known of the instance class {class}"));
            };
            let hours = seconds.max(LEAST_SECONDS) / 3600.0;
            amount += hours * price;
            basis.push(format!("{hours:.2} h of {class} at {price} USD"));
            if let Some(gb) = used.scratch.and_then(|s| s.storage_gb) {
                amount += f64::from(gb) * hours / HOURS_OF_MONTH * STORAGE_MONTH;
                basis.push(format!("{gb} GiB of gp3 for as long at {STORAGE_MONTH} USD a month"));
            }
        }
        (Some(_), None) => return Fact::unknown("the class of the instance is not known"),
        (None, _) => basis.push("a scratch target that was there already".to_owned()),
    }
    if let Some(thawed) = used.thawed {
        let retrieved = |bytes, objects, (per_gigabyte, per_thousand): (f64, f64)| {
            gigabytes(bytes) * per_gigabyte + thousands(objects) * per_thousand
        };
        let Thawed { objects, bytes, deep_bytes, deep_objects } = thawed;
        amount += retrieved(bytes - deep_bytes, objects - deep_objects, RETRIEVAL);
        amount += retrieved(deep_bytes, deep_objects, RETRIEVAL_DEEP);
        amount += gigabytes(bytes) * COPY_MONTH * f64::from(DAYS) / 30.0;
        basis.push(format!("{objects} objects with {bytes} bytes thawed for {DAYS} days"));
    }
    if used.billed_store {
        amount += thousands(used.objects) * f64::from(READINGS) * READS;
        basis.push(format!("{} objects read {READINGS} times each", used.objects));
    } else {
        basis.push("reading the store is not counted".to_owned());
    }
    if amount > 0.0 {
        basis.push(PRICES_OF.to_owned());
    }
    Fact::known(Cost { amount, currency: "USD".to_owned(), basis: basis.join("; ") })
}

#[allow(clippy::cast_precision_loss, reason = "cents need no 53 bits")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[allow(clippy::cast_precision_loss, reason = "cents need no 53 bits")]
fn thousands(requests: u64) -> f64 {
    requests as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(class: &str) -> ScratchFacts {
        ScratchFacts { class: Some(class.to_owned()), storage_gb: Some(20), ..ScratchFacts::default() }
    }

    fn used(scratch: &ScratchFacts, seconds: f64) -> Used<'_> {
        Used {
            scratch: Some(scratch),
            instance_seconds: Some(seconds),
            thawed: None,
            objects: 1000,
            billed_store: true,
        }
    }

    #[test]
    fn a_drill_costs_its_instance_its_storage_and_its_requests() {
        let medium = scratch("db.t4g.medium");
        let cost = of(&used(&medium, 7200.0)).value.unwrap();
        let expected = 2.0 * 0.065 + 20.0 * 2.0 / 730.0 * 0.115 + 2.0 * 0.0004;
        assert!((cost.amount - expected).abs() < 1e-9, "{cost:?}");
        assert!(cost.basis.contains("2.00 h of db.t4g.medium") && cost.basis.contains("us-east-1"), "{cost:?}");
        let short = of(&used(&medium, 30.0)).value.unwrap();
        assert!(short.basis.contains("0.17 h"), "ten minutes are billed: {short:?}");
    }

    #[test]
    fn a_class_without_a_known_price_has_no_guessed_one() {
        let cost = of(&used(&scratch("db.x9.huge"), 60.0));
        assert!(cost.value.is_none() && cost.reason.unwrap().contains("db.x9.huge"));
    }

    #[test]
    fn a_thaw_costs_by_the_class_it_comes_from() {
        let thawed = Thawed { objects: 3000, bytes: 3 << 30, deep_bytes: 1 << 30, deep_objects: 1000 };
        let nothing =
            Used { scratch: None, instance_seconds: None, thawed: Some(thawed), objects: 0, billed_store: true };
        let cost = of(&nothing).value.unwrap();
        assert!((cost.amount - (0.02 + 0.1 + 0.02 + 0.1 + 3.0 * 0.0023)).abs() < 1e-9, "{cost:?}");
    }
}
