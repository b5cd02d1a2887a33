//! Rows into a table: one COPY FROM, one transaction, committed only if the rows came to their end.

use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt;
use lifeboat_archive::copy_statement::{self, CopyStatement};
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{BlockSource, LoadStatement},
};

use super::{money, role};
use crate::{failure::database_error, quote, session::Session};

/// The archive's COPY statement as text; the server turns names of other encodings into UTF-8.
pub(super) async fn parse(session: &Session, statement: &LoadStatement) -> Result<Written> {
    let text = if statement.copy_stmt.is_ascii() || statement.encoding == "UTF8" {
        statement.copy_stmt.clone()
    } else {
        let row = session
            .query_one(
                "SELECT pg_catalog.convert_to(pg_catalog.convert_from($1, $2::text::name), 'UTF8')",
                &[&statement.copy_stmt, &statement.encoding],
            )
            .await
            .map_err(|e| database_error("read the names in a COPY statement", &e))?;
        row.get(0)
    };
    written(&text)
}

/// A COPY statement, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The table, qualified and quoted.
    pub(super) target: String,
    /// The columns, quoted.
    pub(super) columns: Vec<String>,
    /// The columns' names, not quoted.
    pub(super) names: Vec<Vec<u8>>,
}

fn written(text: &[u8]) -> Result<Written> {
    let odd = |what: String| Error::new(ErrorKind::Corrupt, format!("a COPY statement of the archive: {what}"));
    let CopyStatement { target, columns, .. } = copy_statement::parse(text).map_err(|e| odd(e.to_string()))?;
    let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|e| odd(e.to_string()));
    Ok(Written {
        target: text_of(target)?,
        names: columns.iter().map(|c| quote::unquote(c)).collect(),
        columns: columns.into_iter().map(text_of).collect::<Result<_>>()?,
    })
}

impl Written {
    /// `(a, b)`, or nothing for a table without columns.
    pub(super) fn column_list(&self) -> String {
        if self.columns.is_empty() { String::new() } else { format!("({})", self.columns.join(", ")) }
    }
}

pub(super) async fn copy_in(
    session: &Session,
    role: Option<&str>,
    statement: &LoadStatement,
    rows: &mut dyn BlockSource,
) -> Result<u64> {
    money::set(session, &statement.lc_monetary).await?;
    let written = parse(session, statement).await?;
    let sql = format!(
        "COPY {} {} FROM STDIN (ENCODING {})",
        written.target,
        written.column_list(),
        quote::literal(&statement.encoding)
    );
    let begin = if statement.disable_triggers { role::begin_without_triggers(role) } else { "BEGIN".to_owned() };
    session.batch_execute(&begin).await.map_err(|e| database_error("begin a load", &e))?;
    match stream(session, &sql, &written.target, rows).await {
        Ok(count) => {
            session.batch_execute("COMMIT").await.map_err(|e| {
                database_error(&format!("commit {}", written.target), &e)
                    .with_hint("it is not known whether the rows were committed: restore into a new database")
            })?;
            Ok(count)
        }
        Err(error) => {
            // The session may be gone, and the transaction with it.
            drop(session.batch_execute("ROLLBACK").await);
            Err(error)
        }
    }
}

async fn stream(session: &Session, sql: &str, target: &str, rows: &mut dyn BlockSource) -> Result<u64> {
    let doing = format!("copy into {target}");
    let failed = |e: tokio_postgres::Error| database_error(&doing, &e);
    let sink = session.copy_in::<_, Bytes>(sql).await.map_err(failed)?;
    let mut sink = pin!(sink);
    loop {
        match rows.next_block().await? {
            Some(block) => {
                if let Err(error) = sink.send(block).await {
                    // What the server has to say of it comes with the end of the COPY.
                    return Err(failed(sink.finish().await.err().unwrap_or(error)));
                }
            }
            None => return sink.finish().await.map_err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_taken_apart_and_keeps_its_quoting() {
        let statement = written(b"COPY public.\"Or\"\"ders\" (id, \"a, b\") FROM stdin;\n").unwrap();
        assert_eq!(statement.target, "public.\"Or\"\"ders\"");
        assert_eq!(statement.column_list(), "(id, \"a, b\")");
        assert_eq!(statement.names, [&b"id"[..], b"a, b"]);
        assert_eq!(written(b"COPY public.t  FROM stdin;\n").unwrap().column_list(), "");
        assert_eq!(written(b"DROP TABLE t").unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
