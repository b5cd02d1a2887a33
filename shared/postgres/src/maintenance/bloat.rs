//! How much space rows and index entries need, reckoned from the statistics about their columns.
//!
//! What a table or B-tree occupies beyond that is bloat. Layout after PostgreSQL's storage chapter: a page has a header
//! of 24 bytes, a row one of 23 and a bitmap of its nulls, an index entry one of 8; all begin at multiples of 8, and each
//! has a line pointer of 4 bytes. Deduplication of equal keys is left aside: the bloat of such an index comes out too
//! small rather than too large, so that none is built anew in vain.

/// One column of a table or index, with its statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Column {
    /// `attlen`: bytes, or negative where the length varies.
    pub(super) length: i16,
    /// `attalign`: `c`, `s`, `i` or `d`.
    pub(super) alignment: char,
    /// Part of the rows where it is null.
    pub(super) nulls: f32,
    /// Average bytes where it is not, as stored.
    pub(super) width: i32,
}

const PAGE_HEADER: u32 = 24;
const LINE_POINTER: u32 = 4;
const ROW_HEADER: usize = 23;
const ENTRY_HEADER: u32 = 8;
/// What a B-tree keeps at the end of each page.
const BTREE_SPECIAL: u32 = 16;
/// A value that varies in length has a header of one byte up to this length, and stands anywhere.
const SHORT: i32 = 127;

fn up(bytes: f64, to: u32) -> f64 {
    (bytes / f64::from(to)).ceil() * f64::from(to)
}

/// Average bytes of the values of one row, with the gaps between them.
fn values(columns: &[Column]) -> f64 {
    let mut at = 0.0_f64;
    // As long as every row is laid out alike, gaps are known; after that they are half of what they can be.
    let mut alike = true;
    for column in columns {
        let alignment = match column.alignment {
            'd' => 8,
            'i' => 4,
            's' => 2,
            _ => 1,
        };
        let short = column.length < 0 && column.width <= SHORT;
        let gap = match (short, alike) {
            (true, _) => 0.0,
            (false, true) => up(at, alignment) - at,
            (false, false) => f64::from(alignment - 1) / 2.0,
        };
        let there = 1.0 - f64::from(column.nulls.clamp(0.0, 1.0));
        at += there * (gap + f64::from(column.width));
        alike &= column.length >= 0 && column.nulls == 0.0;
    }
    at
}

/// Average bytes of a row with its header.
fn row(columns: &[Column]) -> f64 {
    let bitmap = if columns.iter().any(|c| c.nulls > 0.0) { columns.len().div_ceil(8) } else { 0 };
    let header = u32::try_from(ROW_HEADER + bitmap).unwrap_or(u32::MAX).next_multiple_of(8);
    f64::from(header) + up(values(columns), 8)
}

/// Average bytes of an index entry with its header.
fn entry(columns: &[Column]) -> f64 {
    let bitmap = if columns.iter().any(|c| c.nulls > 0.0) { 8 } else { 0 };
    f64::from(ENTRY_HEADER + bitmap) + up(values(columns), 8)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pages of one relation, never negative")]
fn bytes(pages: f64, page: u32) -> u64 {
    pages.max(0.0) as u64 * u64::from(page)
}

/// Bytes that a table needs for so many rows on pages filled to `fillfactor` percent.
pub(super) fn table_needs(columns: &[Column], rows: f64, fillfactor: u32, page: u32) -> u64 {
    let usable = f64::from(page - PAGE_HEADER) * f64::from(fillfactor) / 100.0;
    let per_page = (usable / (row(columns) + f64::from(LINE_POINTER))).floor().max(1.0);
    bytes((rows / per_page).ceil(), page)
}

/// Bytes that a B-tree needs for so many entries on leaves filled to `fillfactor` percent.
pub(super) fn btree_needs(columns: &[Column], entries: f64, fillfactor: u32, page: u32) -> u64 {
    let one = entry(columns) + f64::from(LINE_POINTER);
    // Every page but the last of its level holds the next page's first key too.
    let whole = f64::from(page - PAGE_HEADER - BTREE_SPECIAL) - one;
    let per_leaf = (whole * f64::from(fillfactor) / 100.0 / one).floor().max(1.0);
    let per_inner = (whole * 0.7 / one).floor().max(2.0);
    // The first page tells where the root is.
    let mut pages = 1.0;
    let mut level = (entries / per_leaf).ceil().max(1.0);
    loop {
        pages += level;
        if level <= 1.0 {
            return bytes(pages, page);
        }
        level = (level / per_inner).ceil();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixed(length: i16, alignment: char) -> Column {
        Column { length, alignment, nulls: 0.0, width: i32::from(length) }
    }

    fn is(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn rows_have_headers_and_gaps() {
        // int4, int8: four bytes of gap.
        assert!(is(values(&[fixed(4, 'i'), fixed(8, 'd')]), 16.0));
        assert!(is(row(&[fixed(4, 'i')]), 32.0));
        let nullable = Column { nulls: 0.5, ..fixed(4, 'i') };
        assert!(is(row(&[nullable]), 32.0));
        // So many rows of one int4 fit a page: (8192 - 24) / 36 = 226.
        assert_eq!(table_needs(&[fixed(4, 'i')], 226.0, 100, 8192), 8192);
        assert_eq!(table_needs(&[fixed(4, 'i')], 227.0, 100, 8192), 16384);
        // pgbench_accounts: 97 bytes of values and 61 rows a page, as pgbench itself fills them.
        let accounts =
            [fixed(4, 'i'), fixed(4, 'i'), fixed(4, 'i'), Column { length: -1, alignment: 'i', nulls: 0.0, width: 85 }];
        assert_eq!(table_needs(&accounts, 100_000.0, 100, 8192), 1640 * 8192);
        // Its primary key has 276 pages when it is new.
        assert_eq!(btree_needs(&[fixed(4, 'i')], 100_000.0, 90, 8192) / 8192, 276);
    }

    proptest! {
        #[test]
        fn more_rows_never_need_less(rows in 0.0_f64..1e9, more in 0.0_f64..1e6, width in 1_i32..2000, fill in 10_u32..=100) {
            let columns = [Column { length: -1, alignment: 'i', nulls: 0.1, width }];
            for needs in [table_needs, btree_needs] {
                prop_assert!(needs(&columns, rows, fill, 8192) <= needs(&columns, rows + more, fill, 8192));
            }
            prop_assert!(table_needs(&columns, rows, 100, 8192) <= table_needs(&columns, rows, fill, 8192));
        }
    }
}
