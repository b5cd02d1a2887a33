//! Holds: a person's word that a backup must not expire.

use crate::{
    Error, ErrorKind, Result,
    attestation::{Attestation, Statement},
    catalog::{self, BackupState},
    ports::{RunContext, Store},
    retention,
};

/// Holds a backup, for a reason that people will read later. If it is expiring, that is undone first, and refused
/// where it is too late. `None`: it is held for this very reason already, nothing was written.
pub async fn hold(
    store: &dyn Store,
    state: &BackupState,
    reason: &str,
    context: &RunContext,
) -> Result<Option<Attestation>> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "a hold needs a reason")
            .with_hint("say why, for whoever finds the hold next year"));
    }
    if state.expiring.is_some() {
        retention::undo(store, state, context).await?;
    } else if state.held.as_deref() == Some(reason) {
        return Ok(None);
    }
    catalog::attest(store, state, Statement::Hold { reason: reason.to_owned() }, context).await.map(Some)
}

/// Ends a hold. `None`: it was not held, nothing was written.
pub async fn release(store: &dyn Store, state: &BackupState, context: &RunContext) -> Result<Option<Attestation>> {
    if state.held.is_none() {
        return Ok(None);
    }
    catalog::attest(store, state, Statement::Release, context).await.map(Some)
}
