//! Which backups are worth reading again: those whose last verify is longest ago, within a budget.

use jiff::{SignedDuration, Timestamp};

use crate::{catalog::BackupState, ids::BackupId, ports::Listed};

/// Storage classes whose objects cannot be read without a thaw.
const FROZEN: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// A backup that may be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// The backup.
    pub backup_id: BackupId,
    /// When it was last found whole; `None` where nobody has looked.
    pub verified_at: Option<Timestamp>,
    /// Bytes to read.
    pub bytes: u64,
    /// Whether it lies in a storage class that cannot be read without a thaw.
    pub frozen: bool,
}

/// What to read, and what has to wait.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// In this order.
    pub chosen: Vec<BackupId>,
    /// Backups for which the budget did not suffice.
    pub left: u64,
    /// Backups that cannot be read without a thaw: drills thaw them.
    pub frozen: u64,
}

/// Whether any of a backup's objects cannot be read without a thaw.
pub fn is_frozen(objects: &[Listed]) -> bool {
    objects.iter().any(|object| FROZEN.contains(&object.storage_class.as_str()))
}

/// Whether a backup is one to be read again: it is relied on, or will be once it is verified. What is damaged, or about
/// to vanish, is left out.
pub fn is_candidate(state: &BackupState) -> bool {
    state.usable()
}

/// Chooses what was verified longest ago, never first, as far as `most_bytes` reach; the first is chosen whatever its
/// size, else a large backup would never be read. What was found whole within `recently` before `now` waits.
pub fn choose(mut backups: Vec<Older>, most_bytes: u64, recently: SignedDuration, now: Timestamp) -> Reading {
    let mut reading = Reading { frozen: backups.iter().filter(|b| b.frozen).count() as u64, ..Reading::default() };
    backups.retain(|b| !b.frozen && b.verified_at.is_none_or(|at| now.duration_since(at) >= recently));
    backups.sort_by(|a, b| (a.verified_at, &a.backup_id).cmp(&(b.verified_at, &b.backup_id)));
    let mut bytes = 0_u64;
    for backup in backups {
        let with = bytes.saturating_add(backup.bytes);
        if reading.chosen.is_empty() || with <= most_bytes {
            bytes = with;
            reading.chosen.push(backup.backup_id);
        } else {
            reading.left += 1;
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-20T12:00:00Z";

    fn older(day: u32, verified_at: Option<&str>, bytes: u64) -> Older {
        Older {
            backup_id: format!("202611{day:02}T020000Z-aaaa").parse().unwrap(),
            verified_at: verified_at.map(|at| at.parse().unwrap()),
            bytes,
            frozen: false,
        }
    }

    fn chosen(backups: Vec<Older>, most_bytes: u64) -> (Vec<String>, u64) {
        let reading = choose(backups, most_bytes, SignedDuration::from_hours(24), NOW.parse().unwrap());
        (reading.chosen.iter().map(|id| id.as_str()[6..8].to_owned()).collect(), reading.left)
    }

    #[test]
    fn what_was_verified_longest_ago_comes_first_and_what_never_was_before_it() {
        let backups = vec![
            older(10, Some("2026-11-15T00:00:00Z"), 1),
            older(11, Some("2026-11-12T00:00:00Z"), 1),
            older(12, None, 1),
        ];
        assert_eq!(chosen(backups, 10), (vec!["12".to_owned(), "11".to_owned(), "10".to_owned()], 0));
    }

    #[test]
    fn the_budget_is_kept_but_one_backup_is_always_read() {
        let old = Some("2026-11-12T00:00:00Z");
        let backups = || vec![older(10, old, 50), older(11, old, 60), older(12, old, 10)];
        assert_eq!(chosen(backups(), 70), (vec!["10".to_owned(), "12".to_owned()], 1));
        assert_eq!(chosen(backups(), 1), (vec!["10".to_owned()], 2));
    }

    #[test]
    fn what_was_verified_a_moment_ago_or_lies_frozen_waits() {
        let mut frozen = older(9, None, 1);
        frozen.frozen = true;
        let reading = choose(
            vec![frozen, older(10, Some("2026-11-20T11:00:00Z"), 1)],
            10,
            SignedDuration::from_hours(24),
            NOW.parse().unwrap(),
        );
        assert_eq!(reading, Reading { frozen: 1, ..Reading::default() });
    }
}
