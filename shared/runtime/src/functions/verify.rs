//! `verify`: reads backups back, asked by a rule or by the event that a backup exists.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::SignedDuration;
use lifeboat_core::{
    Error, ErrorKind, Result, catalog,
    events::{Body, Failure},
    forecast,
    ids::{BackupId, DatabaseSlug},
    lease::Occasion,
    ports::{RunContext, Store},
    verify::{Older, Reading, choose, is_candidate, is_frozen},
};

use super::selected;
use crate::{
    handing_over::Handing,
    one_run::{Alive, OneRun},
    requests::{Answer, BackupVerdict, VerifyAnswer, VerifyRequest, VerifyTrigger},
    runs,
    setup::Setup,
    telling::{Told, tell_failure},
};

/// What was found whole within this time is not read again by `older`.
const RECENTLY: SignedDuration = SignedDuration::from_hours(24);

/// `verify`: every backup that was read, told one by one. Damage is an answer on record and told as an event, and then
/// an error of kind `corrupt` for whoever asked: a state machine must not take it for success.
pub async fn verify(setup: Arc<Setup>, trigger: VerifyTrigger, context: RunContext) -> Result<Answer<VerifyAnswer>> {
    let run = Run { setup: &setup, database: trigger.database(), context: &context, told: AtomicBool::new(false) };
    let result = Box::pin(run.once(&trigger)).await;
    match result {
        Ok(Answer::Done(answer)) => damage(&answer).map_or(Ok(Answer::Done(answer)), Err),
        Ok(answer) => Ok(answer),
        Err(error) => {
            if !run.told.load(Ordering::Relaxed) {
                let failed = |failure: Failure| match &trigger {
                    VerifyTrigger::Completed { backup_id, .. } => runs::could_not_of(failure, backup_id),
                    VerifyTrigger::Asked(_) => Body::VerifyFailed(failure),
                };
                tell_failure(&setup, &context, run.database, &error, failed).await;
            }
            Err(error)
        }
    }
}

/// One invocation.
struct Run<'a> {
    setup: &'a Setup,
    database: &'a DatabaseSlug,
    context: &'a RunContext,
    /// Whether the bus has heard already of what ended the run.
    told: AtomicBool,
}

impl Run<'_> {
    /// Once per scheduled time; once per backup that was made.
    async fn once(&self, trigger: &VerifyTrigger) -> Result<Answer<VerifyAnswer>> {
        let (operation, at) = match trigger {
            VerifyTrigger::Completed { verified: true, .. } => {
                let why = "the run that made the backup has read it back";
                return Ok(Answer::Done(VerifyAnswer { skipped: Some(why.to_owned()), ..self.answer() }));
            }
            VerifyTrigger::Completed { backup_id, .. } => ("verify-completed", Some(backup_id.started_at())),
            VerifyTrigger::Asked(request) => ("verify", request.scheduled_at),
        };
        let config = selected(self.setup, self.database)?.config;
        let control = self.setup.open_control().await?;
        let run = at.map(Occasion::Scheduled).map(|occasion| OneRun {
            control: &*control,
            operation,
            database: self.database,
            occasion,
            alive: Alive::Claimed,
            longest: self.setup.longest(),
        });
        if let Some(handing) = Handing::of(self.setup, "verify", self.database, config.runner.value)?
            && let Some(answer) = Box::pin(handing.before(run.as_ref(), self.predicted(trigger), self.context)).await?
        {
            return Ok(answer);
        }
        let work = Box::pin(async { self.all(trigger, config.jobs.value).await.map(Told::nothing) });
        match &run {
            Some(run) => Ok(run.once(self.context, work).await?.answer),
            None => Ok(Answer::Done(work.await?.answer)),
        }
    }

    fn answer(&self) -> VerifyAnswer {
        VerifyAnswer {
            database: self.database.clone(),
            run_id: self.context.run_id.clone(),
            backups: Vec::new(),
            left: 0,
            frozen: 0,
            skipped: None,
        }
    }

    /// How long the first backup will take; those after it are begun only while there is time for them.
    async fn predicted(&self, trigger: &VerifyTrigger) -> Result<Option<f64>> {
        let store = self.setup.open_store().await?;
        let (reading, _) = self.chosen(&*store, trigger).await?;
        match reading.chosen.first() {
            Some(first) => forecast::predict_verify(&*store, self.database, first).await,
            None => Ok(None),
        }
    }

    async fn all(&self, trigger: &VerifyTrigger, jobs: u32) -> Result<VerifyAnswer> {
        let store = self.setup.open_store().await?;
        let (reading, seconds) = self.chosen(&*store, trigger).await?;
        let mut answer = VerifyAnswer { left: reading.left, frozen: reading.frozen, ..self.answer() };
        let began = self.context.clock.monotonic_seconds();
        for (number, id) in reading.chosen.iter().enumerate() {
            if number > 0 && self.context.clock.monotonic_seconds() - began >= whole(seconds) {
                answer.left += 1;
                continue;
            }
            match runs::verify(self.setup, &store, self.database, id, None, jobs, self.context).await {
                Ok(outcome) => answer.backups.push(BackupVerdict::from(&outcome)),
                Err(error) if error.kind() == ErrorKind::Corrupt => answer.backups.push(unreadable(id, &error)),
                Err(error) => {
                    self.told.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(answer)
    }

    async fn chosen(&self, store: &dyn Store, trigger: &VerifyTrigger) -> Result<(Reading, u64)> {
        match trigger {
            VerifyTrigger::Completed { backup_id, .. } => Ok((one(backup_id.clone()), u64::MAX)),
            VerifyTrigger::Asked(request) => self.reading(store, request).await,
        }
    }

    /// What a request names, and how many seconds there are for it.
    async fn reading(&self, store: &dyn Store, request: &VerifyRequest) -> Result<(Reading, u64)> {
        let (bytes, seconds) = request.budget().map_err(|e| Error::new(ErrorKind::Usage, e))?;
        if !["latest", "older"].contains(&request.backup.as_str()) {
            let id: BackupId = request
                .backup
                .parse()
                .map_err(|e: Error| e.with_hint("name a backup as `latest`, `older` or `20261120T020000Z-abcd`"))?;
            return Ok((one(id), u64::MAX));
        }
        let states = self.context.cancel.race(catalog::list(store, Some(self.database))).await?;
        let Some(newest) = states.first() else {
            let message = format!("there is no backup of {} in {}", self.database, store.url());
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        if request.backup == "latest" {
            return Ok((one(newest.backup_id.clone()), u64::MAX));
        }
        let mut backups = Vec::new();
        for state in states.iter().filter(|state| is_candidate(state)) {
            let objects = self.context.cancel.race(store.list(&state.folder())).await?;
            backups.push(Older {
                backup_id: state.backup_id.clone(),
                verified_at: state.verified_at(),
                bytes: state.stored_bytes(),
                frozen: is_frozen(&objects),
            });
        }
        Ok((choose(backups, bytes, RECENTLY, self.context.clock.now()), seconds))
    }
}

fn one(backup_id: BackupId) -> Reading {
    Reading { chosen: vec![backup_id], ..Reading::default() }
}

#[allow(clippy::cast_precision_loss, reason = "a time for people")]
fn whole(seconds: u64) -> f64 {
    seconds as f64
}

/// A backup whose manifest cannot be read.
fn unreadable(backup_id: &BackupId, error: &Error) -> BackupVerdict {
    BackupVerdict {
        backup_id: backup_id.clone(),
        whole: false,
        objects: 0,
        bytes: 0,
        rows: 0,
        decoded: false,
        seconds: 0.0,
        damage: vec![error.to_string()],
    }
}

/// The error of an answer that tells of damage.
fn damage(answer: &VerifyAnswer) -> Option<Error> {
    let damaged: Vec<String> = answer
        .backups
        .iter()
        .filter(|b| !b.whole)
        .map(|b| {
            let more = if b.damage.len() > 3 { format!("; and {} more", b.damage.len() - 3) } else { String::new() };
            let named: Vec<&str> = b.damage.iter().take(3).map(String::as_str).collect();
            format!("backup {}/{} is damaged: {}{more}", answer.database, b.backup_id, named.join("; "))
        })
        .collect();
    (!damaged.is_empty()).then(|| Error::new(ErrorKind::Corrupt, damaged.join("; ")))
}
