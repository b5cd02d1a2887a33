//! The application whose DDL meets a dump: sessions on threads of their own, so that they live while the dump stands still.

use std::{
    sync::mpsc::{self, Receiver, Sender},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use tokio_postgres::{Client, NoTls};

/// The longest that the application may have to wait for anything, such as a whole dump.
const PATIENCE: Duration = Duration::from_mins(3);

/// SQL that was sent: done by now, or waiting for a lock.
pub(super) struct Sent {
    thread: JoinHandle<Result<Instant>>,
    /// Whether it had to queue.
    pub(super) queued: bool,
}

/// Sends SQL through a session of its own and returns once it is done or waits for a lock; it is not taken back.
pub(super) fn send(url: &str, sql: &str) -> Result<Sent> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let (settled, waiting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run_and_watch(&url, &sql, &settled))
    });
    match waiting.recv_timeout(PATIENCE) {
        Ok(queued) => Ok(Sent { thread, queued }),
        Err(_) => Err(match thread.join() {
            Ok(Err(error)) => error,
            _ => anyhow!("the application's SQL neither ended nor queued"),
        }),
    }
}

impl Sent {
    /// Waits until it is done, and tells when it was.
    pub(super) fn done(self) -> Result<Instant> {
        self.thread.join().map_err(|_| anyhow!("the application's thread panicked"))?
    }
}

async fn run_and_watch(url: &str, sql: &str, settled: &Sender<bool>) -> Result<Instant> {
    let (client, watcher) = (connect(url).await?, connect(url).await?);
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let running = client.batch_execute(sql);
    tokio::pin!(running);
    let mut told = false;
    loop {
        tokio::select! {
            result = &mut running => {
                result.with_context(|| format!("run {sql}"))?;
                if !told {
                    settled.send(false).ok();
                }
                return Ok(Instant::now());
            }
            () = tokio::time::sleep(Duration::from_millis(3)), if !told => {
                let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)";
                if watcher.query_one(waits, &[&pid]).await?.get(0) {
                    settled.send(true).ok();
                    told = true;
                }
            }
            () = tokio::time::sleep(PATIENCE), if told => bail!("still not let through: {sql}"),
        }
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A transaction of the application that stays open, holding its locks, until it is told to end.
pub(super) struct OpenTransaction {
    end: Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl OpenTransaction {
    /// Begins it and runs `sql` in it.
    pub(super) fn begin(url: &str, sql: &str) -> Result<Self> {
        let (url, sql) = (url.to_owned(), sql.to_owned());
        let (begun, ready) = mpsc::channel();
        let (end, ended): (Sender<()>, Receiver<()>) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let client = runtime.block_on(async {
                let client = connect(&url).await?;
                client.batch_execute(&format!("BEGIN; {sql}")).await?;
                anyhow::Ok(client)
            })?;
            begun.send(()).ok();
            // Nobody listens to the server meanwhile, and nothing needs to.
            ended.recv().ok();
            runtime.block_on(client.batch_execute("COMMIT"))?;
            Ok(())
        });
        match ready.recv_timeout(PATIENCE) {
            Ok(()) => Ok(Self { end, thread }),
            Err(_) => Err(match thread.join() {
                Ok(Err(error)) => error,
                _ => anyhow!("the transaction did not begin"),
            }),
        }
    }

    /// What ends it, to be handed on.
    pub(super) fn ender(&self) -> Sender<()> {
        self.end.clone()
    }

    /// Commits.
    pub(super) fn commit(self) -> Result<()> {
        self.end.send(()).ok();
        self.thread.join().map_err(|_| anyhow!("the transaction's thread panicked"))?
    }
}
