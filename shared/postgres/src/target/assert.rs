//! A person's SQL assertion: read only, limited in time, one boolean.

use lifeboat_core::{Error, ErrorKind, Result};
use tokio_postgres::types::Type;

use crate::{failure::database_error, session::Session};

/// The search path is the database's own, because people write the names of their tables without a schema; views may be
/// used, which sessions that read data for a backup must not.
const PREPARE: &str = "
RESET search_path; RESET restrict_nonsystem_relation_kind;
BEGIN READ ONLY; SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '10s'";

const PREPARE_BEFORE_17: &str = "
RESET search_path;
BEGIN READ ONLY; SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '10s'";

pub(super) async fn run(session: &Session, sql: &str) -> Result<bool> {
    let failed = |e: tokio_postgres::Error| database_error("check", &e);
    let knows = "SELECT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind')";
    let restricted: bool = session.query_one(knows, &[]).await.map_err(failed)?.get(0);
    session.batch_execute(if restricted { PREPARE } else { PREPARE_BEFORE_17 }).await.map_err(failed)?;
    // The extended protocol takes one statement only, so none can end the transaction and begin another.
    let rows = session.query(sql, &[]).await.map_err(failed)?;
    session.batch_execute("ROLLBACK").await.map_err(failed)?;
    let odd = |what: String| {
        Err(Error::new(ErrorKind::Config, format!("check: {what}")).with_hint(
            "a check is one query that returns one row with one boolean, such as SELECT count(*) > 0 FROM users",
        ))
    };
    let [row] = rows.as_slice() else { return odd(format!("the query returned {} rows, not one", rows.len())) };
    match row.columns() {
        [column] if *column.type_() == Type::BOOL => Ok(row.get::<_, Option<bool>>(0).unwrap_or(false)),
        [column] => odd(format!("the query returned {}, not a boolean", column.type_())),
        columns => odd(format!("the query returned {} columns, not one", columns.len())),
    }
}
