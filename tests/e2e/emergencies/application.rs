//! An application that writes to a database without pause, connects again whenever it is thrown out, and remembers what was
//! acknowledged.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use lifeboat_tests::program::wait_until;
use tokio_postgres::NoTls;

/// What it writes to.
pub(super) const TABLE: &str = "CREATE TABLE public.written (id bigint PRIMARY KEY)";

/// The running application.
pub(super) struct Application {
    thread: Option<JoinHandle<Result<()>>>,
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Told>>,
}

/// What it has seen.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// Rows whose commit was acknowledged.
    pub(super) acknowledged: BTreeSet<i64>,
    /// Connections it made.
    pub(super) connections: u32,
    /// The longest time between two acknowledgements.
    pub(super) longest_pause: Duration,
    last: Instant,
}

impl Application {
    pub(super) fn start(url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::new(Mutex::new(Told {
            acknowledged: BTreeSet::new(),
            connections: 0,
            longest_pause: Duration::ZERO,
            last: Instant::now(),
        }));
        let (url, stopping, telling) = (url.to_owned(), Arc::clone(&stop), Arc::clone(&told));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(write(&url, &stopping, &telling));
            Ok(())
        });
        Self { thread: Some(thread), stop, told }
    }

    pub(super) fn told(&self) -> Result<Told> {
        self.told.lock().map(|told| told.clone()).map_err(|e| anyhow!("{e}"))
    }

    /// Waits until it has written so many rows more.
    pub(super) fn writes_on(&self, rows: usize) -> Result<()> {
        let wanted = self.told()?.acknowledged.len() + rows;
        wait_until("the application writes on", Duration::from_secs(30), || {
            Ok(self.told()?.acknowledged.len() >= wanted)
        })
    }

    /// Forgets the pauses so far.
    pub(super) fn forget_pauses(&self) -> Result<()> {
        let mut told = self.told.lock().map_err(|e| anyhow!("{e}"))?;
        told.longest_pause = Duration::ZERO;
        Ok(())
    }

    pub(super) fn stop(mut self) -> Result<Told> {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().context("a thread")?;
        thread.join().map_err(|_| anyhow!("the application panicked"))??;
        self.told()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

async fn write(url: &str, stop: &AtomicBool, told: &Mutex<Told>) {
    let mut next = 0_i64;
    while !stop.load(Ordering::SeqCst) {
        // As an application does: whatever happens, connect again.
        let Ok((client, connection)) = tokio_postgres::connect(url, NoTls).await else { continue };
        tokio::spawn(connection);
        if let Ok(mut told) = told.lock() {
            told.connections += 1;
        }
        while !stop.load(Ordering::SeqCst) {
            // A number is used once: whether a row without an answer was written is not known.
            next += 1;
            if client.execute("INSERT INTO public.written VALUES ($1)", &[&next]).await.is_err() {
                break;
            }
            if let Ok(mut told) = told.lock() {
                told.acknowledged.insert(next);
                told.longest_pause = told.longest_pause.max(told.last.elapsed());
                told.last = Instant::now();
            }
        }
    }
}
