//! Rows and checksum of what a table holds now, comparable with what the dump counted.

use std::pin::pin;

use futures_util::TryStreamExt;
use lifeboat_archive::checksum::TableChecksum;
use lifeboat_core::{
    Result,
    ports::LoadStatement,
    rows::{RowDigest, sorted_order},
};

use super::{
    load::{self, Written},
    money,
};
use crate::{failure::database_error, quote, session::Session};

/// What kind of relation it is, and the condition under which an extension's configuration rows are in a dump.
pub(super) const HOW_TO_READ: &str = "
SELECT c.relkind::text,
       (SELECT e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)] FROM pg_catalog.pg_extension e
        WHERE c.oid = ANY (e.extconfig) LIMIT 1)
FROM pg_catalog.pg_class c WHERE c.oid = $1::text::pg_catalog.regclass";

pub(super) async fn of(session: &Session, statement: &LoadStatement, sort_columns: bool) -> Result<TableChecksum> {
    money::set(session, &statement.lc_monetary).await?;
    let written = load::parse(session, statement).await?;
    let doing = format!("read {}", written.target);
    let failed = |e: tokio_postgres::Error| database_error(&doing, &e);
    let row = session.query_one(HOW_TO_READ, &[&written.target]).await.map_err(failed)?;
    let sql = reading(&written, row.get(0), row.get::<_, Option<&str>>(1).unwrap_or(""), &statement.encoding);
    let mut digest = RowDigest::new(sort_columns.then(|| sorted_order(&written.names)));
    let stream = session.copy_out(sql.as_str()).await.map_err(failed)?;
    let mut stream = pin!(stream);
    while let Some(rows) = stream.try_next().await.map_err(failed)? {
        digest.push(&rows);
    }
    digest.finish().map(|(checksum, _)| checksum).map_err(|e| e.context(&doing))
}

/// A plain COPY where it can be; a query for partition roots, and for rows under an extension's condition.
fn reading(written: &Written, kind: &str, condition: &str, encoding: &str) -> String {
    let Written { target, columns, .. } = written;
    let columns = columns.join(", ");
    let options = format!("(ENCODING {})", quote::literal(encoding));
    if kind == "p" {
        format!("COPY (SELECT {columns} FROM {target}) TO STDOUT {options}")
    } else if condition.is_empty() {
        format!("COPY {target} {} TO STDOUT {options}", written.column_list())
    } else {
        format!("COPY (SELECT {columns} FROM ONLY {target} {condition}) TO STDOUT {options}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_and_conditions_need_a_query() {
        let columns = vec!["id".to_owned(), "\"B\"".to_owned()];
        let names = vec![b"id".to_vec(), b"B".to_vec()];
        let written = Written { target: "public.t".to_owned(), columns, names };
        assert_eq!(reading(&written, "r", "", "UTF8"), "COPY public.t (id, \"B\") TO STDOUT (ENCODING 'UTF8')");
        assert_eq!(
            reading(&written, "p", "", "LATIN1"),
            "COPY (SELECT id, \"B\" FROM public.t) TO STDOUT (ENCODING 'LATIN1')"
        );
        assert_eq!(
            reading(&written, "r", "WHERE own", "UTF8"),
            "COPY (SELECT id, \"B\" FROM ONLY public.t WHERE own) TO STDOUT (ENCODING 'UTF8')"
        );
    }
}
