//! `dump`: one backup per scheduled time.

use std::sync::Arc;

use lifeboat_core::{ErrorKind, Result, events::Body, lease::Occasion, ports::RunContext};

use super::selected;
use crate::{
    requests::{Answer, DumpAnswer, DumpRequest},
    runs::{self, DumpOptions},
    scheduled::Scheduled,
    setup::Setup,
    telling::{Told, tell},
};

/// `dump`: one backup. It is verified right here only where there is no bus on which another function hears of it: the
/// role of this one need not be able to read what it wrote.
pub async fn dump(setup: Arc<Setup>, request: DumpRequest, context: RunContext) -> Result<Answer<DumpAnswer>> {
    let mut unverified = None;
    let work = Box::pin(async {
        let selected = selected(&setup, &request.database)?;
        let scheduled_at = request.scheduled_at;
        let options = DumpOptions { no_verify: setup.config.bus.is_some(), scheduled_at, ..DumpOptions::default() };
        // The backup counts for its scheduled time as soon as it exists: another delivery must not make a second one,
        // whatever becomes of the verify.
        let work = Box::pin(async {
            let dumped = runs::dump_untold(&setup, &selected, &options, &context).await?;
            unverified = dumped.answer.unverified;
            Ok(Told { answer: dumped.answer.answer, events: dumped.events, metrics: dumped.metrics })
        });
        let Some(at) = scheduled_at else { return Ok(work.await?.map(Answer::Done)) };
        let control = setup.open_control().await?;
        // A store in a folder makes its folder first: the control store may lie below it.
        setup.open_store().await?.probe(&context.run_id).await?;
        let occasion = Occasion::Scheduled(at);
        let run =
            Scheduled { control: &*control, operation: "dump", database: &request.database, occasion, leased: true };
        run.once(&context, work).await
    });
    let answer = match tell(&setup, &context, &request.database, Body::BackupFailed, work).await {
        // A person's run, say: it is no failure, and nothing is gained by trying again.
        Err(error) if error.kind() == ErrorKind::AlreadyRunning => return Ok(Answer::AlreadyRunning),
        result => result?,
    };
    unverified.map_or(Ok(answer), Err)
}
