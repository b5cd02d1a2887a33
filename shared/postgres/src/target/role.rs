//! The role that a session acts as, other than the one it logged in as: what `--role` means to stock pg_restore.

use lifeboat_core::{Error, Result};

use crate::{
    failure::{Failure, database_error},
    quote,
    session::Session,
    wire::WireSession,
};

/// `SET ROLE "name"`.
fn statement(role: &str) -> String {
    format!("SET ROLE {}", quote::identifier(role))
}

fn refused(role: &str, error: &dyn Failure) -> Error {
    database_error(&format!("act as role '{role}'"), error)
        .with_hint("--role wants a role of which this one is a member")
}

/// Makes the session act as the role; does nothing without one.
pub(super) async fn set(session: &Session, role: Option<&str>) -> Result<()> {
    let Some(role) = role else { return Ok(()) };
    session.batch_execute(&statement(role)).await.map_err(|e| refused(role, &e))
}

/// The same for a session of our own client.
pub(super) async fn set_wire(session: &mut WireSession, role: Option<&str>) -> Result<()> {
    let Some(role) = role else { return Ok(()) };
    session.execute(statement(role)).await.map_err(|e| refused(role, &e))
}

/// Begins a transaction whose triggers and foreign keys do not act. The setting is the privilege of the role that logged
/// in, so it is made as that one.
pub(super) fn begin_without_triggers(role: Option<&str>) -> String {
    const BEGIN: &str = "BEGIN";
    const SETTING: &str = "SET LOCAL session_replication_role = replica";
    match role {
        None => format!("{BEGIN}; {SETTING}"),
        Some(role) => {
            format!("{BEGIN}; SET LOCAL ROLE NONE; {SETTING}; SET LOCAL ROLE {}", quote::identifier(role))
        }
    }
}
