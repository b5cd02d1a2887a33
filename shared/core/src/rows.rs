//! Counts and hashes rows of COPY text as they stream by, over the columns in their order or sorted by name.

mod kept;
mod reordered;

use lifeboat_archive::checksum::{RowReader, TableChecksum};

use self::reordered::ReorderedRows;
use crate::{Error, ErrorKind, Result};

/// For each column of the result, the index of the column it comes from: columns sorted bytewise by name.
pub fn sorted_order(columns: &[Vec<u8>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|a, b| columns[*a].cmp(&columns[*b]));
    order
}

/// Rows and checksum of a stream of COPY text. Understands the archive's end marker. Takes a few MiB at most, however long
/// a row is.
pub struct RowDigest(Kind);

enum Kind {
    /// The columns as they come.
    AsWritten(Box<RowReader>),
    /// The columns in another order.
    Reordered(Box<ReorderedRows>),
}

impl RowDigest {
    /// A digest; `order` as [`sorted_order`] gives it.
    pub fn new(order: Option<Vec<usize>>) -> Self {
        Self(match order {
            Some(order) if !order.is_sorted() => Kind::Reordered(Box::new(ReorderedRows::new(order))),
            _ => Kind::AsWritten(Box::default()),
        })
    }

    /// Takes the next bytes, cut anywhere.
    pub fn push(&mut self, block: &[u8]) {
        match &mut self.0 {
            Kind::AsWritten(reader) => reader.push(block),
            Kind::Reordered(rows) => rows.push(block),
        }
    }

    /// Rows, checksum, and whether the archive's end marker was seen; an unfinished last row is `Corrupt`.
    pub fn finish(self) -> Result<(TableChecksum, bool)> {
        let reader = match self.0 {
            Kind::AsWritten(reader) => *reader,
            Kind::Reordered(rows) => rows.finish()?,
        };
        reader.finish().map_err(|e| Error::new(ErrorKind::Corrupt, e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reordered_rows_hash_like_rows_written_in_that_order() {
        let mut reordered = RowDigest::new(Some(sorted_order(&[b"b".to_vec(), b"a".to_vec()])));
        reordered.push(b"1\t2\n3");
        reordered.push(b"\t4\n\\.\n\n\n");
        let mut plain = RowDigest::new(None);
        plain.push(b"2\t1\n4\t3\n");
        let (checksum, ended) = reordered.finish().unwrap();
        assert!(ended);
        assert_eq!(checksum, plain.finish().unwrap().0);
    }

    #[test]
    fn data_that_end_in_a_row_or_go_on_behind_their_end_are_corrupt() {
        for order in [None, Some(vec![0]), Some(vec![1, 0])] {
            for data in [&b"1\t1\n2\t2"[..], b"1\t1\n2\t", b"1\t1\n2", b"1\t1\n\\", b"1\t1\n\\.\n\n2\t2\n"] {
                let mut digest = RowDigest::new(order.clone());
                digest.push(data);
                assert_eq!(digest.finish().unwrap_err().kind(), ErrorKind::Corrupt);
            }
        }
    }
}
