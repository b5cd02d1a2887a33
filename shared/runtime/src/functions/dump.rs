//! `dump`: one backup per scheduled time.

use std::sync::Arc;

use lifeboat_core::{ErrorKind, Result, events::Body, forecast, lease::Occasion, ports::RunContext};

use super::selected;
use crate::{
    handing_over::Handing,
    one_run::{Alive, OneRun},
    requests::{Answer, DumpAnswer, DumpRequest},
    runs::{self, DumpOptions},
    setup::Setup,
    telling::{Told, tell},
};

/// `dump`: one backup. It is verified right here only where there is no bus on which another function hears of it: the
/// role of this one need not be able to read what it wrote.
pub async fn dump(setup: Arc<Setup>, request: DumpRequest, context: RunContext) -> Result<Answer<DumpAnswer>> {
    let mut unverified = None;
    let work = Box::pin(async {
        let selected = selected(&setup, &request.database)?;
        let (control, store) = (setup.open_control().await?, setup.open_store().await?);
        if request.scheduled_at.is_some() {
            // A store in a folder makes its folder first: the control store may lie below it.
            store.probe(&context.run_id).await?;
        }
        let database = &request.database;
        let run = request.scheduled_at.map(|at| OneRun {
            control: &*control,
            operation: "dump",
            database,
            occasion: Occasion::Scheduled(at),
            alive: Alive::Leased,
            longest: setup.longest(),
        });
        let handing = Handing::of(&setup, "dump", database, selected.config.runner.value)?;
        if let Some(handing) = &handing {
            let predicting = forecast::predict_dump(&*store, database, context.clock.now());
            if let Some(answer) = handing.before(run.as_ref(), predicting, &context).await? {
                return Ok(Told::nothing(answer));
            }
        }
        let scheduled_at = request.scheduled_at;
        let options = DumpOptions { no_verify: setup.config.bus.is_some(), scheduled_at, ..DumpOptions::default() };
        // The backup counts for its scheduled time as soon as it exists: another delivery must not make a second one,
        // whatever becomes of the verify.
        let work = Box::pin(async {
            let dumped = runs::dump_untold(&setup, &selected, &options, &context).await?;
            unverified = dumped.answer.unverified;
            Ok(Told { answer: dumped.answer.answer, events: dumped.events, metrics: dumped.metrics })
        });
        let done = match &run {
            Some(run) => run.once(&context, work).await,
            None => work.await.map(|told| told.map(Answer::Done)),
        };
        match (done, handing) {
            (Err(error), Some(handing)) if error.kind() == ErrorKind::Deadline => {
                handing.after(run.as_ref(), &context).await.map(Told::nothing)
            }
            (done, _) => done,
        }
    });
    let answer = match tell(&setup, &context, &request.database, Body::BackupFailed, work).await {
        // A person's run, say: it is no failure, and nothing is gained by trying again.
        Err(error) if error.kind() == ErrorKind::AlreadyRunning => return Ok(Answer::AlreadyRunning),
        result => result?,
    };
    unverified.map_or(Ok(answer), Err)
}
