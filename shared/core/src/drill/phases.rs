//! The phases in a scratch target, each for itself: restore, compare, checks, negative control.

use std::{sync::Arc, time::Duration};

use lifeboat_archive::encryption::Identities;

use super::{Assertion, compare::compare, control, rehearsal::Rehearsal, rehearse::unstoppable};
use crate::{
    Result,
    manifest::Manifest,
    ports::{RunContext, Store, Target},
    reading::BackupReader,
    report::CheckResult,
    restore::{self, RestorePorts, RestoreRequest},
};

/// How long a restore may take to come to its end once the drill shall stop.
const PATIENCE: Duration = Duration::from_secs(8);

/// Restores the backup into the target. `making` comes first and is a part of the phase: it gives the target.
pub(super) async fn restore(
    store: &Arc<dyn Store>,
    identities: &Arc<Identities>,
    manifest: &Arc<Manifest>,
    making: impl Future<Output = Result<Arc<dyn Target>>>,
    jobs: u32,
    context: &RunContext,
    found: &mut Rehearsal,
) -> Result<Arc<dyn Target>> {
    let work = Box::pin(async {
        let target = making.await?;
        let server_version = target.facts().await?.server_version;
        let ports =
            RestorePorts { store: Arc::clone(store), identities: Arc::clone(identities), target: Arc::clone(&target) };
        let request = RestoreRequest { jobs, no_compare: true, ..RestoreRequest::default() };
        let outcome = Box::pin(restore::run(&ports, manifest, &request, None, context)).await?;
        // Which pg_restore reads the archive is only known once it is staged.
        let client_version = target.facts().await?.client_version;
        Ok((target, server_version, outcome, client_version))
    });
    // It looks at the switch, and ends what it does on the server.
    let work = Box::pin(context.cancel.race_to_its_end(PATIENCE, work));
    let total = Some(manifest.totals.stored_bytes);
    let done = found.phase("restore", true, total, &unstoppable(context), work).await?;
    let (target, server_version, outcome, client_version) = done;
    if let Some(phase) = found.phases.last_mut() {
        let told: Vec<String> = outcome.phases.iter().map(|p| format!("{} {:.1} s", p.phase, p.seconds)).collect();
        phase.note = Some(told.join(", "));
    }
    found.messages.extend(outcome.messages);
    found.restored = true;
    found.server_version = Some(server_version);
    found.client_version = Some(client_version);
    Ok(target)
}

/// Compares what was restored with the manifest.
pub(super) async fn comparison(
    store: &Arc<dyn Store>,
    identities: &Arc<Identities>,
    manifest: &Arc<Manifest>,
    target: &Arc<dyn Target>,
    jobs: u32,
    context: &RunContext,
    found: &mut Rehearsal,
) -> Result<()> {
    let comparing = async {
        let toc = BackupReader::new(&**store, manifest, identities).toc().await?;
        compare(manifest, target, &toc, jobs, context).await
    };
    let (data, schema) = found.phase("compare", false, Some(manifest.totals.rows), context, comparing).await?;
    found.deviations.extend(schema.toc_not_compared.clone());
    (found.data, found.schema) = (Some(data), Some(schema));
    Ok(())
}

/// Runs the user's checks. One that cannot be run does not hold.
pub(super) async fn checks(
    asked: &[Assertion],
    target: &Arc<dyn Target>,
    context: &RunContext,
    found: &mut Rehearsal,
) -> Result<()> {
    let checking = async {
        let mut results = Vec::new();
        for check in asked {
            let outcome = target.assert(&check.sql).await;
            results.push(CheckResult {
                name: check.name.clone(),
                sql: check.sql.clone(),
                passed: matches!(outcome, Ok(true)),
                error: outcome.err().map(|e| e.to_string()),
            });
        }
        Ok(results)
    };
    found.checks = found.phase("checks", false, None, context, checking).await?;
    Ok(())
}

/// Gives damaged copies to the code that checks.
pub(super) async fn negative_control(
    store: &Arc<dyn Store>,
    identities: &Arc<Identities>,
    manifest: &Manifest,
    context: &RunContext,
    found: &mut Rehearsal,
) -> Result<()> {
    let controlling = control::run(store, manifest, identities, context.entropy.next());
    found.negative_controls = found.phase("negative control", false, None, context, controlling).await?;
    Ok(())
}
