//! Large objects: content in, and its digest out.

use lifeboat_core::{Error, ErrorKind, Result, ports::BlockSource};
use sha2::{Digest, Sha256};

use super::ledger;
use crate::{failure::database_error, session::Session};

/// Bytes per call of the server.
const PIECE: usize = 1 << 20;

/// The same as the server counts.
const PIECE_ASKED: i32 = 1 << 20;

/// `INV_WRITE` of libpq-fs.h.
const WRITE: i32 = 0x0002_0000;

/// Fills the object in one transaction.
pub(super) async fn load(
    session: &Session,
    oid: u32,
    content: &mut dyn BlockSource,
    entry: Option<&str>,
) -> Result<u64> {
    session.batch_execute("BEGIN").await.map_err(|e| database_error("begin a load", &e))?;
    match fill(session, oid, content).await {
        Ok(bytes) => {
            let commit = entry.map_or_else(|| "COMMIT".to_owned(), |what| format!("{}; COMMIT", ledger::entry(what)));
            session
                .batch_execute(&commit)
                .await
                .map_err(|e| database_error(&format!("commit large object {oid}"), &e))?;
            Ok(bytes)
        }
        Err(error) => {
            // The session may be gone, and the transaction with it.
            drop(session.batch_execute("ROLLBACK").await);
            Err(error)
        }
    }
}

async fn fill(session: &Session, oid: u32, content: &mut dyn BlockSource) -> Result<u64> {
    let doing = format!("fill large object {oid}");
    let failed = |e: tokio_postgres::Error| database_error(&doing, &e);
    let opened = session.query_one("SELECT pg_catalog.lo_open($1, $2)", &[&oid, &WRITE]).await.map_err(failed)?;
    let descriptor: i32 = opened.get(0);
    session.query_one("SELECT pg_catalog.lo_truncate64($1, 0)", &[&descriptor]).await.map_err(failed)?;
    let write = session.prepare("SELECT pg_catalog.lowrite($1, $2)").await.map_err(failed)?;
    let mut total = 0_u64;
    while let Some(block) = content.next_block().await? {
        for piece in block.chunks(PIECE) {
            let row = session.query_one(&write, &[&descriptor, &piece]).await.map_err(failed)?;
            let written: i32 = row.get(0);
            if usize::try_from(written).ok() != Some(piece.len()) {
                return Err(Error::new(
                    ErrorKind::Database,
                    format!("{doing}: the server took {written} of {} bytes", piece.len()),
                ));
            }
            total += piece.len() as u64;
        }
    }
    Ok(total)
}

/// Size and SHA-256; `None` where there is no such object.
pub(super) async fn digest(session: &Session, oid: u32) -> Result<Option<(u64, String)>> {
    let doing = format!("read large object {oid}");
    let failed = |e: tokio_postgres::Error| database_error(&doing, &e);
    let there = "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata WHERE oid = $1)";
    if !session.query_one(there, &[&oid]).await.map_err(failed)?.get::<_, bool>(0) {
        return Ok(None);
    }
    let read = session.prepare("SELECT pg_catalog.lo_get($1, $2, $3)").await.map_err(failed)?;
    let mut hash = Sha256::new();
    let mut total = 0_i64;
    loop {
        let row = session.query_one(&read, &[&oid, &total, &PIECE_ASKED]).await.map_err(failed)?;
        let piece: &[u8] = row.get(0);
        hash.update(piece);
        total += piece.len() as i64;
        if piece.len() < PIECE {
            return Ok(Some((total.unsigned_abs(), hex::encode(hash.finalize()))));
        }
    }
}
