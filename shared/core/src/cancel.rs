//! A switch that asks a run to stop, and that the run can wait for.

use tokio::sync::watch;

use crate::{Error, ErrorKind, Result};

/// The run's side: cheap to clone and to ask.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Receiver<Option<ErrorKind>>);

/// The other side: whoever watches for Ctrl-C, a deadline or a lost lease.
#[derive(Debug, Clone)]
pub struct Canceller(watch::Sender<Option<ErrorKind>>);

/// A connected pair.
pub fn pair() -> (Canceller, Cancel) {
    let (tx, rx) = watch::channel(None);
    (Canceller(tx), Cancel(rx))
}

/// A switch of one's own that is also pressed when `parent` is; the relay ends when the guard is dropped.
pub fn child(parent: &Cancel) -> (Canceller, Cancel, Relay) {
    let (canceller, cancel) = pair();
    let (parent, relayed) = (parent.clone(), canceller.clone());
    let relay = tokio::spawn(async move { relayed.cancel(parent.cancelled().await.kind()) });
    (canceller, cancel, Relay(relay))
}

/// Keeps a relay from a parent switch alive.
#[derive(Debug)]
pub struct Relay(tokio::task::JoinHandle<()>);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Canceller {
    /// Asks the run to stop; the first reason stays.
    pub fn cancel(&self, reason: ErrorKind) {
        self.0.send_if_modified(|now| {
            let first = now.is_none();
            if first {
                *now = Some(reason);
            }
            first
        });
    }

    /// Another receiver of the same switch.
    pub fn subscribe(&self) -> Cancel {
        Cancel(self.0.subscribe())
    }
}

impl Cancel {
    /// A switch that nobody will ever press.
    pub fn never() -> Self {
        pair().1
    }

    /// An error of the reason's kind once the run shall stop.
    pub fn check(&self) -> Result<()> {
        match *self.0.borrow() {
            Some(reason) => Err(stopped(reason)),
            None => Ok(()),
        }
    }

    /// Returns the reason's error when the run shall stop; pends for ever otherwise.
    pub async fn cancelled(&self) -> Error {
        let mut receiver = self.0.clone();
        loop {
            if let Some(reason) = *receiver.borrow_and_update() {
                return stopped(reason);
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits that long, or until the run shall stop.
    pub async fn pause(&self, time: std::time::Duration) -> Result<()> {
        self.race(async {
            tokio::time::sleep(time).await;
            Ok(())
        })
        .await
    }

    /// Runs `work` until it ends or the run shall stop, whichever is first; then `work` is dropped.
    pub async fn race<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            error = self.cancelled() => Err(error),
            result = work => result,
        }
    }

    /// The same with `work` that watches this switch too: it has that long to come to its own end first.
    pub async fn race_to_its_end<T>(
        &self,
        patience: std::time::Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.check()?;
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => result,
            error = self.cancelled() => tokio::time::timeout(patience, work).await.unwrap_or(Err(error)),
        }
    }
}

fn stopped(reason: ErrorKind) -> Error {
    let message = match reason {
        ErrorKind::Deadline => "the deadline was reached before the end",
        ErrorKind::AlreadyRunning => "the lease was lost to another run",
        ErrorKind::Store => {
            "the lease could not be renewed in time: the control store did not answer, or this run was paused"
        }
        _ => "interrupted",
    };
    Error::new(reason, message)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Presses the switch after a second.
    async fn press(canceller: &Canceller, reason: ErrorKind) {
        sleep(Duration::from_secs(1)).await;
        canceller.cancel(reason);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_within_its_patience_gives_its_own_result() {
        for own in [Ok(7), Err(ErrorKind::Corrupt)] {
            let (canceller, cancel) = pair();
            let work = async {
                sleep(PATIENCE).await;
                own.map_err(|kind| Error::new(kind, "its own"))
            };
            let pressing = press(&canceller, ErrorKind::Interrupted);
            let (result, ()) = tokio::join!(cancel.race_to_its_end(PATIENCE, work), pressing);
            assert_eq!(result.map_err(|error| error.kind()), own);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_within_its_patience_is_dropped_for_the_reason() {
        let (canceller, cancel) = pair();
        let (begun, reached) = (Instant::now(), Cell::new(false));
        let work = async {
            sleep(PATIENCE + Duration::from_secs(2)).await;
            reached.set(true);
            Ok(())
        };
        let pressing = press(&canceller, ErrorKind::Deadline);
        let (result, ()) = tokio::join!(cancel.race_to_its_end(PATIENCE, work), pressing);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Deadline);
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs() + 1);
        assert!(!reached.get());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_begun_after_the_switch_was_pressed_does_not_run() {
        let (canceller, cancel) = pair();
        canceller.cancel(ErrorKind::Interrupted);
        let ran = Cell::new(false);
        let work = async {
            ran.set(true);
            Ok(())
        };
        let result = cancel.race_to_its_end(PATIENCE, work).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Interrupted);
        assert!(!ran.get());
    }
}
