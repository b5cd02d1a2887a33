//! The catalog objects of a drill: the source's at the snapshot against the restored database's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ports::Inventory;

/// How many objects of one kind were expected and found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindCount {
    /// `constraint`, `index`, `trigger`, `sequence`, `extension`, …
    pub kind: String,
    /// In the manifest's inventory.
    pub expected: u64,
    /// Of these, found with the same state.
    pub equal: u64,
}

/// One object whose state differs, or that is in only one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryDifference {
    /// The object's kind.
    pub kind: String,
    /// Its name with schema and table.
    pub name: String,
    /// Its state at the source; null where it was not there.
    pub expected: Option<String>,
    /// Its state in the restored database; null where it is missing.
    pub actual: Option<String>,
    /// Why it is no finding, where it is none.
    pub accepted: Option<String>,
}

/// A foreign key with rows that refer to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanedRows {
    /// The foreign key, with its table.
    pub foreign_key: String,
    /// How many rows.
    pub rows: u64,
}

/// A sequence that would hand out a number that is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceBehind {
    /// Why it is no finding of this drill, where it is none: the source's own sequence stood there.
    #[serde(default)]
    pub accepted: Option<String>,
    /// The sequence.
    pub sequence: String,
    /// Its last value.
    pub last_value: i64,
    /// The largest value of the column it feeds.
    pub largest_value: i64,
}

/// All catalog objects of the drill.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SchemaEvidence {
    /// Whether this was compared at all; a drill that broke off before says no.
    pub compared: bool,
    /// Counts by kind: constraints, indexes, triggers, sequences, extensions, …
    pub counts: Vec<KindCount>,
    /// What differs.
    pub differences: Vec<InventoryDifference>,
    /// TOC entries that stock tools yield and the restored database does not, or the other way round.
    pub toc_differences: Vec<String>,
    /// Why the tables of contents were not compared, where they were not.
    #[serde(default)]
    pub toc_not_compared: Option<String>,
    /// Orphaned rows.
    pub orphans: Vec<OrphanedRows>,
    /// Indexes that are there and not valid.
    #[serde(default)]
    pub invalid_indexes: Vec<String>,
    /// Sequences behind their columns.
    pub sequences_behind: Vec<SequenceBehind>,
    /// Roles of the backup that could not be made, with the reason.
    pub roles_missing: Vec<String>,
}

impl SchemaEvidence {
    /// Compares two inventories; orphans, sequences, TOC and roles are the caller's to add.
    ///
    /// Several objects may share kind and name (overloads, for one): they are compared as sets of states.
    pub fn compare(expected: &Inventory, actual: &Inventory) -> Self {
        type States<'a> = BTreeMap<(&'a str, &'a str), (Vec<&'a str>, Vec<&'a str>)>;
        let mut states: States<'_> = BTreeMap::new();
        for item in &expected.items {
            states.entry((&item.kind, &item.name)).or_default().0.push(&item.state);
        }
        for item in &actual.items {
            states.entry((&item.kind, &item.name)).or_default().1.push(&item.state);
        }
        let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        let mut differences = Vec::new();
        for ((kind, name), (mut expected, mut actual)) in states {
            let count = counts.entry(kind).or_default();
            count.0 += expected.len() as u64;
            expected.retain(|state| {
                let found = actual.iter().position(|other| other == state);
                if let Some(at) = found {
                    actual.remove(at);
                    count.1 += 1;
                }
                found.is_none()
            });
            for i in 0..expected.len().max(actual.len()) {
                differences.push(InventoryDifference {
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                    expected: expected.get(i).map(ToString::to_string),
                    actual: actual.get(i).map(ToString::to_string),
                    accepted: None,
                });
            }
        }
        Self {
            compared: true,
            counts: counts
                .into_iter()
                .map(|(kind, (expected, equal))| KindCount { kind: kind.to_owned(), expected, equal })
                .collect(),
            differences,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::InventoryItem;

    fn inventory(items: &[(&str, &str, &str)]) -> Inventory {
        let item = |(kind, name, state): &(&str, &str, &str)| InventoryItem {
            kind: (*kind).to_owned(),
            name: (*name).to_owned(),
            state: (*state).to_owned(),
        };
        Inventory { items: items.iter().map(item).collect() }
    }

    #[test]
    fn a_changed_state_a_missing_and_an_additional_object_are_differences() {
        let source =
            inventory(&[("index", "i", "valid"), ("trigger", "t", "enabled=O"), ("constraint", "c", "validated")]);
        let target = inventory(&[("index", "i", "valid"), ("trigger", "t", "enabled=D"), ("policy", "p", "all")]);
        let evidence = SchemaEvidence::compare(&source, &target);
        let differences: Vec<_> = evidence
            .differences
            .iter()
            .map(|d| (d.name.as_str(), d.expected.as_deref(), d.actual.as_deref()))
            .collect();
        assert_eq!(
            differences,
            [("c", Some("validated"), None), ("p", None, Some("all")), ("t", Some("enabled=O"), Some("enabled=D"))]
        );
        let count = |kind: &str| evidence.counts.iter().find(|c| c.kind == kind).map(|c| (c.expected, c.equal));
        assert_eq!((count("index"), count("trigger"), count("policy")), (Some((1, 1)), Some((1, 0)), Some((0, 0))));
    }

    #[test]
    fn objects_that_share_a_name_are_compared_as_a_set() {
        let two = inventory(&[("function", "f", "a"), ("function", "f", "b")]);
        let turned = inventory(&[("function", "f", "b"), ("function", "f", "a")]);
        assert!(SchemaEvidence::compare(&two, &turned).differences.is_empty());
    }
}
