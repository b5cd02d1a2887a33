//! The plan: for each backup whether it stays or goes, and what is to be done about it now. Pure.

use std::fmt;

use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::Serialize;

use crate::{
    ids::{BackupId, DatabaseSlug},
    manifest::Tier,
    retention::{
        Policy, Reason, StorageClass,
        promote::promotions,
        verdict::{Newer, add_days, verdict},
    },
};

/// What retention has to know of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFacts {
    /// The backup.
    pub backup_id: BackupId,
    /// Its snapshot's time by the server's clock.
    pub at: Timestamp,
    /// The same as a date in the database's time zone.
    pub date: Date,
    /// Its tier, after promotions so far.
    pub tier: Tier,
    /// Verified or higher, and not corrupt since: good, were it not for an intent to expire it.
    pub whole: bool,
    /// Manifest and attestations can be read.
    pub readable: bool,
    /// Why it is held, if it is.
    pub held: Option<String>,
    /// Until when the store locks it, if it does.
    pub locked_until: Option<Timestamp>,
    /// Since when it is expiring, if it is.
    pub expiring_since: Option<Timestamp>,
    /// Its removal has begun and cannot be undone.
    pub leaving: bool,
    /// Bytes as stored, all objects.
    pub bytes: u64,
    /// The class in which its movable objects lie or are asked to go; `None` where nothing can be moved.
    pub class: Option<StorageClass>,
}

impl BackupFacts {
    /// Whether it counts as good.
    pub fn good(&self) -> bool {
        self.whole && self.readable && self.expiring_since.is_none() && !self.leaving
    }

    pub(super) fn in_future(&self, now: Timestamp) -> bool {
        self.at > now || self.backup_id.started_at() > now
    }
}

/// What an unfinished dump, or the lifecycle rule, left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftoverFacts {
    /// The folder.
    pub backup_id: BackupId,
    /// When something was last written to it, by the store's clock.
    pub last_written: Timestamp,
    /// Bytes.
    pub bytes: u64,
    /// It is tagged already.
    pub leaving: bool,
}

/// Everything that the plan for one database depends on, but policy and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The database.
    pub database: DatabaseSlug,
    /// Its backups, in any order.
    pub backups: Vec<BackupFacts>,
    /// Folders without a manifest.
    pub leftovers: Vec<LeftoverFacts>,
    /// A run holds the database's lease.
    pub lease_held: bool,
}

/// What is to be done about a backup now, in the order in which it is done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Step {
    /// Attest that it is not expiring any more.
    TakeBack,
    /// Attest that its tier is now this one.
    Promote {
        /// The new tier.
        tier: Tier,
    },
    /// Attest that it is expiring; the grace begins.
    Announce,
    /// Tag its archive objects for this class.
    Move {
        /// The class.
        class: StorageClass,
    },
    /// Tag its objects for removal, or delete them where the store has no lifecycle rules.
    Remove,
}

/// The plan for one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The backup.
    pub backup_id: BackupId,
    /// Its snapshot's time.
    pub at: Timestamp,
    /// Its tier, with the plan's promotions.
    pub tier: Tier,
    /// Whether it counts as good today.
    pub good: bool,
    /// Stays, or goes.
    pub keep: bool,
    /// Why.
    pub reason: Reason,
    /// While it is expiring: when its removal may begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal_from: Option<Timestamp>,
    /// Bytes as stored.
    pub bytes: u64,
    /// What is to be done now.
    pub steps: Vec<Step>,
}

/// The plan for one leftover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftoverDecision {
    /// The folder.
    pub backup_id: BackupId,
    /// Bytes.
    pub bytes: u64,
    /// Whether it is to be removed now.
    pub remove: bool,
    /// Why.
    pub reason: Reason,
}

/// What uploads that nobody will end are swept: they take room and no listing of objects shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UploadSweep {
    /// Begun before this time.
    pub before: Timestamp,
    /// The same as an age.
    pub older_than_days: u32,
}

/// What retention means to do for one database. A dry run prints it, a run executes it and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The database.
    pub database: DatabaseSlug,
    /// The time that the plan is for.
    pub made_at: Timestamp,
    /// Good backups today.
    pub good: u32,
    /// Newest first.
    pub decisions: Vec<Decision>,
    /// Oldest first.
    pub leftovers: Vec<LeftoverDecision>,
    /// Which unfinished uploads are swept; `None` while a run that may be writing one holds the database's lease.
    pub uploads: Option<UploadSweep>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Whether there is nothing to do about any backup or leftover. Uploads are swept all the same: how many there are
    /// is only known then.
    pub fn is_empty(&self) -> bool {
        self.decisions.iter().all(|d| d.steps.is_empty()) && self.leftovers.iter().all(|l| !l.remove)
    }
}

/// Plans: see DESIGN §7. The facts' order does not matter.
pub fn plan(facts: &Facts, policy: &Policy, now: Timestamp) -> Plan {
    let mut backups: Vec<&BackupFacts> = facts.backups.iter().collect();
    backups.sort_unstable_by(|a, b| (b.at, &b.backup_id).cmp(&(a.at, &a.backup_id)));
    // Zero would let the last good backup go; a policy that was read from a file has been checked already.
    let min_good = policy.min_good.max(1);
    let good_today: Vec<bool> = backups.iter().map(|b| b.good() && !b.in_future(now)).collect();
    let good = u32::try_from(good_today.iter().filter(|good| **good).count()).unwrap_or(u32::MAX);
    // What the plan takes back counts as good within it, so that executing it twice is executing it once. Promotions
    // depend on that and it on promotions: plan again until both agree, which they do at the second look or never
    // matter, because every single look keeps the promises.
    let mut counts = good_today;
    let mut decisions = decide(&backups, &counts, policy, min_good, now);
    for _ in 0..4 {
        let agreed: Vec<bool> = backups
            .iter()
            .zip(&decisions)
            .map(|(b, d)| !b.in_future(now) && (b.good() || (b.whole && d.steps.contains(&Step::TakeBack))))
            .collect();
        if agreed == counts {
            break;
        }
        counts = agreed;
        decisions = decide(&backups, &counts, policy, min_good, now);
    }
    Plan {
        database: facts.database.clone(),
        made_at: now,
        good,
        decisions,
        leftovers: leftovers(facts, policy, now),
        uploads: upload_sweep(facts, policy, now),
        warnings: warnings(facts, min_good, good, now),
    }
}

/// Decides from the newest to the oldest. `counts` says, by index, what may count as good for the promotions.
fn decide(backups: &[&BackupFacts], counts: &[bool], policy: &Policy, min_good: u32, now: Timestamp) -> Vec<Decision> {
    let wants = |tier: Tier, first_day: Date, newer: u32| policy.rule(tier).wants_another(first_day, newer, now);
    let promoted = promotions(backups, counts, now, wants);
    let mut newer = Newer::default();
    let mut decisions = Vec::with_capacity(backups.len());
    for (index, backup) in backups.iter().enumerate() {
        let in_future = backup.in_future(now);
        let new_tier = promoted.iter().find(|(i, _)| *i == index).map(|(_, tier)| *tier);
        let tier = new_tier.unwrap_or(backup.tier);
        let (keep, reason) = verdict(backup, tier, policy, &newer, min_good, now);
        let taken_back = keep && backup.expiring_since.is_some() && backup.readable;
        let good = !in_future && (backup.good() || (backup.whole && taken_back));
        let removal_from = backup.expiring_since.filter(|_| !keep).map(|since| add_days(since, policy.grace_days));
        let mut steps = Vec::new();
        if taken_back {
            steps.push(Step::TakeBack);
        }
        if let Some(tier) = new_tier.filter(|_| good) {
            steps.push(Step::Promote { tier });
        }
        if keep {
            if let (Some(class), Some(lies_in)) = (policy.rule(tier).storage_class, backup.class)
                && class > lies_in
                && good
            {
                steps.push(Step::Move { class });
            }
        } else if !backup.leaving {
            match removal_from {
                None => steps.push(Step::Announce),
                Some(from) if from <= now => steps.push(Step::Remove),
                Some(_) => {}
            }
        }
        if good {
            newer.count(tier, backup.date);
        }
        decisions.push(Decision {
            backup_id: backup.backup_id.clone(),
            at: backup.at,
            tier,
            good: backup.good(),
            keep,
            reason,
            removal_from,
            bytes: backup.bytes,
            steps,
        });
    }
    decisions
}

fn leftovers(facts: &Facts, policy: &Policy, now: Timestamp) -> Vec<LeftoverDecision> {
    let mut leftovers: Vec<&LeftoverFacts> = facts.leftovers.iter().collect();
    leftovers.sort_unstable_by(|a, b| a.backup_id.cmp(&b.backup_id));
    let decide = |leftover: &LeftoverFacts| {
        let until = add_days(leftover.last_written, policy.reclaim_unfinished_after_days.max(1));
        if leftover.leaving {
            (false, Reason::Leaving)
        } else if facts.lease_held {
            (false, Reason::LeaseHeld)
        } else if leftover.backup_id.started_at() > now {
            (false, Reason::InFuture { at: leftover.backup_id.started_at() })
        } else if until > now {
            (false, Reason::TooYoung { until })
        } else {
            (true, Reason::Unfinished)
        }
    };
    leftovers
        .into_iter()
        .map(|leftover| {
            let (remove, reason) = decide(leftover);
            LeftoverDecision { backup_id: leftover.backup_id.clone(), bytes: leftover.bytes, remove, reason }
        })
        .collect()
}

fn upload_sweep(facts: &Facts, policy: &Policy, now: Timestamp) -> Option<UploadSweep> {
    let older_than_days = policy.reclaim_unfinished_after_days.max(1);
    let before = now.checked_sub(SignedDuration::from_hours(24 * i64::from(older_than_days))).ok()?;
    (!facts.lease_held).then_some(UploadSweep { before, older_than_days })
}

fn warnings(facts: &Facts, min_good: u32, good: u32, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if good < min_good {
        warnings.push(format!("{good} good backups of {}, there should be at least {min_good}", facts.database));
    }
    let count = |what: &dyn Fn(&BackupFacts) -> bool| facts.backups.iter().filter(|b| what(b)).count();
    let unreadable = count(&|b| !b.readable);
    if unreadable > 0 {
        warnings.push(format!("{unreadable} backups of {} cannot be read; `lifeboat list` names them", facts.database));
    }
    let in_future = count(&|b| b.in_future(now));
    if in_future > 0 {
        warnings.push(format!("{in_future} backups of {} are dated in the future: a clock is wrong", facts.database));
    }
    warnings
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promote { tier } => write!(f, "promote to {}", tier.name()),
            Self::TakeBack => f.write_str("take the intent to expire back"),
            Self::Announce => f.write_str("attest that it is expiring"),
            Self::Move { class } => write!(f, "move to {class}"),
            Self::Remove => f.write_str("remove"),
        }
    }
}

impl fmt::Display for UploadSweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = if self.older_than_days == 1 { "day" } else { "days" };
        write!(f, "unfinished uploads older than {} {days} are swept", self.older_than_days)
    }
}

impl fmt::Display for Plan {
    /// One line per backup and leftover, the sweep of uploads, then the warnings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for d in &self.decisions {
            let verdict = if d.keep { "keep  " } else { "expire" };
            write!(f, "{verdict}  {}/{}  {:<7}  {}", self.database, d.backup_id, d.tier.name(), d.reason)?;
            for step in &d.steps {
                write!(f, "; {step}")?;
            }
            match d.removal_from {
                Some(from) if from > self.made_at => write!(f, "; to be removed from {from:.0} on")?,
                _ => {}
            }
            writeln!(f)?;
        }
        for l in &self.leftovers {
            let verdict = if l.remove { "remove" } else { "leave " };
            writeln!(f, "{verdict}  {}/{}  leftover  {}", self.database, l.backup_id, l.reason)?;
        }
        if let Some(sweep) = &self.uploads {
            writeln!(f, "sweep   {}  {sweep}", self.database)?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}
