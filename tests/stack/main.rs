//! `make up`, `make down`, `make status`, `make invoke`: the whole stack on this machine, to work with by hand.
//!
//! One process in the background, `stack serve`, holds every server, and all of them end with it, however it ends. It
//! also holds a lock on a file for as long as it lives: nothing else says that the stack is up.

#![allow(clippy::print_stdout, reason = "a program for people at a terminal")]

mod folder;
mod invoke;
mod serve;
mod words;

use std::{
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use folder::Folder;
use lifeboat_tests::program::wait_until;

const USAGE: &str = "usage: stack up | down | status | serve | invoke FUNCTION [CASE]";
const PATIENCE: Duration = Duration::from_mins(3);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| !argument.is_empty()).collect();
    let folder = Folder::of_checkout();
    let done = match arguments.as_slice() {
        ["up"] => up(&folder),
        ["down"] => down(&folder),
        ["status"] => status(&folder),
        ["serve"] => serve::run(&folder),
        ["invoke", function] => invoke::list(function),
        ["invoke", function, case] => invoke::run(&folder, function, case),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn up(folder: &Folder) -> Result<()> {
    if let Some(lock) = folder.lock()? {
        folder.clear()?;
        drop(lock);
        // A session of its own: a Ctrl-C here, or the terminal's end, is not its own.
        let log = folder.open_log()?;
        let mut server = Command::new("setsid")
            .args(["--fork".as_ref(), std::env::current_exe()?.as_os_str(), "serve".as_ref()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start the stack (setsid is part of util-linux)")?;
        server.wait().context("start the stack")?;
        wait_until("the stack has begun to start", Duration::from_secs(10), || folder.is_served())
            .with_context(|| folder.last_words())?;
    } else {
        println!("The stack is up already.\n");
    }
    wait_until("the stack is up", PATIENCE, || {
        if folder.state().is_none() && !folder.is_served()? {
            bail!("the stack did not start; {} says:\n{}", folder.log().display(), folder.last_words());
        }
        Ok(folder.state().is_some())
    })?;
    status(folder)
}

fn down(folder: &Folder) -> Result<()> {
    if !folder.is_served()? {
        folder.clear()?;
        println!("The stack is not up.");
        return Ok(());
    }
    let addresses = folder.addresses();
    let server = folder.server().context("the stack is up, but its process id is unknown")?;
    signal(&server, "TERM")?;
    let ended = || Ok(!folder.is_served()? && addresses.iter().all(|address| folder::is_free(*address)));
    if wait_until("everything has ended", Duration::from_secs(30), ended).is_err() {
        signal(&server, "KILL")?;
        wait_until("everything has ended", Duration::from_secs(30), ended)?;
    }
    folder.clear()?;
    println!("The stack is down, and its data are gone.");
    Ok(())
}

fn status(folder: &Folder) -> Result<()> {
    let state = if folder.is_served()? { folder.state() } else { None };
    let state = state.context("the stack is not up: `make up` starts it")?;
    println!("{}", words::summary(folder, &state));
    Ok(())
}

fn signal(process: &str, name: &str) -> Result<()> {
    // One that has ended by itself needs no signal.
    Command::new("kill").args(["-s", name, process]).stderr(Stdio::null()).status().context("run kill").map(drop)
}
