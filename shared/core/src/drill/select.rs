//! Which backup a drill restores.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use crate::{
    Error, ErrorKind, Result,
    attestation::Rung,
    catalog::BackupState,
    ids::{BackupId, DatabaseSlug},
    manifest::Tier,
};

/// How the backup is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The newest.
    Latest,
    /// The oldest.
    Oldest,
    /// Any.
    Random,
    /// The tier that was proven longest ago, so that in time copies of every tier and storage class are tested.
    Rotate,
    /// This one.
    Exactly(BackupId),
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Oldest => f.write_str("oldest"),
            Self::Random => f.write_str("random"),
            Self::Rotate => f.write_str("rotate"),
            Self::Exactly(id) => write!(f, "{id}"),
        }
    }
}

impl FromStr for Selection {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "latest" => Ok(Self::Latest),
            "oldest" => Ok(Self::Oldest),
            "random" => Ok(Self::Random),
            "rotate" => Ok(Self::Rotate),
            id => id.parse().map(Self::Exactly).map_err(|e: Error| {
                Error::new(ErrorKind::Usage, e.to_string())
                    .with_hint("latest, oldest, random, rotate, or a backup's id")
            }),
        }
    }
}

/// Chooses among the usable backups (`states` newest first). A damaged one is never chosen by itself, but may be named.
pub(super) fn choose<'a>(
    states: &'a [BackupState],
    database: &DatabaseSlug,
    selection: &Selection,
    random: u64,
) -> Result<&'a BackupState> {
    let none = || Error::new(ErrorKind::NotFound, format!("there is no backup of {database} to drill"));
    if let Selection::Exactly(id) = selection {
        return states
            .iter()
            .find(|s| s.backup_id == *id)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no backup {database}/{id}")));
    }
    let usable = choosable(states);
    let chosen = match selection {
        Selection::Latest => usable.first(),
        Selection::Oldest => usable.last(),
        Selection::Random => {
            let count = u64::try_from(usable.len()).unwrap_or(1).max(1);
            usable.get(usize::try_from(random % count).unwrap_or(0))
        }
        Selection::Rotate | Selection::Exactly(_) => {
            let tier = tier_due(&usable);
            usable.iter().find(|s| Some(s.tier) == tier && s.rung < Rung::Restored).or_else(|| {
                // Every backup of the tier was proven: the one whose proof is oldest.
                usable.iter().filter(|s| Some(s.tier) == tier).min_by_key(|s| s.restored_at())
            })
        }
    };
    chosen.copied().ok_or_else(none)
}

/// The backups that may be chosen without being named.
pub(super) fn choosable(states: &[BackupState]) -> Vec<&BackupState> {
    states.iter().filter(|s| s.usable()).collect()
}

/// The tiers that have backups.
pub(super) fn tiers(usable: &[&BackupState]) -> impl Iterator<Item = Tier> {
    let has = |tier: &Tier| usable.iter().any(|s| s.tier == *tier);
    [Tier::Daily, Tier::Weekly, Tier::Monthly].into_iter().filter(has).collect::<Vec<_>>().into_iter()
}

/// The tier whose newest proof is oldest; a tier without any proof first.
fn tier_due(usable: &[&BackupState]) -> Option<Tier> {
    let proven = |tier: Tier| -> Option<Timestamp> {
        usable.iter().filter(|s| s.tier == tier).filter_map(|s| s.restored_at()).max()
    };
    tiers(usable).min_by_key(|tier| proven(*tier))
}
