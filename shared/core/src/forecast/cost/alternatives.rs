//! The policies that a person might want to compare with the one in force.

use crate::{
    manifest::Tier,
    retention::{Policy, StorageClass, TierRule},
};

/// The presets, everything in STANDARD, and the weekly and monthly tiers in other classes; without the policy in force.
pub(super) fn of(policy: &Policy) -> Vec<(String, Policy)> {
    let mut all: Vec<(String, Policy)> = Vec::new();
    for name in Policy::PRESETS {
        if let Ok(preset) = Policy::preset(name) {
            let careful = Policy {
                min_good: policy.min_good,
                grace_days: policy.grace_days,
                reclaim_unfinished_after_days: policy.reclaim_unfinished_after_days,
                ..preset
            };
            all.push((format!("preset {name}"), careful));
        }
    }
    let mut warm = policy.clone();
    for tier in [Tier::Daily, Tier::Weekly, Tier::Monthly] {
        rule(&mut warm, tier).storage_class = None;
    }
    all.push(("everything in STANDARD".to_owned(), warm));
    for (tier, classes) in [
        (Tier::Weekly, &[StorageClass::StandardIa, StorageClass::GlacierIr][..]),
        (Tier::Monthly, &[StorageClass::GlacierIr, StorageClass::Glacier, StorageClass::DeepArchive][..]),
    ] {
        for class in classes {
            let mut other = policy.clone();
            rule(&mut other, tier).storage_class = Some(*class);
            all.push((format!("{} in {class}", tier.name()), other));
        }
    }
    // What only says the same in other words is no alternative.
    let mut different: Vec<(String, Policy)> = Vec::new();
    for (name, other) in all {
        if plain(&other) != plain(policy) && different.iter().all(|(_, seen)| plain(seen) != plain(&other)) {
            different.push((name, other));
        }
    }
    different
}

fn rule(policy: &mut Policy, tier: Tier) -> &mut TierRule {
    match tier {
        Tier::Daily => &mut policy.daily,
        Tier::Weekly => &mut policy.weekly,
        Tier::Monthly => &mut policy.monthly,
    }
}

/// To move to STANDARD is not to move.
fn plain(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    for tier in [Tier::Daily, Tier::Weekly, Tier::Monthly] {
        let rule = rule(&mut policy, tier);
        rule.storage_class = rule.storage_class.filter(|class| *class != StorageClass::Standard);
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_in_force_is_not_its_own_alternative() {
        let names: Vec<String> = of(&Policy::default()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "preset 30d",
                "preset 30-12-12",
                "everything in STANDARD",
                "weekly in GLACIER_IR",
                "monthly in GLACIER_IR",
                "monthly in DEEP_ARCHIVE"
            ]
        );
        let warm: Vec<String> = of(&Policy::preset("30d").unwrap()).into_iter().map(|(name, _)| name).collect();
        assert!(!warm.contains(&"everything in STANDARD".to_owned()) && warm.len() == 7, "{warm:?}");
    }
}
