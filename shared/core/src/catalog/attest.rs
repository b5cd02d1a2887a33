//! Writes attestations: new objects beside a backup, never rewritten.

use jiff::{SignedDuration, Timestamp};

use crate::{
    Error, ErrorKind, Result,
    attestation::{Attestation, Statement},
    catalog::BackupState,
    ports::{RunContext, Store},
};

/// States something of a backup, durable on return. `Corrupt` where its manifest cannot be read.
///
/// It is dated after everything that is known to have been said of the backup before: a writer whose clock is ahead
/// must not silence those that come after it. Idempotent for one run and moment; the state given is not changed, read it again.
pub async fn attest(
    store: &dyn Store,
    state: &BackupState,
    statement: Statement,
    context: &RunContext,
) -> Result<Attestation> {
    let Some(manifest_sha256) = state.manifest_sha256.clone() else {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("nothing can be attested of {}: its manifest cannot be read", state.qualified()),
        ));
    };
    let known = state.attestations.iter().map(|a| a.at).max();
    let after_known = known.and_then(|at| at.checked_add(SignedDuration::from_micros(1)).ok());
    let attestation = Attestation {
        format_version: 1,
        database: state.database.clone(),
        backup_id: state.backup_id.clone(),
        run_id: context.run_id.clone(),
        at: context.clock.now().max(after_known.unwrap_or(Timestamp::MIN)),
        manifest_sha256,
        statement,
    };
    let key = format!("{}{}", state.folder(), attestation.key());
    store
        .put_new(&key, attestation.to_json()?.into(), &context.run_id)
        .await
        .map_err(|e| e.context(format!("attest {} of {}", attestation.statement.kind(), state.qualified())))?;
    Ok(attestation)
}
