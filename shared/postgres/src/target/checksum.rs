//! Rows and checksum of what a table holds now, comparable with what the dump counted.

use lifeboat_archive::checksum::TableChecksum;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::LoadStatement,
    rows::{RowDigest, sorted_order},
};

use super::{
    load::{self, Written},
    money,
};
use crate::{
    failure::database_error,
    quote,
    wire::{WireError, WireSession},
};

/// What kind of relation it is, and the condition under which an extension's configuration rows are in a dump.
fn how_to_read(target: &[u8]) -> Vec<u8> {
    let sql = "SELECT c.relkind,
       (SELECT e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)] FROM pg_catalog.pg_extension e
        WHERE c.oid = ANY (e.extconfig) LIMIT 1)
FROM pg_catalog.pg_class c WHERE c.oid = ";
    [sql.as_bytes(), &*quote::literal_bytes(target), b"::pg_catalog.regclass"].concat()
}

/// The server is asked for the columns in the order in which they are hashed, so that no row has to be kept.
pub(super) async fn of(
    session: &mut WireSession,
    statement: &LoadStatement,
    sort_columns: bool,
) -> Result<TableChecksum> {
    money::set(session, &statement.lc_monetary).await?;
    let written = load::parse(session, statement).await?;
    let doing = format!("read {}", written.shown());
    let failed = |e: WireError| database_error(&doing, &e);
    let row = session.query_one(how_to_read(&written.target)).await.map_err(failed)?;
    let condition = row.bytes(1).unwrap_or_default();
    let sql = reading(&written, sort_columns, row.bytes(0) == Some(b"p"), condition, &statement.encoding);
    let mut digest = RowDigest::new(None);
    let mut copy = session.copy_out(sql).await.map_err(failed)?;
    while let Some(rows) = copy.next_block().await.map_err(failed)? {
        digest.push(rows);
    }
    let (checksum, _) = digest.finish().map_err(|e| e.context(&doing))?;
    if copy.rows() == Some(checksum.rows) {
        Ok(checksum)
    } else {
        let sent = copy.rows().unwrap_or_default();
        let message = format!("{doing}: the server sent {sent} rows, and {} came", checksum.rows);
        Err(Error::new(ErrorKind::Database, message))
    }
}

/// A plain COPY where it can be; a query for partition roots, and for rows under an extension's condition.
fn reading(written: &Written, sort_columns: bool, root: bool, condition: &[u8], encoding: &str) -> Vec<u8> {
    let target = &*written.target;
    let columns = columns(written, sort_columns).join(&b", "[..]);
    let what = if root {
        [b"(SELECT ", &*columns, b" FROM ", target, b")"].concat()
    } else if !condition.is_empty() {
        [b"(SELECT ", &*columns, b" FROM ONLY ", target, b" ", condition, b")"].concat()
    } else if columns.is_empty() {
        target.to_vec()
    } else {
        [target, b" (", &*columns, b")"].concat()
    };
    let options = format!(" TO STDOUT (ENCODING {})", quote::literal(encoding));
    [b"COPY ", &*what, options.as_bytes()].concat()
}

/// The columns, quoted, as the statement has them or sorted bytewise by name.
fn columns(written: &Written, sorted: bool) -> Vec<&[u8]> {
    let columns = &written.columns;
    if !sorted {
        return columns.iter().map(Vec::as_slice).collect();
    }
    let names: Vec<Vec<u8>> = columns.iter().map(|column| quote::unquote(column)).collect();
    sorted_order(&names).into_iter().map(|index| &*columns[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_and_conditions_need_a_query() {
        let written = Written {
            target: b"public.t".to_vec(),
            columns: vec![b"id".to_vec(), b"\"B\"".to_vec()],
            column_list: b"(id, \"B\")".to_vec(),
        };
        let sql = |sorted, root, condition: &str, encoding| {
            String::from_utf8(reading(&written, sorted, root, condition.as_bytes(), encoding)).unwrap()
        };
        assert_eq!(sql(false, false, "", "UTF8"), "COPY public.t (id, \"B\") TO STDOUT (ENCODING 'UTF8')");
        assert_eq!(sql(true, false, "", "UTF8"), "COPY public.t (\"B\", id) TO STDOUT (ENCODING 'UTF8')");
        assert_eq!(
            sql(true, true, "", "LATIN1"),
            "COPY (SELECT \"B\", id FROM public.t) TO STDOUT (ENCODING 'LATIN1')"
        );
        assert_eq!(
            sql(false, false, "WHERE own", "UTF8"),
            "COPY (SELECT id, \"B\" FROM ONLY public.t WHERE own) TO STDOUT (ENCODING 'UTF8')"
        );
    }
}
