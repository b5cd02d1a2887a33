//! `lc_monetary`: what money looks like in the data, and so how it has to be read.

use lifeboat_core::{Error, ErrorKind, Result};
use tokio_postgres::error::SqlState;

use crate::{
    failure::{Failure, database_error},
    quote,
    wire::WireSession,
};

/// Whether any column, attribute, domain or array of the users' is of type money (OID 790, its array 791).
const USED: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE atttypid IN (790, 791) AND attrelid >= 16384 AND NOT attisdropped)
    OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typbasetype IN (790, 791) AND oid >= 16384)
    OR EXISTS (SELECT FROM pg_catalog.pg_range WHERE rngsubtype = 790)";

/// Sets it for the session. A locale that the server lacks matters only where there is money.
pub(super) async fn set(session: &mut WireSession, lc_monetary: &str) -> Result<()> {
    let sql = format!("SET lc_monetary = {}", quote::literal(lc_monetary));
    let error = match session.execute(sql).await {
        Ok(()) => return Ok(()),
        Err(error) if error.sql_state() == Some(&SqlState::INVALID_PARAMETER_VALUE) => error,
        Err(error) => return Err(database_error("set lc_monetary", &error)),
    };
    let row = session.query_one(USED).await.map_err(|e| database_error("look for columns of type money", &e))?;
    if row.is_true(0) {
        return Err(Error::new(
            ErrorKind::Database,
            format!(
                "the backup writes money as lc_monetary = '{lc_monetary}', which the server lacks: {}",
                error.reason()
            ),
        )
        .with_hint("install that locale on the server, or restore into a server that has it"));
    }
    Ok(())
}
