//! `retention`: plans, and executes the plan, once per scheduled time.

use std::sync::Arc;

use lifeboat_core::{Result, lease::Occasion, ports::RunContext, retention::Report};

use super::selected;
use crate::{
    one_run::{Alive, OneRun},
    requests::{Answer, RetentionRequest},
    runs,
    setup::Setup,
    telling::tell,
};

/// `retention`: the report of what was done, or of what would be. Where the store has lifecycle rules it deletes nothing:
/// it attests and tags.
pub async fn retention(setup: Arc<Setup>, request: RetentionRequest, context: RunContext) -> Result<Answer<Report>> {
    let work = Box::pin(async {
        let selected = selected(&setup, &request.database)?;
        let work = Box::pin(runs::retention_untold(&setup, &selected, request.dry_run, &context));
        // A plan changes nothing and may be asked for at any time.
        let Some(at) = request.scheduled_at.filter(|_| !request.dry_run) else {
            return Ok(work.await?.map(Answer::Done));
        };
        let control = setup.open_control().await?;
        let database = &request.database;
        let (occasion, alive) = (Occasion::Scheduled(at), Alive::Claimed);
        let run =
            OneRun { control: &*control, operation: "retention", database, occasion, alive, longest: setup.longest() };
        run.once(&context, work).await
    });
    tell(&setup, &context, &request.database, runs::retention_failed, work).await
}
