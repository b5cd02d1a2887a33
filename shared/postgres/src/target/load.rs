//! Rows into a table: one COPY FROM, one transaction, committed only if the rows came to their end.

use lifeboat_archive::{
    copy_statement::{self, CopyStatement},
    names,
};
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{BlockSource, LoadStatement},
};

use super::{ledger, money, role};
use crate::{
    failure::{Failure, database_error},
    quote,
    wire::{WireError, WireSession},
};

/// What the server is told of a COPY whose rows cannot be had; nobody reads it but who looks into its log.
const NO_MORE_ROWS: &str = "the backup's rows could not be read to their end";

/// A COPY statement, its names in the words of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The table, qualified and quoted.
    pub(super) target: Vec<u8>,
    /// The columns, quoted.
    pub(super) columns: Vec<Vec<u8>>,
    /// `(a, b)`, or nothing for a table without columns.
    pub(super) column_list: Vec<u8>,
}

/// The archive's COPY statement. The server turns names of other encodings into UTF-8, which the session speaks; a database
/// without encoding takes them as they are.
pub(super) async fn parse(session: &mut WireSession, statement: &LoadStatement) -> Result<Written> {
    let LoadStatement { copy_stmt, encoding, .. } = statement;
    if copy_stmt.is_ascii() || encoding == "UTF8" || session.speaks_bytes() {
        return written(copy_stmt);
    }
    let doing = "read the names in a COPY statement";
    let failed = |e: WireError| database_error(doing, &e);
    let (hex, encoding) = (hex::encode(copy_stmt), quote::literal(encoding));
    let sql = format!(
        "SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.convert_from(\
         pg_catalog.decode('{hex}', 'hex'), {encoding}), 'UTF8'), 'hex')"
    );
    let row = session.query_one(sql).await.map_err(failed)?;
    let text = hex::decode(row.bytes(0).unwrap_or_default())
        .map_err(|_| failed(WireError::Protocol("what is no text of bytes".to_owned())))?;
    written(&text)
}

fn written(text: &[u8]) -> Result<Written> {
    let CopyStatement { target, columns, column_list } = copy_statement::parse(text)
        .map_err(|e| Error::new(ErrorKind::Corrupt, format!("a COPY statement of the archive: {e}")))?;
    Ok(Written { target, columns, column_list })
}

impl Written {
    /// The table as people read it.
    pub(super) fn shown(&self) -> String {
        names::text(&self.target).into_owned()
    }
}

pub(super) async fn copy_in(
    session: &mut WireSession,
    role: Option<&str>,
    statement: &LoadStatement,
    rows: &mut dyn BlockSource,
    entry: Option<&str>,
) -> Result<u64> {
    money::set(session, &statement.lc_monetary).await?;
    let written = parse(session, statement).await?;
    let options = format!(" FROM STDIN (ENCODING {})", quote::literal(&statement.encoding));
    let sql = [b"COPY ", &*written.target, b" ", &*written.column_list, options.as_bytes()].concat();
    let begin = if statement.disable_triggers { role::begin_without_triggers(role) } else { "BEGIN".to_owned() };
    session.execute(begin).await.map_err(|e| database_error("begin a load", &e))?;
    match stream(session, &sql, &written.shown(), rows).await {
        Ok(count) => {
            let commit = entry.map_or_else(|| "COMMIT".to_owned(), |what| format!("{}; COMMIT", ledger::entry(what)));
            let Err(error) = session.execute(commit).await else { return Ok(count) };
            let refused = error.sql_state().is_some();
            let error = database_error(&format!("commit {}", written.shown()), &error);
            if refused {
                drop(session.execute("ROLLBACK").await);
                return Err(error);
            }
            Err(error.with_hint("it is not known whether the rows were committed: restore into a new database"))
        }
        Err(error) => {
            // The session may be gone, and the transaction with it.
            drop(session.execute("ROLLBACK").await);
            Err(error)
        }
    }
}

async fn stream(session: &mut WireSession, sql: &[u8], target: &str, rows: &mut dyn BlockSource) -> Result<u64> {
    let doing = format!("copy into {target}");
    let failed = |e: WireError| database_error(&doing, &e);
    let mut copy = session.copy_in(sql).await.map_err(failed)?;
    loop {
        match rows.next_block().await {
            Ok(Some(block)) => copy.send(&block).await.map_err(failed)?,
            Ok(None) => return copy.finish().await.map_err(failed),
            Err(error) => {
                // What it answers adds nothing to why.
                drop(copy.fail(NO_MORE_ROWS).await);
                return Err(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_taken_apart_and_keeps_its_bytes() {
        let statement = written(b"COPY public.\"Or\"\"ders\" (id, \"a, \xe4\") FROM stdin;\n").unwrap();
        assert_eq!(statement.target, b"public.\"Or\"\"ders\"");
        assert_eq!(statement.column_list, b"(id, \"a, \xe4\")");
        assert_eq!(statement.columns, [&b"id"[..], b"\"a, \xe4\""]);
        assert_eq!(written(b"COPY public.\xe4  FROM stdin;\n").unwrap().shown(), r"public.\xe4");
        assert_eq!(written(b"DROP TABLE t").unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
