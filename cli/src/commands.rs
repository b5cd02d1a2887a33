//! The commands: each asks the core, and shapes the answer for people and programs.

mod alert;
mod config;
mod demo;
mod drill;
mod dump;
mod fetch;
mod forecast;
mod health;
mod hold;
mod keys;
mod list;
mod maintenance;
mod preflight;
mod restore;
mod retention;
mod show;
mod status;
mod verify;

use lifeboat_core::{Error, ErrorKind, Result};

use crate::{
    answer::Answer,
    app::App,
    arguments::{Command, Configuration},
};

/// Runs the command.
pub(crate) async fn run(app: &App, command: &Command) -> Result<Answer> {
    match command {
        Command::Dump(arguments) => dump::run(app, arguments).await,
        Command::List(arguments) => list::run(app, arguments).await,
        Command::Show(arguments) => show::run(app, arguments).await,
        Command::Verify(arguments) => verify::run(app, arguments).await,
        Command::Restore(arguments) => Box::pin(restore::run(app, arguments)).await,
        Command::Fetch(arguments) => fetch::run(app, arguments).await,
        Command::Drill(arguments) => drill::run(app, arguments).await,
        Command::Retention(command) => retention::run(app, command).await,
        Command::Hold(arguments) => hold::hold(app, arguments).await,
        Command::Release(arguments) => hold::release(app, arguments).await,
        Command::Health(arguments) => health::run(app, arguments).await,
        Command::Status(arguments) => status::run(app, arguments).await,
        Command::Preflight(arguments) => preflight::run(app, arguments).await,
        Command::Alert(command) => alert::run(app, command).await,
        Command::Maintenance(arguments) => maintenance::run(app, arguments).await,
        Command::Keys(command) => keys::run(app, command).await,
        Command::Config(Configuration::Check) => config::check(app),
        Command::Demo(arguments) => Box::pin(demo::run(app, arguments)).await,
        // Needs no set-up and is done before.
        Command::Completions(_) => Err(Error::new(ErrorKind::Unexpected, "completions are printed earlier")),
    }
}
