//! Counts and hashes rows of COPY text as they stream by, over the columns in their order or sorted by name.

use lifeboat_archive::checksum::{RowReader, TableChecksum};

use crate::{Error, ErrorKind, Result};

/// For each column of the result, the index of the column it comes from: columns sorted bytewise by name.
pub fn sorted_order(columns: &[Vec<u8>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|a, b| columns[*a].cmp(&columns[*b]));
    order
}

/// Rows and checksum of a stream of COPY text. Understands the archive's end marker.
pub enum RowDigest {
    /// The columns as they come.
    AsWritten(Box<RowReader>),
    /// The columns in another order: each row is held whole.
    Reordered {
        /// For each column of the hashed row, its index in the data.
        order: Vec<usize>,
        /// The row that has not ended yet.
        row: Vec<u8>,
        /// So far.
        checksum: TableChecksum,
        /// Whether the end marker was seen.
        ended: bool,
        /// The reordered row, reused.
        scratch: Vec<u8>,
    },
}

impl RowDigest {
    /// A digest; `order` as [`sorted_order`] gives it.
    pub fn new(order: Option<Vec<usize>>) -> Self {
        match order {
            None => Self::AsWritten(Box::default()),
            Some(order) => Self::Reordered {
                order,
                row: Vec::new(),
                checksum: TableChecksum::default(),
                ended: false,
                scratch: Vec::new(),
            },
        }
    }

    /// Takes the next bytes, cut anywhere.
    pub fn push(&mut self, block: &[u8]) {
        match self {
            Self::AsWritten(reader) => reader.push(block),
            Self::Reordered { order, row, checksum, ended, scratch } => {
                let mut rest = block;
                while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                    row.extend_from_slice(&rest[..end]);
                    rest = &rest[end + 1..];
                    if row == b"\\." {
                        *ended = true;
                    } else if !*ended {
                        let fields: Vec<&[u8]> = row.split(|b| *b == b'\t').collect();
                        scratch.clear();
                        for (position, index) in order.iter().enumerate() {
                            if position > 0 {
                                scratch.push(b'\t');
                            }
                            scratch.extend_from_slice(fields.get(*index).copied().unwrap_or_default());
                        }
                        checksum.add_row(scratch);
                    }
                    row.clear();
                }
                row.extend_from_slice(rest);
            }
        }
    }

    /// Rows, checksum, and whether the archive's end marker was seen; an unfinished last row is `Corrupt`.
    pub fn finish(self) -> Result<(TableChecksum, bool)> {
        match self {
            Self::AsWritten(reader) => reader.finish().map_err(|e| Error::new(ErrorKind::Corrupt, e.to_string())),
            Self::Reordered { row, checksum, ended, .. } if row.is_empty() => Ok((checksum, ended)),
            Self::Reordered { .. } => Err(Error::new(ErrorKind::Corrupt, "the data end in the middle of a row")),
        }
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
    fn data_that_end_in_a_row_are_corrupt() {
        for order in [None, Some(vec![0])] {
            let mut digest = RowDigest::new(order);
            digest.push(b"1\n2");
            assert_eq!(digest.finish().unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
