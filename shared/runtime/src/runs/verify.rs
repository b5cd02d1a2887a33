//! One backup, read back.

use std::{path::Path, sync::Arc};

use lifeboat_core::{
    Error, ErrorKind, Result, catalog,
    events::{BackupCorrupt, BackupVerified, Body, Failure, MOST_NAMED, brief},
    ids::{BackupId, DatabaseSlug},
    ports::{RunContext, Store},
    verify::{self, VerifyOutcome},
};

use crate::{
    requests::total,
    setup::Setup,
    telling::{Told, silent, tell},
};

/// Reads one backup back and tells the bus what it found. Damage in its objects is no `Err`, but what the outcome says;
/// `Corrupt` where the manifest itself is damaged; any other `Err` means that nothing is known of it. `identity`: the file of
/// keys that opens it.
pub async fn verify(
    setup: &Setup,
    store: &Arc<dyn Store>,
    database: &DatabaseSlug,
    backup_id: &BackupId,
    identity: Option<&Path>,
    jobs: u32,
    context: &RunContext,
) -> Result<VerifyOutcome> {
    let work = Box::pin(verify_untold(setup, store, database, backup_id, identity, jobs, context));
    tell(setup, context, database, |failure| could_not_of(failure, backup_id), work).await
}

/// The same, leaving it to the caller to tell of it.
pub(crate) async fn verify_untold(
    setup: &Setup,
    store: &Arc<dyn Store>,
    database: &DatabaseSlug,
    backup_id: &BackupId,
    identity: Option<&Path>,
    jobs: u32,
    context: &RunContext,
) -> Result<Told<VerifyOutcome>> {
    let backup = context.cancel.race(catalog::open(&**store, database, backup_id)).await?;
    let identities = setup.identities_to_verify(&backup.manifest, identity).await?;
    let outcome = verify::run(store, &backup, &identities, jobs, context).await?;
    let events = vec![outcome_of(&outcome)];
    Ok(Told::new(outcome, events))
}

/// What a verify found that came to its end.
pub(crate) fn outcome_of(outcome: &VerifyOutcome) -> Body {
    let backup_id = outcome.backup_id.clone();
    if outcome.damage.is_empty() {
        let seconds = total(&outcome.phases);
        return Body::BackupVerified(BackupVerified {
            backup_id,
            objects: outcome.objects,
            bytes: outcome.bytes,
            seconds,
        });
    }
    let damage = outcome.damage.iter().take(MOST_NAMED).map(|d| brief(&d.what)).collect();
    Body::BackupCorrupt(BackupCorrupt { backup_id, damage, damaged: outcome.damage.len() as u64 })
}

/// What there is to tell of a verify that came to no end, if anything.
pub(crate) fn could_not(setup: &Setup, error: &Error, backup_id: &BackupId) -> Option<Body> {
    (!silent(setup, error.kind())).then(|| could_not_of(Failure::of(error), backup_id))
}

/// A manifest that cannot be read is damage; anything else leaves open what the backup is.
pub(crate) fn could_not_of(failure: Failure, backup_id: &BackupId) -> Body {
    let backup_id = backup_id.clone();
    if failure.kind == ErrorKind::Corrupt.name() {
        return Body::BackupCorrupt(BackupCorrupt { backup_id, damage: vec![failure.message], damaged: 1 });
    }
    Body::VerifyFailed(Failure { backup_id: Some(backup_id), ..failure })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Flags, environment::Environment};

    #[test]
    fn a_manifest_that_cannot_be_read_is_damage_and_a_store_that_cannot_is_not() {
        let id: BackupId = "20261120T020004Z-k3vd".parse().unwrap();
        let setup = Setup::load(&Flags::default(), Environment::of([("LIFEBOAT_STORE", "file:///none")])).unwrap();
        let told = |kind| could_not(&setup, &Error::new(kind, "read it"), &id);
        let Some(Body::BackupCorrupt(corrupt)) = told(ErrorKind::Corrupt) else { panic!("no damage") };
        assert_eq!((corrupt.backup_id, corrupt.damaged), (id.clone(), 1));
        let Some(Body::VerifyFailed(failure)) = told(ErrorKind::Store) else { panic!("no failure") };
        assert_eq!((failure.backup_id, failure.kind.as_str()), (Some(id.clone()), "store"));
        assert_eq!(told(ErrorKind::Interrupted), None);
    }
}
