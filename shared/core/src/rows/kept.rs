//! Bytes put aside until they are wanted: the first of them in memory, what is more in a file without a name.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
};

/// Bytes put aside in memory.
const IN_MEMORY: usize = 4 << 20;

/// Bytes read from the file at once.
const PIECE: usize = 64 << 10;

/// What is put aside, one byte behind the other.
pub(super) struct Kept {
    memory: Vec<u8>,
    most_in_memory: usize,
    /// Made when it is needed, in the system's folder for such files; gone with its handle, whatever happens.
    file: Option<File>,
    in_file: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self::of(IN_MEMORY)
    }
}

impl Kept {
    fn of(most_in_memory: usize) -> Self {
        Self { memory: Vec::new(), most_in_memory, file: None, in_file: 0 }
    }

    /// The place behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.memory.len() as u64 + self.in_file
    }

    /// Puts bytes behind the others.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fit = bytes.len().min(self.most_in_memory - self.memory.len());
        let (first, rest) = bytes.split_at(fit);
        self.memory.extend_from_slice(first);
        if rest.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.seek(SeekFrom::Start(self.in_file))?;
        file.write_all(rest)?;
        self.in_file += rest.len() as u64;
        Ok(())
    }

    /// Gives the bytes of a range, in pieces.
    pub(super) fn read(&mut self, range: Range<u64>, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let in_memory = self.memory.len() as u64;
        let place = |at: u64| usize::try_from(at.min(in_memory)).unwrap_or(usize::MAX);
        take(&self.memory[place(range.start)..place(range.end)]);
        let mut left = range.end.saturating_sub(range.start.max(in_memory));
        let Some(file) = self.file.as_mut().filter(|_| left > 0) else { return Ok(()) };
        file.seek(SeekFrom::Start(range.start.saturating_sub(in_memory)))?;
        let mut piece = vec![0; PIECE];
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            file.read_exact(&mut piece[..length])?;
            take(&piece[..length]);
            left -= length as u64;
        }
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.memory.clear();
        // Its blocks are given back, so that one long row does not hold them to the end.
        if self.in_file > 0 {
            self.file = None;
            self.in_file = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_aside_is_read_again_wherever_it_lies() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        for most_in_memory in [0, 1, 70_000, 1 << 20] {
            let mut kept = Kept::of(most_in_memory);
            for round in 0..2 {
                for part in bytes.chunks(30_001) {
                    kept.append(part).unwrap();
                }
                assert_eq!(kept.end(), bytes.len() as u64);
                for range in [0..200_000, 0..1, 69_999..70_001, 70_000..199_999, 5..5] {
                    let mut read = Vec::new();
                    kept.read(range.start as u64..range.end as u64, |piece| read.extend_from_slice(piece)).unwrap();
                    assert!(read == bytes[range.clone()], "{most_in_memory}, round {round}: {range:?}");
                }
                kept.clear();
                assert_eq!(kept.end(), 0);
            }
        }
    }
}
