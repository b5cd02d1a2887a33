//! What is done around a restore: programs and webhooks of the target, and an address that must answer afterwards.

use std::{
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use lifeboat_channels::{Patience, Poster};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    config::{Hook, RestoreTarget},
    ports::Hooks,
};
use secrecy::SecretString;
use serde_json::json;
use tokio::process::Command;

use crate::setup::Setup;

/// What hooks are told, in their environment or in the document that they are sent.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// The database that the backup is of; `None` for a way back.
    pub database: Option<String>,
    /// The backup.
    pub backup: Option<String>,
    /// The target's name.
    pub target: String,
    /// The run.
    pub run_id: String,
}

/// A hook whose secret is known.
enum Ready {
    Command { shown: String, words: Vec<String> },
    Webhook { shown: String, address: SecretString },
}

/// The hooks of one target around one restore.
pub struct TargetHooks {
    before: Vec<Ready>,
    after: Vec<Ready>,
    limit: Duration,
    answers: Option<(String, Duration)>,
    occasion: Occasion,
    poster: Poster,
    begun: AtomicBool,
}

impl TargetHooks {
    /// Secrets are fetched here: one that is missing is known before anything is done.
    pub async fn open(setup: &Setup, target: &RestoreTarget, occasion: Occasion) -> Result<Self> {
        let limit = Duration::from_secs(target.hook_timeout.value.0);
        // A hook is not tried twice: it may have done its work although its answer was lost.
        let patience = Patience { attempts: 1, attempt: limit, ..Patience::default() };
        Ok(Self {
            before: ready(setup, &target.before.value).await?,
            after: ready(setup, &target.after.value).await?,
            limit,
            answers: target
                .answers
                .as_ref()
                .map(|address| (address.value.clone(), Duration::from_secs(target.answers_within.value.0))),
            occasion,
            poster: Poster::new(patience)?,
            begun: AtomicBool::new(false),
        })
    }

    async fn run(&self, hook: &Ready, stage: &str, outcome: Option<&str>) -> Result<()> {
        match hook {
            Ready::Command { shown, words } => self.command(shown, words, stage, outcome).await,
            Ready::Webhook { shown, address } => {
                let document = json!({
                    "stage": stage,
                    "outcome": outcome,
                    "database": self.occasion.database,
                    "backup": self.occasion.backup,
                    "target": self.occasion.target,
                    "run_id": self.occasion.run_id,
                });
                self.poster.post(address, &document, shown).await
            }
        }
    }

    /// No shell, nothing to read from, and only words of the configuration as arguments.
    async fn command(&self, shown: &str, words: &[String], stage: &str, outcome: Option<&str>) -> Result<()> {
        let failed = |why: String| Error::new(ErrorKind::Unexpected, format!("{shown} {why}"));
        let (program, arguments) = words.split_first().ok_or_else(|| failed("names no program".to_owned()))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let told = [
            ("LIFEBOAT_RESTORE_STAGE", Some(stage)),
            ("LIFEBOAT_RESTORE_OUTCOME", outcome),
            ("LIFEBOAT_RESTORE_DATABASE", self.occasion.database.as_deref()),
            ("LIFEBOAT_RESTORE_BACKUP", self.occasion.backup.as_deref()),
            ("LIFEBOAT_RESTORE_TARGET", Some(self.occasion.target.as_str())),
            ("LIFEBOAT_RESTORE_RUN", Some(self.occasion.run_id.as_str())),
        ];
        command.envs(told.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let running = command.spawn().or_error(ErrorKind::Unexpected, shown)?.wait_with_output();
        let ended = match tokio::time::timeout(self.limit, running).await {
            Ok(ended) => ended.or_error(ErrorKind::Unexpected, shown)?,
            Err(_) => return Err(failed(format!("did not end within {} s", self.limit.as_secs()))),
        };
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
        Err(failed(format!("ended with {}, saying: {last}", ended.status)))
    }
}

async fn ready(setup: &Setup, hooks: &[Hook]) -> Result<Vec<Ready>> {
    let mut found = Vec::new();
    for hook in hooks {
        let shown = hook.to_string();
        found.push(match hook {
            Hook::Command(words) => Ready::Command { shown, words: words.clone() },
            Hook::Webhook(secret) => Ready::Webhook { shown, address: setup.secret(secret).await? },
        });
    }
    Ok(found)
}

#[async_trait]
impl Hooks for TargetHooks {
    async fn before(&self) -> Result<()> {
        self.begun.store(true, Ordering::SeqCst);
        for hook in &self.before {
            self.run(hook, "before", None).await.map_err(|e| {
                Error::new(ErrorKind::Refused, format!("hook before the restore: {e}; nothing was changed"))
                    .with_hint("let the hook succeed, or take it out of the target in the configuration")
            })?;
        }
        Ok(())
    }

    async fn after(&self, succeeded: bool) -> Vec<String> {
        if !self.begun.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        let outcome = if succeeded { "succeeded" } else { "failed" };
        let mut trouble = Vec::new();
        for hook in &self.after {
            if let Err(error) = self.run(hook, "after", Some(outcome)).await {
                trouble.push(format!("hook after the restore: {error}"));
            }
        }
        if let (true, Some((address, within))) = (succeeded, &self.answers)
            && let Err(error) = self.poster.wait_for(address, *within).await
        {
            trouble.push(error.to_string());
        }
        trouble
    }
}
