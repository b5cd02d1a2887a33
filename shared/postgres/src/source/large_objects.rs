//! Large objects, read from pg_largeobject at the snapshot: works for a role with pg_read_all_data, where lo_get does not.

use lifeboat_core::{Error, ErrorKind, Result, ports::BlockSink};

use super::{locks, statements};
use crate::wire::{WireError, WireSession};

/// Bytes of a page of a large object (LOBLKSIZE with the default block size of 8 KiB).
const PAGE: u64 = 2048;

/// Bytes are handed on in blocks of this size.
const BLOCK: usize = 256 << 10;

/// OIDs, ascending, each with the bytes of its pages.
pub(super) async fn list(session: &mut WireSession) -> Result<Vec<(u32, u64)>> {
    let failure = |e: WireError| locks::failed("list large objects", &e);
    let rows = session.query(statements::LARGE_OBJECTS).await.map_err(failure)?;
    let listed = rows.iter().map(|row| Ok((row.number(0)?, row.number::<u64>(1)?.saturating_mul(PAGE))));
    listed.collect::<std::result::Result<Vec<_>, _>>().map_err(failure)
}

/// One large object's bytes; pages that do not exist are zeros, as lo_read gives them.
pub(super) async fn copy(session: &mut WireSession, oid: u32, sink: &mut dyn BlockSink) -> Result<u64> {
    let doing = format!("read large object {oid}");
    let failure = |e: WireError| locks::failed(&doing, &e);
    let odd = |what: &str| Error::new(ErrorKind::Database, format!("{doing}: {what}"));
    let mut copy = session.copy_out(statements::large_object_pages(oid)).await.map_err(failure)?;
    let mut pages = Pages::default();
    let mut written: u64 = 0;
    let mut content = Vec::with_capacity(BLOCK);
    while let Some(block) = copy.next_block().await.map_err(failure)? {
        pages.push(block);
        while let Some((page, data)) = pages.next().map_err(odd)? {
            let start = u64::from(page) * PAGE;
            if start < written || data.len() as u64 > PAGE {
                return Err(odd(&format!("page {page} overlaps the one before")));
            }
            while written < start {
                let zeros = usize::try_from(start - written).unwrap_or(BLOCK).min(BLOCK - content.len());
                content.resize(content.len() + zeros, 0);
                written += zeros as u64;
                flush(&mut content, BLOCK, sink).await?;
            }
            content.extend_from_slice(data);
            written += data.len() as u64;
            flush(&mut content, BLOCK, sink).await?;
        }
    }
    if !pages.ended {
        return Err(odd("its pages have no end"));
    }
    flush(&mut content, 1, sink).await?;
    Ok(written)
}

async fn flush(content: &mut Vec<u8>, least: usize, sink: &mut dyn BlockSink) -> Result<()> {
    if content.len() >= least {
        sink.block(content).await?;
        content.clear();
    }
    Ok(())
}

/// Reads pages out of COPY's binary format (PostgreSQL's documentation of COPY, "Binary Format").
#[derive(Default)]
struct Pages {
    pending: Vec<u8>,
    /// What of it is read.
    at: usize,
    begun: bool,
    ended: bool,
}

/// What a binary COPY begins with, then come flags and the length of an extension, both zero.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

impl Pages {
    fn push(&mut self, block: &[u8]) {
        self.pending.drain(..self.at);
        self.at = 0;
        self.pending.extend_from_slice(block);
    }

    /// The next page's number and bytes, if all of it is there.
    fn next(&mut self) -> Result<Option<(u32, &[u8])>, &'static str> {
        let mut rest = self.pending.get(self.at..).unwrap_or_default();
        if !self.begun {
            if rest.len() < SIGNATURE.len() {
                return Ok(None);
            }
            rest = rest.strip_prefix(SIGNATURE).ok_or("it does not begin as a binary COPY")?;
            self.at += SIGNATURE.len();
            self.begun = true;
        }
        if self.ended {
            return if rest.is_empty() { Ok(None) } else { Err("there is more behind its end") };
        }
        // Fields, then length and number of the page, then length and bytes of the data.
        let (head, behind) = match rest {
            [0, 2, 0, 0, 0, 4, head @ ..] => match head.split_first_chunk::<8>() {
                Some(split) => split,
                None => return Ok(None),
            },
            [0xff, 0xff, ..] => {
                self.at += 2;
                self.ended = true;
                return self.next();
            }
            short if short.len() < 6 => return Ok(None),
            _ => return Err("a page is not as it should be"),
        };
        let page = head.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let length = head.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let length = usize::try_from(length).ok().filter(|l| *l as u64 <= PAGE).ok_or("a page is too long")?;
        if behind.len() < length {
            return Ok(None);
        }
        self.at += 14 + length;
        Ok(Some((page, &self.pending[self.at - length..self.at])))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn binary(pages: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        for (page, data) in pages {
            bytes.extend([0, 2, 0, 0, 0, 4]);
            bytes.extend(page.to_be_bytes());
            bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            bytes.extend(data);
        }
        [&*bytes, b"\xff\xff"].concat()
    }

    proptest! {
        #[test]
        fn pages_are_the_same_in_any_split(
            pages in vec((any::<u32>(), vec(any::<u8>(), 0..60)), 0..8), size in 1_usize..40
        ) {
            let mut reader = Pages::default();
            let mut found = Vec::new();
            for block in binary(&pages).chunks(size) {
                reader.push(block);
                while let Some((page, data)) = reader.next().unwrap() {
                    found.push((page, data.to_vec()));
                }
            }
            prop_assert_eq!(found, pages);
            prop_assert!(reader.ended);
        }

        #[test]
        fn any_other_bytes_are_refused_or_waited_on(bytes in vec(any::<u8>(), 0..200), begun: bool) {
            let mut reader = Pages { begun, ..Pages::default() };
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.next() {}
        }
    }
}
