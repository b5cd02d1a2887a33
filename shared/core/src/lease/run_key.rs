//! Run keys: a scheduled run happens once, however often its event is delivered.

use bytes::Bytes;
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    ErrorKind, Result,
    ids::DatabaseSlug,
    ports::{RunContext, Store},
};

/// Where the control store keeps the claim on a scheduled run: `runs/<operation>/<database>/<scheduled_at>`, the time in
/// UTC to the second.
pub fn run_key(operation: &str, database: &DatabaseSlug, scheduled_at: Timestamp) -> String {
    let at = scheduled_at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ");
    format!("runs/{operation}/{database}/{at}")
}

/// Claims a scheduled run by creating its [`run_key`] in the control store. False where
/// another run has claimed it. Idempotent for one run id.
pub async fn claim_run(
    control: &dyn Store,
    operation: &str,
    database: &DatabaseSlug,
    scheduled_at: Timestamp,
    context: &RunContext,
) -> Result<bool> {
    let key = run_key(operation, database, scheduled_at);
    match control.put_new(&key, Bytes::from(context.run_id.to_string()), &context.run_id).await {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.context(format!("claim the {operation} of {database} scheduled at {scheduled_at}"))),
    }
}
