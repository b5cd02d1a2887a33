//! What every command works with: the set-up, the run's context, and the person in front of it.

use std::{
    io::{self, BufRead, IsTerminal},
    sync::Arc,
};

use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    cancel::{self, Canceller},
    catalog::{self, Backup, BackupReference, Which},
    ids::DatabaseSlug,
    ports::{RunContext, Store},
    runner::CLEANING_UP,
};
use lifeboat_runtime::{
    Selected, Setup,
    config::Flags,
    deadline::{self, Alarm, Deadline},
    environment::Environment,
    stop, telemetry,
};

use crate::{
    answer::err,
    arguments::{Global, Output},
    progress::{Style, Watcher},
};

/// One call of the program.
pub(crate) struct App {
    pub(crate) setup: Setup,
    pub(crate) context: RunContext,
    pub(crate) output: Output,
    pub(crate) database_url: Option<String>,
    watcher: Arc<Watcher>,
    canceller: Canceller,
    yes: bool,
}

impl App {
    /// Reads the configuration, sets up logs, and begins to watch for Ctrl-C.
    pub(crate) fn begin(global: &Global) -> Result<Self> {
        let environment = Environment::of_process();
        let terminal = io::stderr().is_terminal() && environment.raw("TERM").is_none_or(|t| t != "dumb");
        let style = match (global.quiet, terminal, global.verbose) {
            (false, true, _) => Style::Bar,
            (false, false, 1..) => Style::Lines,
            _ => Style::Silent,
        };
        let watcher = Arc::new(Watcher::new(style, global.quiet));
        let verbosity = match (global.quiet, global.verbose) {
            (true, _) => telemetry::Verbosity::Quiet,
            (_, 0) => telemetry::Verbosity::Normal,
            (_, 1) => telemetry::Verbosity::Verbose,
            _ => telemetry::Verbosity::Debug,
        };
        let colour = terminal && environment.raw("NO_COLOR").is_none();
        telemetry::for_people(&environment, verbosity, colour, watcher.log_writer());
        let flags = Flags { config: global.config.clone(), store: global.store.clone() };
        let setup = Setup::load(&flags, environment)?;
        let (canceller, cancel) = cancel::pair();
        watch(canceller.clone(), Arc::clone(&watcher), global.quiet)?;
        let context = setup.context(Arc::clone(&watcher) as _, cancel);
        tracing::info!(run_id = %context.run_id, "the run begins");
        Ok(Self {
            setup,
            context,
            output: global.output,
            database_url: global.database_url.clone(),
            watcher,
            canceller,
            yes: global.yes,
        })
    }

    /// Has this run stop before the deadline, with time to clean up, while the alarm is kept.
    pub(crate) fn end_by(&self, deadline: Option<Deadline>) -> Result<Option<Alarm>> {
        let Some(deadline) = deadline else { return Ok(None) };
        let time = deadline::time_to_work(deadline.left(self.context.clock.now())?, CLEANING_UP);
        Ok(Some(Alarm::set(time, self.canceller.clone())))
    }

    /// Makes room for a line; the next phase brings progress back.
    pub(crate) fn clear_progress(&self) {
        self.watcher.finish();
    }

    /// The store.
    pub(crate) async fn store(&self) -> Result<Arc<dyn Store>> {
        self.context.cancel.race(self.setup.open_store()).await
    }

    /// The database this call is about, where that can be told.
    pub(crate) fn selected(&self, named: Option<&DatabaseSlug>) -> Result<Option<Selected>> {
        self.setup.selected(named, self.database_url.as_deref())
    }

    /// The database this call is about.
    pub(crate) fn one(&self, named: Option<&DatabaseSlug>) -> Result<Selected> {
        self.setup.one(named, self.database_url.as_deref())
    }

    /// Databases a reader is asked about: the one named, or the one whose URL was given, or all in the store.
    pub(crate) async fn readable(&self, store: &dyn Store, named: Option<&DatabaseSlug>) -> Result<Vec<Selected>> {
        if let Some(selected) = self.named_or_by_url(named)? {
            return Ok(vec![selected]);
        }
        let found = self.context.cancel.race(catalog::databases(store)).await?;
        let mut slugs: Vec<DatabaseSlug> = self.setup.config.databases.keys().cloned().chain(found).collect();
        slugs.sort();
        slugs.dedup();
        Ok(slugs.into_iter().map(|slug| Selected { config: self.setup.database(&slug), slug }).collect())
    }

    /// The database named, or whose URL was given: a file with one database does not hide others in the store.
    pub(crate) fn named_or_by_url(&self, named: Option<&DatabaseSlug>) -> Result<Option<Selected>> {
        let by_url = self.database_url.is_some() || self.setup.environment().raw("LIFEBOAT_DATABASE_URL").is_some();
        if named.is_some() || by_url { self.selected(named) } else { Ok(None) }
    }

    /// Finds the backup that a person named.
    pub(crate) async fn find(&self, store: &dyn Store, reference: &BackupReference) -> Result<Backup> {
        let default = match reference.database {
            Some(_) => None,
            None => self.selected(None)?.map(|s| s.slug),
        };
        let found = self.context.cancel.race(catalog::find(store, reference, default.as_ref())).await?;
        if reference.which == Which::Latest {
            self.tell_of_newer(store, &found).await?;
        }
        Ok(found)
    }

    /// Whoever asks for the latest must know that a newer one is there but not to be relied on.
    async fn tell_of_newer(&self, store: &dyn Store, chosen: &Backup) -> Result<()> {
        let states = self.context.cancel.race(catalog::list(store, Some(&chosen.state.database))).await?;
        for newer in states.iter().take_while(|s| s.backup_id != chosen.state.backup_id) {
            self.context.progress.note(&format!(
                "{} is newer, but {}: using {} instead",
                newer.qualified(),
                newer.standing(),
                chosen.state.backup_id
            ));
        }
        Ok(())
    }

    /// The configuration of a backup's database.
    pub(crate) fn jobs(&self, database: &DatabaseSlug, flag: Option<u32>) -> u32 {
        flag.unwrap_or_else(|| self.setup.database(database).jobs.value)
    }

    /// Asks before something destructive. Without a terminal and without `--yes` it is refused.
    pub(crate) async fn confirm(&self, question: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        let refused = |why: &str| {
            Error::new(ErrorKind::Refused, format!("{question} {why}")).with_hint("give --yes to go on without asking")
        };
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(refused("This needs a confirmation, and there is no terminal to ask on."));
        }
        self.watcher.finish();
        err(&format!("{question} Go on? [y/N] "));
        let reading = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map(|_| line)
        });
        let line = self
            .context
            .cancel
            .race(async {
                reading
                    .await
                    .or_error(ErrorKind::Unexpected, "read the answer")?
                    .or_error(ErrorKind::Unexpected, "read the answer")
            })
            .await?;
        if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") {
            Ok(())
        } else {
            Err(refused("The answer was no; nothing was changed."))
        }
    }
}

fn watch(canceller: Canceller, watcher: Arc<Watcher>, quiet: bool) -> Result<()> {
    stop::on_signals(canceller, move || {
        watcher.finish();
        if !quiet {
            err("stopping … (press Ctrl-C again to stop at once, without cleaning up)\n");
        }
    })
}
