//! Takes back the intent to expire a backup, as long as that is possible.

use crate::{
    Error, ErrorKind, Result,
    attestation::{Attestation, Statement},
    catalog::{self, BackupState},
    manifest::MANIFEST_NAME,
    ports::{Removal, RunContext, Store},
    retention::EXPIRE_TAG,
};

/// Attests that a backup is not expiring any more. `Refused` where it is not expiring, or where its objects are tagged
/// for removal already. Retention may announce it anew the next day: hold it to keep it.
pub async fn undo(store: &dyn Store, state: &BackupState, context: &RunContext) -> Result<Attestation> {
    let name = state.qualified();
    if state.expiring.is_none() {
        return Err(Error::new(ErrorKind::Refused, format!("{name} is not expiring, there is nothing to undo")));
    }
    let manifest = format!("{}{MANIFEST_NAME}", state.folder());
    // The manifest is tagged last, the rest before it: any tagged object is too many.
    if store.removal() == Removal::TagForLifecycle {
        let first = store.list(&state.folder()).await?.into_iter().map(|o| o.key).next();
        for key in first.into_iter().chain([manifest]) {
            if store.tags(&key).await?.get(EXPIRE_TAG).is_some_and(|value| value == "true") {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("{name} is tagged for removal, its intent to expire cannot be taken back"),
                )
                .with_hint("an administrator can recover the noncurrent versions; see docs/RUNBOOK.md"));
            }
        }
    }
    catalog::attest(store, state, Statement::Undo, context).await
}
