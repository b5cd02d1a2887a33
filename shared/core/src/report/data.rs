//! The rows of a drill: what the manifest expects, what the restored database holds, and how much was compared.

use serde::{Deserialize, Serialize};

/// What came of comparing one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableOutcome {
    /// Rows and checksum are equal.
    Equal,
    /// The number of rows differs.
    RowsDiffer,
    /// The rows are as many, their content differs.
    ContentDiffers,
    /// Only the text of types whose output changed between the two major versions differs; the note names them.
    TypeOutputDiffers,
    /// It was not compared; the note says why.
    Skipped,
}

/// One table: expected by the manifest, actual in the scratch target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEvidence {
    /// `schema.name`, or the partition root where several load through it.
    pub table: String,
    /// Rows in the manifest.
    pub rows_expected: u64,
    /// Rows found; null where it was skipped.
    pub rows_actual: Option<u64>,
    /// Checksum in the manifest.
    pub checksum_expected: String,
    /// Checksum found; null where it was skipped.
    pub checksum_actual: Option<String>,
    /// What came of it.
    pub outcome: TableOutcome,
    /// Why it was skipped, or which types differ.
    pub note: Option<String>,
}

impl TableEvidence {
    /// Compares what was expected with what was found: rows and checksum each.
    pub fn compared(table: impl Into<String>, expected: (u64, String), actual: (u64, String)) -> Self {
        let outcome = if expected.0 != actual.0 {
            TableOutcome::RowsDiffer
        } else if expected.1 != actual.1 {
            TableOutcome::ContentDiffers
        } else {
            TableOutcome::Equal
        };
        Self {
            table: table.into(),
            rows_expected: expected.0,
            rows_actual: Some(actual.0),
            checksum_expected: expected.1,
            checksum_actual: Some(actual.1),
            outcome,
            note: None,
        }
    }

    /// A table that could not be compared.
    pub fn skipped(table: impl Into<String>, expected: (u64, String), why: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            rows_expected: expected.0,
            rows_actual: None,
            checksum_expected: expected.1,
            checksum_actual: None,
            outcome: TableOutcome::Skipped,
            note: Some(why.into()),
        }
    }
}

/// Large objects, compared by size and SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LargeObjectEvidence {
    /// How many the manifest has.
    pub expected: u64,
    /// How many were compared.
    pub compared: u64,
    /// OIDs of those that are missing or differ.
    pub differing: Vec<u32>,
}

/// How much of the backup was compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// Tables expected.
    pub tables_expected: u64,
    /// Tables compared.
    pub tables_compared: u64,
    /// Tables equal.
    pub tables_equal: u64,
    /// Rows expected.
    pub rows_expected: u64,
    /// Rows found in the tables compared.
    pub rows_compared: u64,
}

/// All data of the drill.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DataEvidence {
    /// Sums over `tables`.
    pub coverage: Coverage,
    /// Every table.
    pub tables: Vec<TableEvidence>,
    /// Large objects.
    pub large_objects: LargeObjectEvidence,
}

impl DataEvidence {
    /// The evidence with its coverage.
    pub fn new(tables: Vec<TableEvidence>, large_objects: LargeObjectEvidence) -> Self {
        let mut coverage = Coverage::default();
        for table in &tables {
            coverage.tables_expected += 1;
            coverage.rows_expected += table.rows_expected;
            coverage.tables_compared += u64::from(table.outcome != TableOutcome::Skipped);
            coverage.tables_equal += u64::from(table.outcome == TableOutcome::Equal);
            coverage.rows_compared += table.rows_actual.unwrap_or(0);
        }
        Self { coverage, tables, large_objects }
    }
}
