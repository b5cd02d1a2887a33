//! Rows with their columns in another order than they come in, of which no more is kept than what comes too early.

use std::{io, ops::Range};

use lifeboat_archive::{
    checksum::{RowReader, RowsError},
    data_file::END_LINE,
};

use super::kept::Kept;
use crate::{Error, ErrorKind, Result};

/// Hands rows on to a reader as if they had been written in the other order.
pub(super) struct ReorderedRows {
    /// For each column of the hashed row, its index in the data.
    order: Vec<usize>,
    reader: RowReader,
    /// A row that came whole, in the other order; reused.
    scratch: Vec<u8>,
    row: Row,
    kept: Kept,
    /// Whether the end marker was seen.
    ended: bool,
    /// Why nothing more can be put aside; said at the end.
    failure: Option<io::Error>,
}

/// What has come of a row that comes in parts.
#[derive(Default)]
struct Row {
    /// Its first bytes, until it is clear that they are not the end marker.
    held_back: Vec<u8>,
    /// Whether that is clear.
    begun: bool,
    /// The index in the data of the field that comes.
    field: usize,
    /// How many fields of the other order the reader has whole.
    handed_on: usize,
    /// Where the fields that have come whole are kept, by their indexes; nowhere, if the reader has them.
    whole: Vec<Range<u64>>,
}

impl ReorderedRows {
    pub(super) fn new(order: Vec<usize>) -> Self {
        let (reader, scratch, row, kept) = (RowReader::new(), Vec::new(), Row::default(), Kept::default());
        Self { order, reader, scratch, row, kept, ended: false, failure: None }
    }

    pub(super) fn push(&mut self, block: &[u8]) {
        if let Err(failure) = self.take(block) {
            self.failure = Some(failure);
        }
    }

    pub(super) fn finish(self) -> Result<RowReader> {
        if let Some(failure) = self.failure {
            return Err(Error::new(ErrorKind::Unexpected, format!("put a part of a long row aside: {failure}"))
                .with_hint("free space in the folder for temporary files (TMPDIR, or else /tmp)"));
        }
        if self.row.begun || !self.row.held_back.is_empty() {
            let row = self.reader.checksum().rows + 1;
            return Err(Error::new(ErrorKind::Corrupt, RowsError::UnterminatedRow { row }.to_string()));
        }
        Ok(self.reader)
    }

    fn take(&mut self, block: &[u8]) -> io::Result<()> {
        let mut rest = block;
        while !self.ended && self.failure.is_none() {
            let Some(end) = memchr::memchr(b'\n', rest) else { return self.part(rest) };
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            if self.row.begun {
                self.part(line)?;
                self.end_row()?;
            } else if self.row.held_back.is_empty() {
                self.whole_row(line);
            } else {
                let line = [&*std::mem::take(&mut self.row.held_back), line].concat();
                self.whole_row(&line);
            }
            rest = behind;
        }
        // What stands behind the end is for the reader to judge.
        if self.ended {
            self.reader.push(rest);
        }
        Ok(())
    }

    fn whole_row(&mut self, row: &[u8]) {
        self.scratch.clear();
        if row == END_LINE {
            self.ended = true;
            self.scratch.extend_from_slice(row);
        } else {
            let fields: Vec<&[u8]> = row.split(|byte| *byte == b'\t').collect();
            for (position, index) in self.order.iter().enumerate() {
                if position > 0 {
                    self.scratch.push(b'\t');
                }
                self.scratch.extend_from_slice(fields.get(*index).copied().unwrap_or_default());
            }
        }
        self.scratch.push(b'\n');
        self.reader.push(&self.scratch);
    }

    /// Takes bytes of a row whose end has not come.
    fn part(&mut self, part: &[u8]) -> io::Result<()> {
        if !self.row.begun {
            if self.row.held_back.len() + part.len() <= END_LINE.len() {
                self.row.held_back.extend_from_slice(part);
                return Ok(());
            }
            self.row.begun = true;
            let held_back = std::mem::take(&mut self.row.held_back);
            self.fields(&held_back)?;
        }
        self.fields(part)
    }

    fn fields(&mut self, part: &[u8]) -> io::Result<()> {
        let mut rest = part;
        while let Some(tab) = memchr::memchr(b'\t', rest) {
            self.field(&rest[..tab])?;
            self.end_field()?;
            rest = &rest[tab + 1..];
        }
        self.field(rest)
    }

    /// Takes bytes of a field. One that is not among the columns is passed over.
    fn field(&mut self, part: &[u8]) -> io::Result<()> {
        if self.order.get(self.row.handed_on) == Some(&self.row.field) {
            self.reader.push(part);
        } else if self.row.field < self.order.len() {
            self.kept.append(part)?;
        }
        Ok(())
    }

    fn end_field(&mut self) -> io::Result<()> {
        let start = self.row.whole.last().map_or(0, |field| field.end);
        self.row.whole.push(start..self.kept.end());
        if self.order.get(self.row.handed_on) == Some(&self.row.field) {
            self.handed_on();
        }
        self.row.field += 1;
        while let Some(field) = self.order.get(self.row.handed_on).and_then(|index| self.row.whole.get(*index)) {
            self.kept.read(field.clone(), |piece| self.reader.push(piece))?;
            self.handed_on();
        }
        Ok(())
    }

    fn handed_on(&mut self) {
        self.row.handed_on += 1;
        if self.row.handed_on < self.order.len() {
            self.reader.push(b"\t");
        }
    }

    /// Fields that did not come are empty.
    fn end_row(&mut self) -> io::Result<()> {
        self.end_field()?;
        while self.row.handed_on < self.order.len() {
            if let Some(field) = self.row.whole.get(self.order[self.row.handed_on]) {
                self.kept.read(field.clone(), |piece| self.reader.push(piece))?;
            }
            self.handed_on();
        }
        self.reader.push(b"\n");
        self.kept.clear();
        let mut whole = std::mem::take(&mut self.row.whole);
        whole.clear();
        self.row = Row { whole, ..Row::default() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_archive::checksum::TableChecksum;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::rows::RowDigest;

    /// All at once: how sums were made before rows came in parts.
    fn naive(order: &[usize], rows: &[Vec<Vec<u8>>]) -> TableChecksum {
        let mut checksum = TableChecksum::default();
        for row in rows {
            let fields: Vec<&[u8]> = order.iter().map(|index| row.get(*index).map_or(&b""[..], |f| f)).collect();
            checksum.add_row(&fields.join(&b'\t'));
        }
        checksum
    }

    fn field() -> impl Strategy<Value = Vec<u8>> {
        let bytes = any::<u8>().prop_map(|byte| if matches!(byte, b'\t' | b'\n') { b'.' } else { byte });
        prop_oneof![3 => vec(bytes, 0..12), 1 => Just(b"\\N".to_vec()), 1 => Just(b"\\\\.".to_vec()), 1 => Just(Vec::new())]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn rows_in_any_pieces_have_the_sums_of_whole_rows(
            order in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(),
            columns in 2_usize..6,
            rows in vec(vec(field(), 2..6), 0..8),
            piece in 1_usize..40,
            marker in any::<bool>(),
        ) {
            let order: Vec<usize> = order.into_iter().filter(|index| *index < columns).collect();
            let mut bytes: Vec<u8> = rows.iter().flat_map(|row| [&*row.join(&b'\t'), b"\n"].concat()).collect();
            if marker {
                bytes.extend_from_slice(lifeboat_archive::data_file::END);
            }
            let mut rows_read = ReorderedRows::new(order.clone());
            bytes.chunks(piece).for_each(|part| rows_read.push(part));
            let outcome = rows_read.finish().unwrap().finish().unwrap();
            prop_assert_eq!(outcome, (naive(&order, &rows), marker));
        }
    }

    #[test]
    fn a_row_longer_than_what_memory_keeps_has_the_sum_of_the_whole_row() {
        let long = vec![b'x'; 9 << 20];
        let rows = [vec![b"1".to_vec(), long.clone(), b"c".to_vec(), long, b"e".to_vec()]];
        let row = [&*rows[0].join(&b'\t'), b"\n"].concat();
        for order in [[4, 3, 2, 1, 0], [1, 0, 2, 4, 3], [2, 3, 1, 0, 4]] {
            let mut digest = RowDigest::new(Some(order.to_vec()));
            for _ in 0..2 {
                row.chunks(256 << 10).for_each(|part| digest.push(part));
            }
            let both = [rows[0].clone(), rows[0].clone()];
            assert_eq!(digest.finish().unwrap(), (naive(&order, &both), false));
        }
    }
}
