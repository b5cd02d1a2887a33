//! Large objects, read from pg_largeobject at the snapshot: works for a role with pg_read_all_data, where lo_get does not.

use lifeboat_core::{Error, ErrorKind, Result, ports::BlockSink};

use super::{locks::failed, statements};
use crate::session::Session;

/// Bytes of a page of a large object (LOBLKSIZE with the default block size of 8 KiB).
const PAGE: u64 = 2048;

/// OIDs, ascending.
pub(super) async fn list(session: &Session) -> Result<Vec<u32>> {
    let rows = session.query(statements::LARGE_OBJECTS, &[]).await.map_err(|e| failed("list large objects", &e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// One large object's bytes; pages that do not exist are zeros, as lo_read gives them.
pub(super) async fn copy(session: &Session, oid: u32, sink: &mut dyn BlockSink) -> Result<u64> {
    let doing = format!("read large object {oid}");
    let mut written: u64 = 0;
    let mut next_page: i32 = 0;
    let mut block = Vec::with_capacity(1 << 19);
    loop {
        let rows =
            session.query(statements::LARGE_OBJECT_PAGES, &[&oid, &next_page]).await.map_err(|e| failed(&doing, &e))?;
        for row in &rows {
            let page: i32 = row.get(0);
            let data: &[u8] = row.get(1);
            let start = u64::try_from(page).unwrap_or(0) * PAGE;
            if start < written || data.len() as u64 > PAGE {
                return Err(Error::new(ErrorKind::Database, format!("{doing}: page {page} overlaps the one before")));
            }
            while written < start {
                let zeros = usize::try_from((start - written).min(1 << 18)).unwrap_or(0);
                block.resize(block.len() + zeros, 0);
                written += zeros as u64;
                flush(&mut block, sink).await?;
            }
            block.extend_from_slice(data);
            written += data.len() as u64;
            flush(&mut block, sink).await?;
            next_page = page + 1;
        }
        if rows.len() < 256 {
            break;
        }
    }
    if !block.is_empty() {
        sink.block(&block).await?;
    }
    Ok(written)
}

async fn flush(block: &mut Vec<u8>, sink: &mut dyn BlockSink) -> Result<()> {
    if block.len() >= 1 << 18 {
        sink.block(block).await?;
        block.clear();
    }
    Ok(())
}
