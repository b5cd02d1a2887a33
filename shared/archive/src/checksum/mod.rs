//! The checksum of a table: what two copies of its rows must agree in, in whatever order they come.

mod rows;

use std::{fmt, str::FromStr};

pub use rows::{RowReader, RowsError};
use xxhash_rust::xxh3::xxh3_128;

/// Row count and the sum modulo 2^128 of XXH3-128 of each row's COPY text, without the newline.
///
/// It does not depend on the order of rows, and checksums of parts of a table merge into that of the whole. A sum, not an
/// exclusive or: with that, two equal rows would cancel each other out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct TableChecksum {
    /// Number of rows.
    pub rows: u64,
    /// Sum of the rows' hashes modulo 2^128.
    pub sum: u128,
}

impl TableChecksum {
    /// Counts one row, given as its COPY text without the newline.
    #[inline]
    pub fn add_row(&mut self, row: &[u8]) {
        self.add_hash(xxh3_128(row));
    }

    /// Counts all rows of another part of the table.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// The sum as 32 lowercase hexadecimal digits.
    pub fn sum_hex(&self) -> String {
        SumHex(self.sum).to_string()
    }

    #[inline]
    fn add_hash(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }
}

/// A checksum's sum in its text form: 32 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct SumHex(pub u128);

impl fmt::Display for SumHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The text is not 32 lowercase hexadecimal digits.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("\"{0}\" is no checksum: 32 lowercase hexadecimal digits are expected")]
pub struct ParseSumError(pub String);

impl FromStr for SumHex {
    type Err = ParseSumError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16)
            .ok()
            .map(Self)
            .filter(|sum| sum.to_string() == text)
            .ok_or_else(|| ParseSumError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&str]) -> TableChecksum {
        let mut checksum = TableChecksum::default();
        for row in rows {
            checksum.add_row(row.as_bytes());
        }
        checksum
    }

    #[test]
    fn the_hash_is_xxh3_128_as_published() {
        // XXH3_128bits of no bytes with seed 0, from the xxHash specification's reference implementation.
        assert_eq!(of(&[""]).sum_hex(), "99aa06d3014798d86001c324468d497f");
        assert_eq!(of(&[]).sum_hex(), "0".repeat(32));
    }

    #[test]
    fn order_does_not_matter_and_parts_merge() {
        let mut merged = of(&["3\tc", "1\ta"]);
        merged.merge(of(&["2\tb"]));
        assert_eq!(merged, of(&["1\ta", "2\tb", "3\tc"]));
    }

    #[test]
    fn rows_that_are_lost_doubled_or_changed_show() {
        let whole = of(&["a", "b", "b"]);
        for other in [of(&["a", "b"]), of(&["a", "a", "b"]), of(&["a", "bb", ""]), of(&["a", "c", "c"])] {
            assert_ne!(whole, other);
        }
        assert_ne!(of(&["a", "b", "b"]).sum, of(&["a", "c", "c"]).sum);
    }

    #[test]
    fn the_text_form_is_parsed_back_and_other_texts_are_refused() {
        for sum in [0, 1, u128::MAX] {
            assert_eq!(SumHex(sum).to_string().parse(), Ok(SumHex(sum)));
        }
        for text in ["", "0", &"F".repeat(32), &"0".repeat(33), &format!("+{}", "0".repeat(31)), &"g".repeat(32)] {
            assert_eq!(text.parse::<SumHex>(), Err(ParseSumError(text.to_owned())));
        }
    }
}
