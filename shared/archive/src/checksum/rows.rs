//! Splits a table's data file into rows and sums them up, in bounded memory whatever the size of a row.

use memchr::memchr;
use xxhash_rust::xxh3::Xxh3;

use super::TableChecksum;
use crate::data_file::END_LINE;

/// Reads COPY text in blocks of any size, and understands the end of a data file: after a line `\.` nothing but newlines
/// may follow.
pub struct RowReader {
    checksum: TableChecksum,
    /// Hash of a row's beginning that lay in earlier blocks.
    hasher: Box<Xxh3>,
    /// Bytes of that beginning.
    pending: u64,
    /// Whether that beginning equals the same part of the end-of-data line.
    may_be_end: bool,
    ended: bool,
    after_end: bool,
}

/// Why the bytes read are not a table's data.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowsError {
    /// The data end inside a row.
    #[error("data end in the middle of row {row}")]
    UnterminatedRow {
        /// Counted from 1.
        row: u64,
    },
    /// Something other than newlines follows the end-of-data line.
    #[error("data continue after their end, after row {rows}")]
    AfterEnd {
        /// Rows before the end-of-data line.
        rows: u64,
    },
}

impl Default for RowReader {
    fn default() -> Self {
        Self::new()
    }
}

impl RowReader {
    /// A reader that stands before the first row.
    pub fn new() -> Self {
        Self {
            checksum: TableChecksum::default(),
            hasher: Box::new(Xxh3::new()),
            pending: 0,
            may_be_end: true,
            ended: false,
            after_end: false,
        }
    }

    /// Reads on. What is wrong with the data is said by [`finish`](Self::finish).
    pub fn push(&mut self, block: &[u8]) {
        let mut rest = block;
        while !self.ended {
            let Some(end) = memchr(b'\n', rest) else {
                self.begin_row(rest);
                return;
            };
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            if self.pending == 0 {
                if line == END_LINE {
                    self.ended = true;
                } else {
                    self.checksum.add_row(line);
                }
            } else {
                self.end_row(line);
            }
            rest = behind;
        }
        self.after_end |= rest.iter().any(|&byte| byte != b'\n');
    }

    /// Rows read completely so far.
    pub const fn checksum(&self) -> TableChecksum {
        self.checksum
    }

    /// The checksum, and whether the end-of-data line was there (of a table's chunks only the last one has it).
    pub fn finish(self) -> Result<(TableChecksum, bool), RowsError> {
        if self.after_end {
            Err(RowsError::AfterEnd { rows: self.checksum.rows })
        } else if self.pending > 0 {
            Err(RowsError::UnterminatedRow { row: self.checksum.rows + 1 })
        } else {
            Ok((self.checksum, self.ended))
        }
    }

    /// Takes a part of a row whose newline is not there yet.
    fn begin_row(&mut self, part: &[u8]) {
        if part.is_empty() {
            return;
        }
        let matched = usize::try_from(self.pending).unwrap_or(usize::MAX);
        self.may_be_end &= END_LINE.get(matched..).is_some_and(|expected| expected.starts_with(part));
        self.pending += part.len() as u64;
        self.hasher.update(part);
    }

    /// Takes the last part of a row that began in an earlier block.
    fn end_row(&mut self, part: &[u8]) {
        self.begin_row(part);
        if self.may_be_end && self.pending == END_LINE.len() as u64 {
            self.ended = true;
        } else {
            self.checksum.add_hash(self.hasher.digest128());
        }
        self.hasher.reset();
        self.pending = 0;
        self.may_be_end = true;
    }
}
