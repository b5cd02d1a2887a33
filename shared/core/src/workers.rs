//! Several workers on one queue: each takes the next piece until none is left or one of them fails.

use std::{collections::VecDeque, sync::Arc};

use tokio::{sync::Mutex, task::JoinSet};

use crate::{
    Error, ErrorKind, Result,
    cancel::{self, Cancel},
};

/// The pieces that are left, shared by all workers.
pub(crate) struct Queue<P>(Arc<Mutex<VecDeque<P>>>);

impl<P> Clone for Queue<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P> Queue<P> {
    /// The next piece.
    pub(crate) async fn next(&self) -> Option<P> {
        self.0.lock().await.pop_front()
    }
}

/// Runs up to `jobs` workers over `pieces` and gives everything that they return. `worker` is called once for each with
/// the queue and a switch that is pressed when another fails or panics, or when `parent` is. Of several errors the
/// first is told that is not the echo of another's.
pub(crate) async fn run<P, T, W, F>(pieces: Vec<P>, jobs: u32, parent: &Cancel, worker: W) -> Result<Vec<T>>
where
    P: Send + 'static,
    T: Send + 'static,
    W: Fn(Queue<P>, Cancel) -> F,
    F: Future<Output = Result<Vec<T>>> + Send + 'static,
{
    let count = usize::try_from(jobs).unwrap_or(1).clamp(1, pieces.len().max(1));
    let queue = Queue(Arc::new(Mutex::new(VecDeque::from(pieces))));
    let (stopper, cancel, _relay) = cancel::child(parent);
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        tasks.spawn(worker(queue.clone(), cancel.clone()));
    }
    let mut all = Vec::new();
    let mut failure: Option<Error> = None;
    while let Some(joined) = tasks.join_next().await {
        let result =
            joined.unwrap_or_else(|e| Err(Error::new(ErrorKind::Unexpected, format!("a worker broke down: {e}"))));
        match result {
            Ok(done) => all.extend(done),
            Err(error) => {
                stopper.cancel(ErrorKind::Interrupted);
                if failure.as_ref().is_none_or(|f| f.kind() == ErrorKind::Interrupted) {
                    failure = Some(error);
                }
            }
        }
    }
    failure.map_or(Ok(all), Err)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::{sync::Barrier, time::timeout};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_piece_is_taken_once() {
        let mut all = run((0..100).collect(), 4, &Cancel::never(), |queue, _| async move {
            let mut mine = Vec::new();
            while let Some(piece) = queue.next().await {
                mine.push(piece);
            }
            Ok(mine)
        })
        .await
        .unwrap();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<u32>>());
    }

    #[tokio::test]
    async fn as_many_workers_as_jobs_are_at_work_at_the_same_time_and_no_more_than_pieces() {
        for (jobs, pieces, expected) in [(4, 100, 4), (4, 3, 3), (1, 2, 1)] {
            let (barrier, begun) = (Arc::new(Barrier::new(expected)), Arc::new(AtomicUsize::new(0)));
            let cancel = Cancel::never();
            let working = run((0..pieces).collect::<Vec<u32>>(), jobs, &cancel, |queue, _| {
                let barrier = Arc::clone(&barrier);
                begun.fetch_add(1, Ordering::Relaxed);
                async move {
                    let mut mine = Vec::from_iter(queue.next().await);
                    // Passes nobody before all are here, each with a piece.
                    barrier.wait().await;
                    while let Some(piece) = queue.next().await {
                        mine.push(piece);
                    }
                    Ok(mine)
                }
            });
            let done = timeout(Duration::from_secs(10), working).await.expect("some never came").unwrap();
            assert_eq!(done.len(), pieces as usize);
            assert_eq!(begun.load(Ordering::Relaxed), expected, "{jobs} jobs, {pieces} pieces");
        }
    }

    #[tokio::test]
    async fn one_failure_or_panic_stops_the_others_and_is_told() {
        for panics in [false, true] {
            let result: Result<Vec<u32>> = run(vec![1, 2, 3], 3, &Cancel::never(), |queue, cancel| async move {
                match queue.next().await {
                    Some(1) if panics => panic!("broken"),
                    Some(1) => Err(Error::new(ErrorKind::Store, "full")),
                    _ => Err(cancel.cancelled().await),
                }
            })
            .await;
            let expected = if panics { ErrorKind::Unexpected } else { ErrorKind::Store };
            assert_eq!(result.unwrap_err().kind(), expected);
        }
    }
}
