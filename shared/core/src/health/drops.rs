//! Tables that lost rows: the newest backup's counts against what the backups before it usually held.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;

/// The most tables that are named.
const MOST: usize = 100;

/// A table that has fewer rows than usual.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDrop {
    /// Schema and name.
    pub table: String,
    /// Rows in the newest backup; none where it no longer holds the table.
    pub rows: Option<u64>,
    /// The median of the backups before it.
    pub usual: u64,
}

impl RowDrop {
    fn lost(&self) -> u128 {
        u128::from(self.usual.saturating_sub(self.rows.unwrap_or(0)))
    }

    /// By how much of what is usual it fell, per cent, rounded down.
    pub fn percent(&self) -> u64 {
        u64::try_from(self.lost() * 100 / u128::from(self.usual.max(1))).unwrap_or(100)
    }

    /// Whether it fell by more than so much of what is usual, to the row.
    pub fn is_more_than(&self, percent: u32) -> bool {
        self.lost() * 100 > u128::from(percent) * u128::from(self.usual)
    }
}

/// Every table that has fewer rows in `newest` than the median of `earlier`, the greatest losses first. The median, so
/// that one odd backup neither hides a loss nor makes one. A table that was not in most of them is not usual.
pub fn drops(newest: &Manifest, earlier: &[Manifest]) -> Vec<RowDrop> {
    let counts = |manifest: &Manifest| -> HashMap<String, u64> {
        manifest.tables.iter().map(|table| (table.qualified(), table.rows)).collect()
    };
    let now = counts(newest);
    let mut before: HashMap<String, Vec<u64>> = HashMap::new();
    for manifest in earlier {
        for (table, rows) in counts(manifest) {
            before.entry(table).or_default().push(rows);
        }
    }
    let mut found: Vec<RowDrop> = before
        .into_iter()
        .filter(|(_, seen)| seen.len() * 2 > earlier.len())
        .map(|(table, mut seen)| {
            seen.sort_unstable();
            RowDrop { rows: now.get(&table).copied(), usual: seen[(seen.len() - 1) / 2], table }
        })
        .filter(|drop| drop.rows.unwrap_or(0) < drop.usual)
        .collect();
    found.sort_by(|a, b| (b.percent(), b.usual, &a.table).cmp(&(a.percent(), a.usual, &b.table)));
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use lifeboat_testkit::BackupBuilder;

    use super::*;

    /// The manifests of backups with so many rows in the table `users`.
    fn manifest(users: Option<u64>) -> Manifest {
        let builder = BackupBuilder::new("orders", "2026-11-20T02:00:00Z");
        let builder = match users {
            Some(rows) => builder.table("users", rows, b"x"),
            None => builder,
        };
        // The testkit was built with another copy of this crate: across the border goes JSON.
        let (_, bytes) = builder.seal().unwrap();
        Manifest::open(&bytes).unwrap()
    }

    fn found(now: Option<u64>, earlier: &[Option<u64>]) -> Vec<(String, Option<u64>, u64)> {
        let earlier: Vec<Manifest> = earlier.iter().map(|rows| manifest(*rows)).collect();
        drops(&manifest(now), &earlier).into_iter().map(|d| (d.table, d.rows, d.usual)).collect()
    }

    #[test]
    fn a_table_is_compared_with_the_median_of_the_backups_before() {
        let users = |rows, usual| vec![("public.users".to_owned(), rows, usual)];
        assert_eq!(found(Some(10), &[Some(1000), Some(990), Some(5)]), users(Some(10), 990));
        assert_eq!(found(Some(1000), &[Some(1000), Some(990), Some(5)]), Vec::new());
        // One that is gone, and one that was there once only.
        assert_eq!(found(None, &[Some(1000), Some(1000)]), users(None, 1000));
        assert_eq!(found(None, &[Some(1000), None]), Vec::new());
        assert_eq!(found(Some(1), &[]), Vec::new());
    }

    #[test]
    fn losses_are_told_in_per_cent_of_what_is_usual() {
        let drop = |rows, usual| RowDrop { table: "t".to_owned(), rows, usual }.percent();
        assert_eq!([drop(Some(0), 10), drop(Some(5), 10), drop(None, 10), drop(Some(999), 1000)], [100, 50, 100, 0]);
        assert_eq!(drop(None, u64::MAX), 100);
        let more = |rows| RowDrop { table: "t".to_owned(), rows: Some(rows), usual: 1000 }.is_more_than(50);
        assert_eq!([more(499), more(500)], [true, false]);
    }
}
